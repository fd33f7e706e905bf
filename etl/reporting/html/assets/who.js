// Artists, genres and albums: the largest, their changes, the new ones and those that left.
"use strict";

function who(report) {
  const isLong = watched(report) > 28, since = isLong ? sayDay(new Date(report.year_ago)) : "";
  byId("came").hidden = byId("left").hidden = !isLong;
  fill("artists", el("h3", {}, "Artists"), ranks(report.artists, since));
  fill("genres", el("h3", {}, "Genres"), ranks(report.genres, since));
  fill("albums", el("h3", {}, "Albums"), ranks(report.albums, since));
  fill("came", el("h3", {}, "Artists who came"), chips(report.artists.came, `since ${since}`, "No new artists"));
  fill("left", el("h3", {}, "Artists who left"), chips(report.artists.left, `since ${since}`, "No artist left"));
  const genres = report.genres;
  const named = (found) => [el("strong", {}, found.top.map(([name]) => name).join(", ")), found.count > found.top.length ? ` and ${number(found.count - found.top.length)} more` : ""];
  const genreChanges = [
    genres.came.count ? ["New genres: ", named(genres.came), ". "] : [],
    genres.left.count ? ["Gone: ", named(genres.left), "."] : [],
  ].flat(2);
  fill("who-lead", !report.artists.count ? "" : `${plural(report.artists.count, "artist")}, ${plural(report.albums.count, "album")} and ${plural(report.genres.count, "genre")} are among the favourites now. `, isLong ? `Lines show each one's favourites from month to month, the small number how many more or fewer than on ${since}. ` : "", isLong ? genreChanges : null);
  places(report);
  mixture(report);
}

function ranks(found, since) {
  if (!found.top.length) return empty("None yet.");
  const most = found.top[0].current_favourites;
  return el("ol", { class: "ranks" }, found.top.map((row) => {
    const gauge = row.series ? null : el("span", { class: "gauge", "aria-hidden": "true" });
    if (gauge) gauge.style.width = `${(100 * row.current_favourites) / most}%`;
    const change = row.series && since ? row.current_favourites - row.before : null;
    const delta = change === null ? null
      : el("span", { class: `delta ${change > 0 ? "up" : change < 0 ? "down" : ""}`, title: `${number(row.before)} on ${since}` }, row.before ? (change ? signed(change) : "same") : "new");
    return el("li", {}, el("span", { class: "name", title: row.name ?? "" }, row.name ?? "(no name)"), row.series?.length > 1 ? spark(row.series) : el("span"),
      el("span", { class: "count" }, number(row.current_favourites), delta), gauge);
  }));
}

function spark(series) {
  const svg = d3.create("svg").attr("viewBox", "0 0 72 26").attr("aria-hidden", "true");
  const x = d3.scaleLinear([0, Math.max(1, series.length - 1)], [1, 71]), y = d3.scaleLinear([0, d3.max(series) || 1], [24, 2]);
  const area = d3.area().curve(d3.curveMonotoneX).x((_, place) => x(place)).y0(24).y1(y);
  svg.append("path").attr("class", "spark-area").attr("d", area(series));
  svg.append("path").attr("class", "spark").attr("d", area.lineY1()(series));
  return svg.node();
}

function chips(found, since, none) {
  if (!found.count) return empty(`${none} ${since}.`);
  const more = found.count - found.top.length;
  return el("div", {}, el("ul", { class: "chips" }, found.top.map(([name, count]) => el("li", {}, name ?? "(no name)", el("b", {}, ` ${number(count)}`)))),
    more ? el("p", { class: "note" }, `and ${number(more)} more ${since}`) : el("p", { class: "note" }, since));
}

