// How the favourites grew, and on which days they changed.
"use strict";

const TICK_GAP = 76;

function growth(report) {
  const node = fill("growth");
  const days = report.daily.map(([day, added, removed, total, there]) => ({ day: dayOf(day), added, removed, total, there }));
  if (!days.length) return void node.append(empty("Nothing was seen yet, so nothing has grown."));
  if (watched(report) < 4) return looks(node, report);
  const last = report.looks.last ? d3.utcDay.floor(new Date(report.looks.last)) : days[days.length - 1].day;
  const all = spread(days, last);
  const lengths = [["all", "All"], ["365", "A year"], ["90", "90 days"]].filter(([key]) => key === "all" || all.length > +key);
  const holder = el("div", {});
  const show = (key) => drawGrowth(holder, key === "all" ? all : all.slice(-(+key + 1)));
  node.append(
    el("div", { class: "controls" },
      legend([["swatch rule", "favourites"], ["swatch added", "added"], ["swatch removed", "removed"]]),
      lengths.length > 1 ? segments("How far back", lengths, "all", show) : null),
    holder,
    el("figcaption", {}, caption(days)),
    asTable("Days on which the favourites changed", [
      { name: "Day (UTC)", value: (row) => +row.day, show: (row) => sayDay(row.day) },
      { name: "Added", number: true, value: (row) => row.added },
      { name: "Removed", number: true, value: (row) => row.removed },
      { name: "Favourites", number: true, value: (row) => row.total },
      { name: "There at the first look", number: true, value: (row) => row.there },
    ], days.slice().reverse()));
  show("all");
}

function looks(node, report) {
  // For a history of hours: every look at the list instead of every day.
  const seen = report.runs.filter((run) => run.observed_at && !run.retracted_at).slice(-40), isCut = seen.length < report.looks.count;
  const rows = seen.map((run, place) => ({ ...run, added: run.added - run.already_there, place }));
  if (rows.length < 2) return void node.append(empty(`favsync has looked once, and ${plural(rows[0].favourites, "favourite was", "favourites were")} there. From the second look on, this shows how the list grows.`));
  const words = `The ${isCut ? "newest" : "first"} ${plural(rows.length, "look")} at the list: from ${number(rows[0].favourites)} to ${plural(rows.at(-1).favourites, "favourite")}`;
  const holder = el("div", {});
  node.append(el("div", { class: "controls" }, legend([["swatch rule", "favourites"], ["swatch added", "added"], ["swatch removed", "removed"]])), holder,
    el("figcaption", {}, `${words}. After a few days this chart goes by days. ${number(d3.sum(report.daily, (day) => day[4]))} were there at the first look; when they were added is not known.`));
  chart(holder, words, (svg, width) => {
    const height = 250, left = 46, x = d3.scalePoint(rows.map((row) => row.place), [left + 30, width - 30]).padding(0.2), y = d3.scaleLinear([0, d3.max(rows, (row) => row.favourites) || 1], [150, 26]).nice(3);
    const most = d3.max(rows, (row) => Math.max(row.added, row.removed)) || 1, tall = d3.scaleLinear([0, most], [0, 26]), wide = Math.min(36, x.step() * 0.5 || 36);
    svg.attr("width", width).attr("height", height);
    svg.append("g").attr("class", "grid").selectAll("line").data([0, 150, 195]).join("line").attr("x1", left).attr("x2", width).attr("y1", (at) => (at === 195 ? 195 : y(at === 0 ? y.domain()[1] : 0))).attr("y2", (at) => (at === 195 ? 195 : y(at === 0 ? y.domain()[1] : 0)));
    svg.append("g").selectAll("text").data(y.domain()).join("text").attr("x", left - 8).attr("y", y).attr("dy", "0.32em").attr("text-anchor", "end").text((tick) => number(tick));
    const area = d3.area().x((row) => x(row.place)).y0(y(0)).y1((row) => y(row.favourites));
    svg.append("path").attr("class", "area-total").attr("d", area(rows));
    svg.append("path").attr("class", "line-total").attr("d", area.lineY1()(rows));
    const each = svg.selectAll("g.look").data(rows).join("g").attr("class", "look").attr("transform", (row) => `translate(${x(row.place)},0)`);
    each.append("circle").attr("class", "bar-added").attr("r", 4).attr("cy", (row) => y(row.favourites));
    each.append("text").attr("class", "strong").attr("text-anchor", "middle").attr("y", (row) => y(row.favourites) - 12).text((row) => (rows.length < 12 ? number(row.favourites) : ""));
    each.append("rect").attr("class", "bar-added").attr("x", -wide / 2).attr("width", wide).attr("y", (row) => 195 - tall(row.added)).attr("height", (row) => tall(row.added));
    each.append("rect").attr("class", "bar-removed").attr("x", -wide / 2).attr("width", wide).attr("y", 196).attr("height", (row) => tall(row.removed));
    each.append("text").attr("text-anchor", "middle").attr("y", height - 6).text((row) => (rows.length < width / 70 ? new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: "UTC" }).format(new Date(row.observed_at)) : ""));
    each.on("pointermove", (event, row) => showTip(event, el("strong", {}, minuteInUtc.format(new Date(row.observed_at))), plural(row.favourites, "favourite"), el("br"), `+${number(row.added)} −${number(row.removed)}`)).on("pointerleave", hideTip);
  });
}

