// Where the favourites can be played: world, Africa, regions, markets; and what cannot be played at home.
"use strict";

function where(report) {
  const markets = report.coverage.filter((row) => row.market);
  const home = report.account.region?.toUpperCase() ?? null;
  if (!markets.length) {
    fill("where-lead", "");
    byId("reach").hidden = true;
    return void fill("maps", empty("There are no favourites, so there is nothing to play anywhere."));
  }
  byId("reach").hidden = false;
  const reached = markets.filter((row) => row.available > 0), at = markets.find((row) => row.market_code === home);
  const known = markets[0].known, unknown = report.summary.favourites - known;
  if (!known) {
    fill("where-lead", `Where the ${plural(unknown, "favourite")} can be played is not known: Boomplay did not say.`);
    byId("reach").hidden = true;
    return void fill("maps");
  }
  fill("where-lead", `At least one of the favourites can be played in ${number(reached.length)} of ${number(markets.length)} markets. `,
    unknown ? `The markets of ${plural(unknown, "favourite")} are not known; every share here is of the other ${number(known)}. ` : "",
    at ? [`At home, in ${at.market}, it is `, el("strong", {}, percent(at.share)), ` of them: ${number(at.available)} of ${number(known)}.`] : "Where this account is at home is not known.");
  maps(markets, home, report);
  passport(report);
  regions(report);
  marketTable(markets);
  away(report);
}

function shades(markets) {
  // Six classes of about equal size, and one for zero. Edges are whole percents.
  const some = markets.map((row) => row.share).filter((share) => share > 0).sort(d3.ascending);
  const low = Math.floor((some[0] ?? 0) * 100) / 100, high = Math.ceil((some.at(-1) ?? 1) * 100 - 1e-9) / 100;
  const inner = [...new Set(d3.range(1, 6).map((place) => Math.round(d3.quantile(some, place / 6) * 100) / 100))].filter((edge) => edge > low && edge < high);
  const edges = [low, ...inner, high], colour = (place) => 1 + Math.round((place * 5) / Math.max(1, inner.length));
  const of = (share) => (share > 0 ? (inner.length ? colour(d3.bisectRight(inner, share)) : 6) : 0);
  const key = d3.range(inner.length + 1).map((place) => [`swatch q${inner.length ? colour(place) : 6}`, edges[place] === edges[place + 1] ? percent(high) : `${Math.round(edges[place] * 100)}–${Math.round(edges[place + 1] * 100)}\u00a0%`]);
  return { of, key: some.length < markets.length ? [["swatch q0", "nothing"], ...key] : key };
}

const UNPEOPLED = new Set(["AQ", "BV", "GS", "HM", "IO", "TF", "UM"]);  // ISO 3166 codes of places without inhabitants

const countries = topojson.feature(WORLD, WORLD.objects.countries).features;