function places(report) {
  // A bump chart: the place of each artist by favourites, at the end of each of the last months.
  const node = fill("places"), most = 10, from = Math.max(0, report.months.length - (innerWidth < 700 ? 8 : 18));
  const months = report.months.slice(from).map(dayOf);
  const lines = report.artists.places.map(([name, own]) => ({ name: name ?? "(no name)", own: own.slice(from) })).filter((line) => line.own.some((place) => place));
  if (months.length < 3 || !lines.length) return void node.append(empty("After three months this shows how the largest artists overtake each other."));
  const end = (line) => line.own.at(-1) ?? Infinity, best = (line) => d3.min(line.own.filter((place) => place));
  lines.sort((a, b) => end(a) - end(b) || best(a) - best(b));
  const colour = (at) => `g${at < 7 && end(lines[at]) <= most ? at : 7}`;
  const at = (place, month) => lines.find((line) => line.own[month] === place)?.name ?? "";
  const words = `The ten artists with the most favourites from ${monthInUtc.format(months[0])} to ${monthInUtc.format(months.at(-1))}; at the end ${lines.slice(0, 3).map((line) => line.name).join(", ")}`;
  const holder = el("div", {});
  node.append(holder, el("figcaption", {}, "The first ten artists by favourites at the end of each month, the largest at the top. A line ends where an artist leaves the ten, and begins again on the way back; of two with as many favourites, the one with the smaller Boomplay id is first."),
    asTable("The largest artists by month", [{ name: "Month", value: (row) => +months[row], show: (row) => monthInUtc.format(months[row]) }, ...d3.range(1, most + 1).map((place) => ({ name: `${place}.`, label: `${place}.`, value: (row) => at(place, row) }))], d3.range(months.length).reverse()));
  chart(holder, words, (svg, width) => {
    const isWide = width > 620, step = 34, height = most * step + 30, left = 30, right = width - (isWide ? 210 : 128);
    const x = d3.scalePoint(d3.range(months.length), [left + 6, right - 10]), y = (place) => (place - 0.5) * step;
    svg.attr("width", width).attr("height", height);
    svg.append("g").selectAll("text").data(d3.range(1, most + 1)).join("text").attr("x", left - 16).attr("y", y).attr("dy", "0.35em").attr("text-anchor", "end").text((place) => place);
    const line = d3.line().curve(d3.curveBumpX).defined((place) => place).x((_, month) => x(month)).y(y);
    const order = d3.range(lines.length).reverse();  // the first is drawn last, above the others
    svg.append("g").selectAll("path").data(order).join("path").attr("class", (place) => `place ${colour(place)}`).attr("d", (place) => line(lines[place].own));
    const dots = order.flatMap((place) => lines[place].own.map((found, month) => ({ place, found, month }))).filter((dot) => dot.found);
    svg.append("g").selectAll("circle").data(dots).join("circle").attr("class", (dot) => colour(dot.place)).attr("r", 4.5).attr("cx", (dot) => x(dot.month)).attr("cy", (dot) => y(dot.found))
      .on("pointermove", (event, dot) => showTip(event, el("strong", {}, lines[dot.place].name), `${dot.found}. in ${monthInUtc.format(months[dot.month])}`)).on("pointerleave", hideTip);
    const long = isWide ? 26 : 14, cut = (name) => (name.length > long ? `${name.slice(0, long - 1)}…` : name);
    svg.append("g").selectAll("text").data(lines.filter((each) => end(each) <= most)).join("text").attr("class", "end").attr("x", right + 4).attr("y", (each) => y(end(each))).attr("dy", "0.35em").text((each) => cut(each.name));
    const every = Math.ceil(months.length / Math.max(2, Math.floor((right - left) / 64)));
    svg.append("g").selectAll("text").data(d3.range(months.length).filter((month) => (months.length - 1 - month) % every === 0)).join("text").attr("x", x).attr("y", height - 6).attr("text-anchor", "middle").text((month) => d3.utcFormat("%b %y")(months[month]));
  });
}

