// How long favourites last, and which removed tracks came back.
"use strict";

function lasting(report) {
  const node = fill("survival");
  const steps = report.survival.map(([days, atRisk, removed, share]) => ({ days, atRisk, removed, share }));
  const { ages, watched_days: observed } = report.still_there;
  confident(steps);
  regrets(report);
  vanished(report);
  if (!steps.length) {
    fill("lasting-lead", "");
    return void node.append(empty("No favourite whose addition was seen has gone yet, so there is nothing to say about how long they last."));
  }
  const share = (days) => { const place = d3.bisector((step) => step.days).right(steps, days) - 1; return place < 0 ? 1 : steps[place].share; };
  const half = report.half_life?.half_life_days ?? null;
  fill("lasting-lead", half === null ? "More than half of the favourites that were added are still there. " : ["Half of the favourites that were added are gone after ", el("strong", {}, days(half)), ". "],
    ages.length ? `Still there after ${ages.map(([words, each]) => `${words}: ${percent(each)}`).join(", ")}.` : "");
  const end = Math.max(observed, steps[steps.length - 1].days, 1);
  const words = `Share of favourites still there by age in days: ${ages.map(([each, part]) => `after ${each} ${percent(part)}`).join(", ")}`;
  const holder = el("div", {});
  node.append(holder, el("figcaption", {}, `From ${plural(report.half_life?.stays ?? 0, "favourite")} whose addition was seen, of which ${number(report.half_life?.removed ?? 0)} were removed. Those still there count for as long as they have been watched (Kaplan–Meier); the band is where the true share lies 95 times in 100. Ages are exact to the time between two looks.`),
    asTable("Favourites by age", [
      { name: "Age in days", number: true, value: (row) => row.days },
      { name: "Watched that long", number: true, value: (row) => row.atRisk },
      { name: "Removed at that age", number: true, value: (row) => row.removed },
      { name: "Still there", number: true, value: (row) => row.share, show: (row) => percent(row.share) },
    ], steps));
  chart(holder, words, (svg, width) => {
    const height = width < 560 ? 250 : 320, margin = { left: 46, right: 16, top: 14, bottom: 40 };
    svg.attr("width", width).attr("height", height);
    const x = d3.scaleLinear([0, end], [margin.left, width - margin.right]), y = d3.scaleLinear([0, 1], [height - margin.bottom, margin.top]);
    svg.append("g").attr("class", "grid").selectAll("line").data([0, 0.25, 0.5, 0.75, 1]).join("line").attr("x1", margin.left).attr("x2", width - margin.right).attr("y1", y).attr("y2", y);
    svg.append("g").selectAll("text").data([0, 0.25, 0.5, 0.75, 1]).join("text").attr("x", margin.left - 8).attr("y", y).attr("dy", "0.32em").attr("text-anchor", "end").text((tick) => `${tick * 100} %`);
    svg.append("g").selectAll("text").data(x.ticks(Math.max(3, Math.floor(width / 120)))).join("text").attr("x", x).attr("y", height - margin.bottom + 17).attr("text-anchor", "middle").text((tick) => number(tick));
    svg.append("text").attr("x", width - margin.right).attr("y", height - 4).attr("text-anchor", "end").text("days since it was added");
    const points = [{ days: 0, share: 1 }, ...steps, { ...steps[steps.length - 1], days: end }];
    const area = d3.area().curve(d3.curveStepAfter).x((step) => x(step.days)).y0(y(0)).y1((step) => y(step.share));
    svg.append("path").attr("class", "area-total").attr("d", area(points));
    svg.append("path").attr("class", "band").attr("d", area.y0((step) => y(step.low ?? step.share)).y1((step) => y(step.high ?? step.share))(points));
    area.y0(y(0)).y1((step) => y(step.share));
    svg.append("path").attr("class", "line-total").attr("d", area.lineY1()(points));
    if (half !== null) {
      svg.append("path").attr("class", "marker").attr("fill", "none").attr("d", `M${margin.left},${y(0.5)}H${x(half)}V${y(0)}`);
      const isRight = x(half) > width / 2 && x(half) > 260;
      svg.append("text").attr("class", "strong").attr("x", isRight ? x(half) - 10 : Math.min(x(half) + 10, width - margin.right - 190)).attr("y", y(0.5) + (isRight ? 20 : -18)).attr("text-anchor", isRight ? "end" : "start").text(`half are gone: ${days(half)}`);
    }
    svg.on("pointermove", (event) => {
      const age = Math.max(0, Math.min(end, Math.round(x.invert(d3.pointer(event)[0]))));
      showTip(event, el("strong", {}, plural(age, "day")), `${percent(share(age))} still there`, el("br"), around(steps, age));
    }).on("pointerleave", hideTip);
  });
}