function maps(markets, home, report) {
  const rows = new Map(markets.map((row) => [row.market_code, row]));
  const drawn = new Set(countries.map((country) => country.id));
  const african = countries.filter((country) => rows.get(country.id)?.continent === "Africa");
  const missing = markets.filter((row) => !drawn.has(row.market_code));
  const world = el("div", {}), africa = el("div", {}), inAfrica = markets.filter((row) => row.continent === "Africa" && !UNPEOPLED.has(row.market_code)).sort((a, b) => a.share - b.share);
  const everywhere = shades(markets), there = shades(inAfrica);
  const lines = (found) => el("ol", { class: "ranks markets" }, found.map((row) => el("li", {}, el("span", { class: "name" }, row.market), bar(row.share), el("span", { class: "count" }, percent(row.share)))));
  fill("maps", el("div", { class: "controls" }, legend(everywhere.key)), world,
    el("div", { class: "maps" }, el("div", {}, el("h3", {}, "Africa, on a scale of its own"), el("div", { class: "controls" }, legend(there.key)), africa),
      el("div", {}, el("h3", {}, "Where least of it plays in Africa"), lines(inAfrica.slice(0, 8)), inAfrica.length > 12 ? [el("h3", {}, "And where most of it does"), lines(inAfrica.slice(-4).reverse().filter((row) => row.share > 0))] : null)),
    el("figcaption", {}, "The share of the favourites that can be played in each market. Dots are places too small to see",
      home && rows.get(home) ? `; the outline is home, ${rows.get(home).market}` : "", missing.length ? `. Not on the map, but in the table: ${missing.map((row) => row.market).join(", ")}.` : "."));
  const description = `${number(markets.filter((row) => row.available > 0).length)} of ${number(markets.length)} markets can play something; the tables below list each`;
  const paint = (svg, shapes, projection, width, height, shade, labels) => {
    svg.attr("width", width).attr("height", height);
    const path = d3.geoPath(projection.clipExtent ? projection.clipExtent([[0, 0], [width, height]]) : projection);
    const sorted = shapes.slice().sort((a, b) => (a.id === home) - (b.id === home));
    const style = (country) => { const row = rows.get(country.id); return `land ${row && (!labels || inAfrica.includes(row)) ? `q${shade.of(row.share)}` : "none"}${country.id === home ? " home" : ""}`; };
    const display = (selection) => selection.on("pointermove", (event, country) => {
      const row = rows.get(country.id);
      if (row) showTip(event, el("strong", {}, row.market), `${percent(row.share)}: ${number(row.available)} of ${number(row.known)}`);
    }).on("pointerleave", hideTip);
    display(svg.append("g").selectAll("path").data(sorted).join("path").attr("class", style).attr("d", path));
    const small = shapes.filter((country) => rows.has(country.id) && path.area(country) < (labels ? 26 : 5) && !isNaN(path.centroid(country)[0]));
    display(svg.append("g").selectAll("circle").data(small).join("circle").attr("class", style).attr("r", labels ? 6 : 2.6).attr("cx", (country) => path.centroid(country)[0]).attr("cy", (country) => path.centroid(country)[1]));
    if (!labels) return;
    const large = shapes.filter((country) => rows.get(country.id)?.continent === "Africa" && path.area(country) > 300 && holds(country, path, projection) && !shapes.some((other) => other.id === country.id && path.area(other) > path.area(country)));
    svg.append("g").selectAll("text").data(large).join("text").attr("class", (country) => `code on${shade.of(rows.get(country.id).share)}`)
      .attr("x", (country) => path.centroid(country)[0]).attr("y", (country) => path.centroid(country)[1]).attr("dy", "0.35em").text((country) => country.id);
  };
  chart(world, `Map of the world: ${description}`, (svg, width) => {
    const height = Math.round(width * 0.47);
    paint(svg, countries, d3.geoEqualEarth().rotate([-11, 0]).fitExtent([[0, 2], [width, height - 2]], { type: "FeatureCollection", features: countries }), width, height, everywhere, false);
  });
  chart(africa, `Map of Africa: ${plural(african.length, "market")}`, (svg, width) => {
    const height = Math.round(width * 1.06);
    const projection = d3.geoAzimuthalEqualArea().rotate([-17, -2]).fitExtent([[6, 6], [width - 6, height - 6]], { type: "MultiPoint", coordinates: [[-18, 15], [52, 12], [10, 37.6], [20, -35], [58, -20], [-25, 15]] });
    const near = countries.filter((country) => d3.geoDistance(d3.geoCentroid(country), [17, 2]) < 1);
    paint(svg, near, projection, width, height, there, true);
  });
}

function holds(country, path, projection) {
  // True if the label of a country, about 18 by 14 pixels, lies within the country.
  const [x, y] = path.centroid(country);
  return d3.cross([-9, -4.5, 0, 4.5, 9], [-7, 0, 8]).every(([right, down]) => d3.geoContains(country, projection.invert([x + right, y + down])));
}

function gauge(low, high, middle) {
  const meter = el("span", { class: "meter", "aria-hidden": "true" });
  const range = el("i", { class: "span" }), point = el("i");
  range.style.left = `${low * 100}%`; range.style.width = `${Math.max(1, (high - low) * 100)}%`;
  point.style.left = `calc(${middle * 100}% - 2px)`; point.style.width = "4px";
  meter.append(range, point);
  return meter;
}
function bar(share) {
  const meter = el("span", { class: "meter", "aria-hidden": "true" }), filled = el("i");
  filled.style.left = "0"; filled.style.width = `${share * 100}%`;
  meter.append(filled);
  return meter;
}