function mixture(report) {
  const node = fill("mixture");
  const months = report.months.map(dayOf), top = report.genres.top.slice(0, 7), all = report.favourites_by_month;
  if (months.length < 2 || !top.length) return void node.append(empty("One month is too short to draw a change."));
  const names = top.map((row) => row.name);
  const rows = months.map((month, place) => ({ month, ...Object.fromEntries(top.map((row, at) => [at, row.series[place] / (all[place] || 1)])) }));
  const last = rows[rows.length - 1], most = d3.max(rows, (row) => d3.max(names, (_, at) => row[at])) || 1;
  const others = report.genres.count - names.length;
  const words = `Shares of genres from ${monthInUtc.format(months[0])} to ${monthInUtc.format(last.month)}; at the end ${names.slice(0, 3).map((name, at) => `${name} ${percent(last[at])}`).join(", ")}`;
  const holder = el("div", {});
  node.append(el("div", { class: "controls" }, legend(names.map((name, at) => [`swatch g${at}`, name]))), holder,
    el("figcaption", {}, `The share of the favourites that had each of the ${plural(names.length, "largest genre")}, at the end of each month. A track with two genres counts for both, so shares may sum to more than 100\u00a0%; genres are today's.`, others > 0 ? ` ${plural(others, "other genre is", "other genres are")} not drawn.` : ""),
    asTable("Shares of genres by month", [{ name: "Month", value: (row) => +row.month, show: (row) => monthInUtc.format(row.month) }, ...names.map((name, at) => ({ name, label: `${name}:`, number: true, value: (row) => row[at], show: (row) => percent(row[at]) }))], rows.slice().reverse()));
  chart(holder, words, (svg, width) => {
    const isWide = width > 620, height = isWide ? 360 : 260, right = width - (isWide ? 170 : 0), left = 40;
    const x = d3.scaleUtc(d3.extent(months), [left, right]), y = d3.scaleLinear([0, most], [height - 24, 8]).nice(4);
    svg.attr("width", width).attr("height", height);
    svg.append("g").attr("class", "grid").selectAll("line").data(y.ticks(4)).join("line").attr("x1", left).attr("x2", right).attr("y1", y).attr("y2", y);
    svg.append("g").selectAll("text").data(y.ticks(4)).join("text").attr("x", left - 8).attr("y", y).attr("dy", "0.32em").attr("text-anchor", "end").text((tick) => percent(tick));
    const line = (at) => d3.line().curve(d3.curveMonotoneX).x((row) => x(row.month)).y((row) => y(row[at]))(rows);
    svg.append("g").selectAll("path").data(d3.range(names.length)).join("path").attr("class", (at) => `share g${at}`).attr("d", line);
    svg.on("pointermove", (event) => {
      const place = Math.min(rows.length - 1, Math.max(0, d3.bisectCenter(months, x.invert(d3.pointer(event)[0]))));
      const order = d3.range(names.length).sort((a, b) => rows[place][b] - rows[place][a]);
      showTip(event, el("strong", {}, monthInUtc.format(months[place])), order.flatMap((at) => [`${names[at]} ${percent(rows[place][at])}`, el("br")]));
    }).on("pointerleave", hideTip);
    const ends = d3.range(names.length).sort((a, b) => last[a] - last[b]);
    if (isWide) svg.append("g").selectAll("text").data(apart(ends.map((at) => y(last[at])), 17)).join("text").attr("class", "end")
      .attr("x", right + 12).attr("y", (place) => place).attr("dy", "0.35em").text((_, at) => `${names[ends[at]].length > 15 ? `${names[ends[at]].slice(0, 14)}…` : names[ends[at]]} ${percent(last[ends[at]])}`);
    const ticks = monthTicks(x, Math.floor(width / 120));
    svg.append("g").selectAll("text").data(ticks).join("text").attr("x", (tick) => Math.min(right - 24, Math.max(left + 14, x(tick)))).attr("y", height - 4).attr("text-anchor", "middle").text(monthTick(x, ticks));
  });
}

function apart(places, gap) {
  // Labels from the bottom up, none nearer than ``gap`` to the one below.
  let below = Infinity;
  return places.map((place) => (below = Math.min(place, below - gap)));
}
