// Fills the page, and lets the reader choose account and colours.
"use strict";

function hero(report) {
  const { account, summary, looks, half_life: half, freshness } = report;
  fill("title", account.name);
  document.title = `${account.name}: favourites`;
  const [amount, unit] = summary.playing_time ?? ["not known", ""];
  const isPart = summary.known_durations < summary.favourites;  // some durations are not known
  const ofKnown = isPart && summary.known_durations ? `${number(summary.known_durations)} of ${number(summary.favourites)} durations known` : "";
  const came = report.regrets.count;
  fill("lede", !looks.last ? ["favsync has not read this list yet. Run ", command("favsync sync"), ", then make this page again."] : isBare(report) ? [
    el("strong", {}, "No favourites"), `, and there never were any: favsync has looked ${looks.count === 1 ? "once, " : `${number(looks.count)} times since `}`, when(looks.first, { short: true }), "."] : [
    el("strong", {}, plural(summary.favourites, "favourite")), summary.known_durations ? `, ${isPart ? "at least " : ""}${amount} ${unit} of music${ofKnown ? ` (${ofKnown})` : ""} by ${plural(report.artists.count, "artist")}. ` : ". ",
    "favsync has watched since ", when(looks.first, { short: true }), `: ${plural(summary.added, "addition")} of ${plural(summary.added_tracks, "track")} and ${plural(summary.removed, "removal")}`,
    came ? `, of which ${number(came)} came back. ` : ". ",
    summary.missing ? [`${plural(summary.missing, "track is", "tracks are")} missing from the list${summary.missing > 1 ? ", the first" : ""} since `, when(summary.missing_since, { short: true }), "; favsync records a removal only once it is certain. "] : "",
    summary.busiest_month && watched(report) > 60 ? ["Most were added in ", el("strong", {}, monthInUtc.format(dayOf(summary.busiest_month[0]))), `: ${number(summary.busiest_month[1])}. `] : "",
  ].flat());
  const home = report.coverage.find((row) => row.market_code === account.region?.toUpperCase());
  const change = ({ added, removed }) => [el("span", { class: "up" }, `+${number(added)}`), " ", el("span", { class: "down" }, `−${number(removed)}`)];
  const tiles = !looks.last || isBare(report) ? [] : [
    ["Favourites", number(summary.favourites), looks.last ? ["seen ", when(looks.last)] : ""],
    summary.missing ? ["Missing", number(summary.missing), [summary.missing > 1 ? "the first since " : "since ", when(summary.missing_since, { short: true })]] : null,
    ["Playing time", isPart && summary.known_durations ? `≥ ${amount}` : amount, [unit, ofKnown].filter(Boolean).join("; ")],
    ["Artists", number(report.artists.count), `${number(report.artists.ever)} ever`],
    watched(report) > 30 ? ["In 30 days", change(summary.month), ["to ", when(looks.last, { short: true })]] : null,
    watched(report) > 365 ? ["In a year", change(summary.year), ["to ", when(looks.last, { short: true })]] : ["Since the first look", change(summary), "added and removed"],
    !report.survival.length ? null : ["Half are gone after", half?.half_life_days ? number(half.half_life_days) : "—", half?.half_life_days ? "days" : "more than half are still there"],
    home ? ["Playable at home", percent(home.share), home.known < summary.favourites ? `${home.market}; ${number(summary.favourites - home.known)} not known` : home.market] : null,
    freshness?.last_proven_at ? ["Last proven whole", el("span", { class: isStale(freshness) ? "stale" : null }, span(MADE_AT - new Date(freshness.last_proven_at))), "before this page was made"] : null,
  ].filter(Boolean);
  fill("tiles", tiles.map(([name, value, words]) => el("div", {}, el("dt", {}, name), el("dd", {}, value, el("small", {}, words)))));
  fill("grew-lead", watched(report) < 365 ? "" : [`In the year to `, when(looks.last, { short: true }), `, ${number(summary.year.added)} were added and ${number(summary.year.removed)} removed: `, el("strong", {}, signed(summary.year.added - summary.year.removed)), ". "]);
}

const isBare = (report) => !report.daily.length;
const isStale = (freshness) => MADE_AT - new Date(freshness.last_proven_at) > 7 * DAY_MS;