function caption(days) {
  const there = d3.sum(days, (day) => day.there);
  const first = there ? ` ${plural(there, "favourite was", "favourites were")} there at the first look; when they were added is not known, so they are not counted as added.` : "";
  return `A change is drawn on the day (UTC) on which favsync first saw it.${first}`;
}

function spread(days, last) {
  // Every day from the first to the last look. The views have only the days on which something changed.
  const known = new Map(days.map((day) => [+day.day, day]));
  let total = 0;
  return d3.utcDay.range(days[0].day, new Date(+last + 1)).map((day) => {
    const found = known.get(+day) ?? { day, added: 0, removed: 0, total };
    total = found.total;
    return found;
  });
}

function gathered(days, width) {
  const [interval, one] = days.length > 500 ? [d3.utcMonday, "week from"] : days.length > 130 && width < 700 ? [d3.utcMonday, "week from"] : [d3.utcDay, ""];
  const groups = d3.rollups(days, (group) => ({ added: d3.sum(group, (day) => day.added), removed: d3.sum(group, (day) => day.removed) }), (day) => +interval.floor(day.day));
  return { interval, one, bars: groups.map(([start, sums]) => ({ start: new Date(start), end: interval.offset(new Date(start)), ...sums })) };
}

function monthTicks(x, most) {
  let last = -Infinity;
  return x.ticks(Math.max(2, most)).filter((tick) => x(tick) - last >= TICK_GAP && ((last = x(tick)), true));
}

function monthTick(x, ticks) {
  // The first tick includes its year, so that a month is not ambiguous.
  const format = x.tickFormat(ticks.length), year = d3.utcFormat("%Y");
  return (tick, place) => (place === 0 && format(tick) !== year(tick) ? `${format(tick)} ${year(tick)}` : format(tick));
}

function drawGrowth(holder, days) {
  holder.replaceChildren();
  const name = `Favourites from ${sayDay(days[0].day)} to ${sayDay(days[days.length - 1].day)}: from ${number(days[0].total)} to ${number(days[days.length - 1].total)}`;
  const frame = el("div", { class: "chart", tabindex: "0", role: "slider", "aria-label": "Favourites by day; arrow keys move from day to day", "aria-valuemin": "0", "aria-valuemax": String(days.length - 1), "aria-valuenow": String(days.length - 1), "aria-valuetext": name });
  holder.append(frame);
  const svg = chart(frame, name, (svg, width) => paintGrowth(svg, width, days, frame));
  svg.attr("role", null).attr("aria-label", null).attr("aria-hidden", "true");
}