function passport(report) {
  const { known, countries } = report.passport, all = report.summary.favourites;
  if (!known) return void fill("passport", empty(`The recording code (ISRC) of none of the ${plural(all, "favourite")} is known, so there is no passport yet.`));
  fill("passport", el("ol", { class: "ranks markets pairwise" }, countries.slice(0, 12).map(([code, name, count]) => el("li", {}, el("span", { class: "name" }, name ?? code), bar(count / known), el("span", { class: "count" }, number(count))))),
    el("p", { class: "note" }, `${plural(countries.length, "country", "countries")}${countries.length > 12 ? ", the first 12 shown" : ""}: where the recording code (ISRC) was given, known for ${number(known)} of ${plural(all, "favourite")}. It says where a recording was registered, not where its artist is from.`));
}

function regions(report) {
  const details = byId("regions");
  details.open = false;
  while (details.children.length > 1) details.lastChild.remove();
  details.append(sortedTable({
    caption: "How far the favourites reach in each region", rows: report.reach, size: 30, style: "pairs",
    columns: [
      { name: "Continent", minor: true, value: (row) => row.continent ?? "" },
      { name: "Region", main: true, value: (row) => row.region },
      { name: "Markets", minor: true, number: true, value: (row) => row.markets_reached, show: (row) => `${number(row.markets_reached)} of ${number(row.markets)}` },
      { name: "Playable", value: (row) => row.share, show: (row) => el("span", { class: "range" }, gauge(row.least_share, row.most_share, row.share), percent(row.share)) },
      { name: "Least to most", minor: true, number: true, value: (row) => row.least_share, show: (row) => `${percent(row.least_share)} to ${percent(row.most_share)}` },
    ],
  }), el("p", { class: "note" }, "The band runs from the market with the least to the one with the most, the mark is the region's average."));
}

function marketTable(markets) {
  const details = byId("markets");
  details.hidden = false;
  details.open = false;
  while (details.children.length > 1) details.lastChild.remove();
  details.ontoggle = () => {
    if (!details.open || details.children.length > 1) return;
    details.append(sortedTable({
      caption: "Every market", rows: markets, size: 20, style: "pairs", search: "Search markets", sort: 3, down: true,
      columns: [
        { name: "Market", main: true, value: (row) => row.market, words: true },
        { name: "Code", minor: true, value: (row) => row.market_code, words: true },
        { name: "Region", minor: true, value: (row) => row.region ?? "", words: true },
        // Codes that are no countries (XO, OT) come last, whatever their share.
        { name: "Playable", value: (row) => (row.is_iso ? row.share : null), show: (row) => el("span", { class: "range" }, bar(row.share), percent(row.share)) },
        { name: "Favourites", minor: true, number: true, value: (row) => row.available },
      ],
    }));
  };
}

function away(report) {
  const found = report.unavailable, home = report.account.region_name ?? report.account.region;
  fill("unavailable", !home ? empty("Where this account is at home is not known.") : !found.count ? empty(`Every favourite whose markets are known can be played in ${home}.`) : [
    sortedTable({
      caption: `Favourites that cannot be played in ${home}`, rows: found.rows, size: 8, paper: PRINTED_TRACKS, search: "Search these tracks", sort: 2, down: true,
      columns: [
        { name: "Track", main: true, value: (row) => row.title ?? "", words: true },
        { name: "Artists", value: (row) => row.artists ?? "", words: true },
        { name: "Known since", label: "known since", value: (row) => row.since, show: (row) => when(row.since, { short: true }) },
      ],
    }),
    found.is_cut ? el("p", { class: "note" }, `${number(found.rows.length)} of ${number(found.count)}; `, command("favsync report unavailable"), " has all of them.") : null,
  ]);
  const losses = byId("losses");
  while (losses.children.length > 1) losses.lastChild.remove();
  losses.hidden = !report.losses.length;
  if (report.losses.length) losses.append(sortedTable({
    caption: "Markets in which favourites could once be played and can no longer", rows: report.losses, size: 10, search: "Search markets", sort: 2, down: true,
    columns: [
      { name: "Market", main: true, value: (row) => row.market, words: true },
      { name: "Region", value: (row) => row.region ?? "", words: true },
      { name: "Favourites lost", number: true, label: "favourites lost:", value: (row) => row.tracks },
    ],
  }));
}