function highlights(report) {
  if (watched(report) < 28) return void (byId("highlights").hidden = true);
  const since = report.year_ago ? sayDay(new Date(report.year_ago)) : "", day = report.daily.map(([day, added, removed]) => [day, added + removed]);
  const [artist, genre] = [report.artists.risen, report.genres.risen_share], busiest = d3.greatest(day, (each) => each[1]);
  const back = report.comeback;
  const rise = ([name, now, before]) => [name ?? "(no name)", before ? `${number(before)} to ${plural(now, "favourite")} since ${since}` : `${plural(now, "favourite")}, none on ${since}`];
  const part = (count, of) => (of ? count / of : 0);
  const ofAll = ([, now, before]) => [part(before, report.genres.favourites_year_ago), part(now, report.summary.favourites)];
  const grew = (found) => [found[0] ?? "(no name)", `${percent(ofAll(found)[0])} to ${percent(ofAll(found)[1])} of the favourites since ${since}`];
  const cards = [
    artist && artist[1] > artist[2] ? ["Artist on the rise", ...rise(artist)] : null,
    genre && ofAll(genre)[1] > ofAll(genre)[0] ? ["Genre on the rise", ...grew(genre)] : null,
    back ? [watched(report) > 300 ? "Comeback of the year" : "Back again", back.title ?? `track ${back.track_id}`, `${back.artists ?? ""}: back after ${plural(Math.round(back.days_away), "day")}`] : null,
    busiest?.[1] ? ["Busiest day", sayDay(dayOf(busiest[0])), plural(busiest[1], "change")] : null,
  ].filter(Boolean);
  fill("highlights", cards.map(([kind, what, words]) => el("li", {}, el("span", {}, kind), el("b", {}, what), el("span", {}, words)))).hidden = !cards.length;
}

function sure(report) {
  const { runs, outcomes, freshness, looks } = report;
  const count = (name) => outcomes[name] ?? 0;
  fill("sure-lead", !looks.runs ? "There was no run yet." : [
    freshness?.last_proven_at ? ["The whole list was last read and proven ", when(freshness.last_proven_at), `, ${span(MADE_AT - new Date(freshness.last_proven_at))} before this page was made. `] : "The whole list was never proven. ",
    "Only a proven reading may remove a favourite. ",
    ended(looks.runs, [[count("succeeded") + count("unchanged"), "proved the list"], [count("partial"), "could not prove it"], [count("held"), "held removals for approval"], [count("failed"), "failed"]])].flat());
  const newest = runs.findLast((run) => run.observed_at);
  if (newest?.rejected) byId("sure-lead").append(` ${plural(newest.rejected, "entry", "entries")} of the last reading could not be understood; such a favourite counts as present.`);
  const kinds = [["succeeded", "proven, something changed"], ["unchanged", "proven, nothing changed"], ["held", "removals held"], ["partial", "not proven"], ["failed", "failed"]];
  const node = fill("runs");
  if (runs.length) {
    const words = `The last ${plural(runs.length, "run")}: ${kinds.map(([kind, each]) => `${runs.filter((run) => run.outcome === kind).length} ${each}`).join(", ")}`;
    const strip = el("div", { class: "outcomes", role: "img", "aria-label": words }, runs.map((run) => {
      const mark = el("span", { class: `outcome ${run.outcome ?? ""}` });
      mark.addEventListener("pointermove", (event) => showTip(event, el("strong", {}, `run ${run.run_id}: ${run.outcome ?? "in progress"}`), minuteInUtc.format(new Date(run.started_at)), el("br"), run.already_there ? `${number(run.already_there)} there ` : "", `+${number(run.added - run.already_there)} −${number(run.removed)}`, run.reason ? el("br") : null, run.reason));
      mark.addEventListener("pointerleave", hideTip);
      return mark;
    }));
    node.append(strip, el("figcaption", {}, runs.length === 1 ? "The only run so far." : `The ${looks.runs > runs.length ? "last " : ""}${number(runs.length)} runs, the newest at the end.`), legend(kinds.filter(([kind]) => count(kind)).map(([kind, each]) => [`outcome ${kind}`, each])),
      asTable("The last runs", [
        { name: "Run", number: true, value: (run) => run.run_id }, { name: "Began", value: (run) => run.started_at, show: (run) => when(run.started_at) },
        { name: "Outcome", main: true, value: (run) => run.outcome ?? "in progress" }, { name: "There at first", number: true, sparse: true, label: "there at first:", value: (run) => run.already_there || null }, { name: "Added", number: true, label: "added:", value: (run) => run.added - run.already_there }, { name: "Removed", number: true, label: "removed:", value: (run) => run.removed },
        { name: "Missing", number: true, label: "missing:", value: (run) => run.missing },
        { name: "Held", number: true, label: "held:", value: (run) => run.held }, { name: "Unreadable", number: true, label: "unreadable:", value: (run) => run.rejected }, { name: "Reason", value: (run) => run.reason ?? "", words: true },
      ], runs.slice().reverse()));
  }
  byId("known").hidden = !report.completeness.length;
  fill("completeness", sortedTable({
    caption: "Of how many favourites each fact is known", rows: report.completeness, size: 30, style: "pairs", sort: 1, down: false,
    columns: [
      { name: "Fact", main: true, value: (row) => (row.fact === "isrc" ? "ISRC" : row.fact === "web_url" ? "web address" : row.fact) },
      { name: "Known", value: (row) => row.share, show: (row) => el("span", { class: "range" }, bar(row.share), percent(row.share)) },
      { name: "Missing", minor: true, number: true, value: (row) => row.missing },
    ],
  }));
}