function paintGrowth(svg, width, days, frame) {
  const height = width <= PAPER ? 300 : 420, split = height * 0.68, margin = { left: 46, right: 12, top: 30, bottom: 26 };
  svg.attr("width", width).attr("height", height);
  const x = d3.scaleUtc([days[0].day, d3.utcDay.offset(days[days.length - 1].day)], [margin.left, width - margin.right]);
  const y = d3.scaleLinear([0, d3.max(days, (day) => day.total) || 1], [split - 14, margin.top]).nice(5);
  const { bars, one } = gathered(days, width);
  const most = d3.max(bars, (bar) => Math.max(bar.added, bar.removed)) || 1;
  const middle = (split + height - margin.bottom) / 2 + 10, room = (height - margin.bottom - split) / 2 - 11;
  const up = d3.scaleLinear([0, most], [0, room]);
  svg.append("text").attr("class", "axis").attr("y", 12).text("Favourites");
  svg.append("text").attr("class", "axis").attr("y", split + 9).text(one ? "Added and removed in a week" : "Added and removed in a day");
  svg.append("g").attr("class", "grid").selectAll("line").data(y.ticks(5)).join("line").attr("x1", margin.left).attr("x2", width - margin.right).attr("y1", y).attr("y2", y);
  svg.append("g").selectAll("text").data(y.ticks(5)).join("text").attr("x", margin.left - 8).attr("y", y).attr("dy", "0.32em").attr("text-anchor", "end").text((tick) => number(tick));
  const area = d3.area().curve(d3.curveStepAfter).x((day) => x(day.day)).y0(y(0)).y1((day) => y(day.total));
  const closed = [...days, { ...days[days.length - 1], day: x.domain()[1] }];
  svg.append("path").attr("class", "area-total").attr("d", area(closed));
  svg.append("path").attr("class", "line-total").attr("d", area.lineY1()(closed));
  const right = (bar) => Math.min(width - margin.right, x(bar.end));
  const wide = (bar) => Math.max(1, right(bar) - left(bar) - (right(bar) - left(bar) > 4 ? 1 : 0));
  const left = (bar) => Math.max(margin.left, x(bar.start));
  svg.append("g").selectAll("rect").data(bars).join("rect").attr("class", "bar-added").attr("x", left).attr("width", wide).attr("y", (bar) => middle - up(bar.added)).attr("height", (bar) => up(bar.added));
  svg.append("g").selectAll("rect").data(bars).join("rect").attr("class", "bar-removed").attr("x", left).attr("width", wide).attr("y", middle + 1).attr("height", (bar) => up(bar.removed));
  svg.append("text").attr("x", margin.left - 8).attr("y", middle - room).attr("dy", "0.6em").attr("text-anchor", "end").text(signed(most));
  svg.append("text").attr("x", margin.left - 8).attr("y", middle + room).attr("text-anchor", "end").text(signed(-most));
  svg.append("g").attr("class", "grid").append("line").attr("x1", margin.left).attr("x2", width - margin.right).attr("y1", middle + 0.5).attr("y2", middle + 0.5);
  const ticks = monthTicks(x, Math.floor(width / 110));
  svg.append("g").selectAll("text").data(ticks).join("text").attr("x", x).attr("y", height - 4).attr("text-anchor", "middle").text(monthTick(x, ticks));
  const cursor = svg.append("g").attr("class", "cursor").attr("visibility", "hidden");
  cursor.append("line").attr("y1", margin.top).attr("y2", height - margin.bottom);
  cursor.append("circle").attr("r", 5);
  let at = days.length - 1;
  const move = (place) => {
    at = Math.max(0, Math.min(days.length - 1, place));
    const day = days[at];
    cursor.attr("visibility", "visible").attr("transform", `translate(${x(day.day)},0)`).select("circle").attr("cy", y(day.total));
    const bar = bars[d3.bisector((each) => each.start).right(bars, day.day) - 1];
    frame.setAttribute("aria-valuenow", String(at));
    frame.setAttribute("aria-valuetext", `${sayDay(day.day)}: ${plural(day.total, "favourite")}, ${number(day.added)} added, ${number(day.removed)} removed`);
    return [day, bar];
  };
  const leave = () => { cursor.attr("visibility", "hidden"); hideTip(); };
  frame.onpointermove = (event) => {
    const place = d3.bisector((day) => day.day).right(days, x.invert(d3.pointer(event, svg.node())[0])) - 1;
    const [day, bar] = move(place);
    showTip(event, el("strong", {}, sayDay(day.day)), plural(day.total, "favourite"), el("br"),
      one ? `${one} ${sayDay(bar.start)}: ` : "", `+${number(bar.added)} −${number(bar.removed)}`);
  };
  frame.onpointerleave = leave;
  frame.onblur = leave;
  frame.onkeydown = (event) => {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -30, PageUp: 30, Home: -days.length, End: days.length };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const [day] = move(at + steps[event.key]);
    const box = svg.node().getBoundingClientRect();
    showTip({ clientX: box.left + x(day.day), clientY: box.top + y(day.total) }, el("strong", {}, sayDay(day.day)), frame.getAttribute("aria-valuetext").split(": ")[1]);
  };
}