function confident(steps) {
  // Greenwood's variance on the scale log(-log), which keeps the bounds between 0 and 1.
  let sum = 0;
  for (const step of steps) {
    if (step.atRisk > step.removed) sum += step.removed / (step.atRisk * (step.atRisk - step.removed));
    const isInside = step.share > 0 && step.share < 1 && step.atRisk > step.removed;
    const far = isInside ? Math.exp((1.96 * Math.sqrt(sum)) / Math.abs(Math.log(step.share))) : 1;
    step.low = step.share ** far;
    step.high = step.share ** (1 / far);
  }
}

function around(steps, age) {
  const step = steps[d3.bisector((each) => each.days).right(steps, age) - 1];
  return step ? `${percent(step.low)} to ${percent(step.high)} at 95\u00a0%` : "";
}

function regrets(report) {
  const found = report.regrets;
  if (!found.count) return void fill("regrets", empty("No track was removed and came back."));
  fill("regrets", sortedTable({
    caption: "Tracks that were removed and came back", rows: found.rows, size: 8, paper: PRINTED_TRACKS, search: "Search these tracks", sort: 2, down: true,
    columns: [
      { name: "Track", main: true, value: (row) => row.title ?? "", words: true },
      { name: "Artists", value: (row) => row.artists ?? "", words: true },
      { name: "Came back", more: true, label: "back", value: (row) => row.returned_at, show: (row) => when(row.returned_at, { short: true }) },
      { name: "Days away", more: true, label: "days away:", number: true, value: (row) => row.days_away, show: (row) => (row.days_away < 1 ? "less than one" : number(Math.round(row.days_away))) },
      { name: "Now", more: true, short: true, value: (row) => (row.is_current ? "still there" : "gone again") },
    ],
  }), found.is_cut ? el("p", { class: "note" }, `The newest ${number(found.rows.length)} of ${number(found.count)}; `, command("favsync report regretted-removals"), " has all of them.") : null);
}

function vanished(report) {
  const { count, reasons: counts, withdrawn } = report.vanished;
  if (!count) return void fill("vanished", empty("No removal was recorded."));
  const rows = Object.entries(counts).sort(([, a], [, b]) => b - a);
  fill("vanished", el("ol", { class: "ranks markets" }, rows.map(([reason, found]) => el("li", {}, el("span", { class: "name" }, reasonOf(reason)), bar(found / count), el("span", { class: "count" }, number(found))))),
    el("p", { class: "note" }, `Of ${plural(count, "removal")}. When a track leaves, favsync asks Boomplay's catalogue: it was unfavourited if the catalogue has it for this account's region, and withdrawn if not.`),
    withdrawn.count ? sortedTable({
      caption: "Tracks that Boomplay withdrew", rows: withdrawn.rows, size: 8, paper: PRINTED_TRACKS, search: "Search these tracks", sort: 2, down: true,
      columns: [
        { name: "Track", main: true, value: (row) => row.title ?? "", words: true, show: (row) => row.title ?? `track ${row.track_id}` },
        { name: "Artists", value: (row) => row.artists ?? "", words: true },
        { name: "Withdrawn", short: true, value: (row) => row.valid_to, show: (row) => between(row.removed_after, row.valid_to) },
        { name: "Days kept", more: true, number: true, label: "days kept:", value: (row) => row.days_kept, show: (row) => number(Math.round(row.days_kept)) },
      ],
    }) : null,
    withdrawn.is_cut ? el("p", { class: "note" }, `The newest ${number(withdrawn.rows.length)} of ${number(withdrawn.count)}; `, command("favsync report favourite-history"), " has all of them.") : null);
}