function ended(runs, outcomes) {
  const words = outcomes.filter(([count]) => count).map(([count, each]) => `${number(count)} ${each}`);
  const last = words.pop();
  return runs === 1 ? `The only run ${last?.replace(/^1 /, "") ?? "has no end yet"}.` : `Of ${plural(runs, "run")}, ${words.length ? `${words.join(", ")} and ` : ""}${last ?? "none has ended yet"}.`;
}

function display(report) {
  forget();
  for (const section of document.querySelectorAll("main section:not(.hero)")) {
    section.hidden = isBare(report) && (section.id !== "sure" || !report.looks.last);
    document.querySelector(`nav a[href="#${section.id}"]`).hidden = section.hidden;
  }
  for (const part of [hero, highlights, growth, calendar, who, lasting, where, recent, every, sure]) part(report);
}

function accounts() {
  if (!REPORT.accounts.length) {
    fill("title", "No account yet");
    fill("lede", "There is no account yet. ", command("favsync accounts add"), " adds one, ", command("favsync sync"), " reads its list.");
    for (const part of document.querySelectorAll("main section:not(.hero), .bar nav, .eyebrow")) part.hidden = true;
    return;
  }
  document.querySelector(".bar nav").hidden = false;
  const select = byId("account");
  fill(select, REPORT.accounts.map((report, place) => el("option", { value: String(place) }, report.account.name)));
  byId("picker").hidden = REPORT.accounts.length < 2;
  // A link that ends in #account=NAME opens that account, and choosing one writes such a link.
  const named = () => REPORT.accounts.findIndex((report) => location.hash === `#account=${encodeURIComponent(report.account.name)}`);
  const choose = (place) => { select.value = String(place); display(REPORT.accounts[place]); };
  select.addEventListener("change", () => { location.hash = `account=${encodeURIComponent(REPORT.accounts[+select.value].account.name)}`; });
  addEventListener("hashchange", () => { if (named() >= 0) choose(named()); });
  choose(Math.max(0, named()));
}

function colours() {
  const buttons = [...document.querySelectorAll("[data-colours]")];
  document.querySelector(".themes").hidden = false;
  const choose = (theme) => {
    if (theme === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.setAttribute("data-theme", theme);
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.colours === theme));
    try { localStorage.setItem("favsync-colours", theme); } catch { /* some browsers refuse storage to a page opened from a file */ }
  };
  for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.colours));
  try { choose(localStorage.getItem("favsync-colours") ?? "auto"); } catch { choose("auto"); }
}

colours();
accounts();
fill("foot",
  el("p", {}, "Made by favsync ", REPORT.version, " on ", when(MADE_AT), ". All times, days and months are UTC."),
  el("p", {}, "This file needs no network and sends nothing anywhere. Charts: D3 and TopoJSON by Mike Bostock (ISC). Map: Natural Earth, in the public domain, by way of world-atlas; boundaries are as drawn there. Headings: Bricolage Grotesque (OFL)."));