function calendar(report) {
  const node = fill("calendar");
  const changed = new Map(report.daily.map(([day, added, removed, , there]) => [day, { added, removed, there }]));
  if (watched(report) < 14) return void node.append(empty("After two weeks there is a calendar here of the days on which the favourites changed."));
  const first = d3.utcDay.floor(new Date(report.looks.first)), last = d3.utcDay.floor(new Date(report.looks.last));
  const counts = [...changed.values()].map((day) => day.added + day.removed).filter((count) => count > 0).sort(d3.ascending);
  const edges = [0.25, 0.5, 0.75, 0.92].map((part) => d3.quantile(counts, part) ?? 1);
  const shade = (count) => (count ? 2 + d3.bisectLeft(edges, count) : 0);
  const years = d3.range(last.getUTCFullYear(), first.getUTCFullYear() - 1, -1);
  const busiest = [...changed].sort((a, b) => b[1].added + b[1].removed - a[1].added - a[1].removed)[0];
  const words = `A calendar from ${sayDay(first)} to ${sayDay(last)}: ${plural(counts.length, "day")} with changes` + (counts.length ? `, most on ${sayDay(dayOf(busiest[0]))}` : "");
  const looked = new Set(report.looked), name = (day) => day.toISOString().slice(0, 10);
  const shown = (day) => { const found = changed.get(name(day)); return found ? `q${shade(found.added + found.removed)}` : looked.has(name(day)) ? "q0" : "unseen"; };
  const display = (event, day) => {
    const found = changed.get(day.toISOString().slice(0, 10)) ?? { added: 0, removed: 0, there: 0 };
    showTip(event, el("strong", {}, sayDay(day)), found.there ? `first look: ${number(found.there)} there` : found.added + found.removed ? `+${number(found.added)} −${number(found.removed)}` : looked.has(name(day)) ? "no change" : "no look: a change is drawn on the next day with one");
  };
  const holder = el("div", {}), keys = el("div", {});
  const key = () => {
    const unseen = looked.size < d3.utcDay.count(first, last) + 1 ? [["swatch unseen", "no look"]] : [];
    if (!counts.length) return [...unseen, ["swatch q0", "no change"]];
    const found = d3.rollups(counts, (group) => d3.extent(group), shade).sort(([a], [b]) => a - b);
    return [...unseen, ["swatch q0", "no change"], ...found.map(([place, [low, high]]) => [`swatch q${place}`, low === high ? number(low) : `${number(low)}–${number(high)}`])];
  };
  node.append(holder, el("div", { class: "controls" }, el("figcaption", {}, `${words}. Days outside the time observed are not drawn.`),
    keys));
  chart(holder, words, (svg, width) => {
    if (width < 620) return void fill(keys, legend(paintMonths(svg, width, years, { changed, looked, first, last })));
    fill(keys, legend(key()));
    paintDays(svg, width, years, first, last, shown, display);
  });
}

function paintDays(svg, width, years, first, last, shown, display) {
  const step = Math.min(20, (width - 84) / 53.6), cell = step * 0.84, yearHeight = step * 7 + 34;
  svg.attr("width", width).attr("height", years.length * yearHeight);
  const year = svg.selectAll("g").data(years).join("g").attr("transform", (_, place) => `translate(84,${place * yearHeight + 20})`);
  year.selectAll("text.weekday").data([["Mon", 0], ["Wed", 2], ["Fri", 4]]).join("text").attr("class", "weekday").attr("x", -10).attr("text-anchor", "end").attr("y", ([, at]) => at * step + cell * 0.75).text(([name]) => name);
  year.append("text").attr("class", "strong").attr("x", -84).attr("y", step * 0.75).text((each) => each);
  const weekday = (day) => (day.getUTCDay() + 6) % 7;
  const column = (day) => d3.utcMonday.count(d3.utcYear(day), day);
  year.selectAll("text.month").data((each) => d3.utcMonths(new Date(Date.UTC(each, 0, 1)), new Date(Date.UTC(each + 1, 0, 1)))).join("text").attr("class", "month")
    .attr("x", (day) => column(day) * step).attr("y", -7).text(d3.utcFormat("%b"));
  year.selectAll("rect").data((each) => d3.utcDays(d3.max([first, new Date(Date.UTC(each, 0, 1))]), d3.min([new Date(+last + 1), new Date(Date.UTC(each + 1, 0, 1))]))).join("rect")
    .attr("x", (day) => column(day) * step).attr("y", (day) => weekday(day) * step).attr("width", cell).attr("height", cell).attr("rx", 3)
    .attr("class", shown).on("pointermove", display).on("pointerleave", hideTip);
}

function paintMonths(svg, width, years, { changed, looked, first, last }) {
  // A day is too small for a narrow screen: months, with their numbers. Returns the legend of what was drawn.
  const seen = new Set([...looked].map((day) => day.slice(0, 7)));
  const sums = d3.rollup([...changed], (days) => d3.sum(days, ([, day]) => day.added + day.removed), ([day]) => day.slice(0, 7));
  const side = 42, step = (width - side) / 12, high = 34, most = d3.max(sums.values()) || 1;
  const shade = (count) => (count ? Math.max(1, Math.ceil((count / most) * 6)) : 0);
  svg.attr("width", width).attr("height", years.length * high + 18);
  const names = d3.utcMonths(new Date(Date.UTC(2020, 0, 1)), new Date(Date.UTC(2021, 0, 1)));
  svg.append("g").selectAll("text").data(names).join("text").attr("x", (_, place) => side + (place + 0.5) * step).attr("y", 10).attr("text-anchor", "middle").text((month) => d3.utcFormat("%b")(month)[0]);
  const year = svg.append("g").selectAll("g").data(years).join("g").attr("transform", (_, place) => `translate(${side},${place * high + 18})`);
  year.append("text").attr("class", "strong").attr("x", -side).attr("y", high / 2).attr("dy", "0.3em").text((each) => each);
  const cell = year.selectAll("g").data((each) => d3.utcMonths(d3.max([d3.utcMonth(first), new Date(Date.UTC(each, 0, 1))]), d3.min([new Date(+last + 1), new Date(Date.UTC(each + 1, 0, 1))])))
    .join("g").attr("transform", (month) => `translate(${month.getUTCMonth() * step},0)`);
  const count = (month) => sums.get(month.toISOString().slice(0, 7)) ?? 0;
  const style = (month) => (count(month) || seen.has(month.toISOString().slice(0, 7)) ? `q${shade(count(month))}` : "unseen");
  cell.append("rect").attr("class", style).attr("width", step - 2).attr("height", high - 3).attr("rx", 4);
  cell.append("text").attr("class", (month) => `cell on${shade(count(month))}`).attr("x", step / 2 - 1).attr("y", high / 2 - 1).attr("dy", "0.3em").text((month) => (style(month) === "unseen" ? "" : count(month) < 1000 ? number(count(month)) : `${(count(month) / 1000).toFixed(count(month) < 9950 ? 1 : 0)}k`));
  const drawn = years.flatMap((each) => d3.utcMonths(d3.max([d3.utcMonth(first), new Date(Date.UTC(each, 0, 1))]), d3.min([new Date(+last + 1), new Date(Date.UTC(each + 1, 0, 1))])));
  const classes = d3.rollups(drawn.filter((month) => count(month)).map(count), (group) => d3.extent(group), shade).sort(([a], [b]) => a - b);
  return [
    ...(drawn.some((month) => style(month) === "unseen") ? [["swatch unseen", "no look"]] : []),
    ...(drawn.some((month) => style(month) === "q0") ? [["swatch q0", "no change"]] : []),
    ...classes.map(([place, [low, high]]) => [`swatch q${place}`, `${low === high ? number(low) : `${number(low)}–${number(high)}`} in a month`]),
  ];
}
