// Tables with search, sorting and pages; the recent changes; every favourite.
"use strict";

// columns: {name, value, show?, number?, main?, words? (searched), sparse? (left out where no row found has it)}; on a narrow
// screen: label? (before the value), more? (small, on one line with others), minor? (not shown); on a wide one: short? (one line)
const inOrder = new Intl.Collator("en");  // created once: localeCompare takes seconds for ten thousand titles
function sortedTable({ caption, columns, rows, size: wanted = 15, paper = PRINTED_ROWS, style = "", search = "", sort = null, down = false, tools = [], keep: kept = () => true }) {
  const size = narrow.matches && wanted < 25 ? Math.min(wanted, 6) : wanted;
  const body = el("tbody"), said = el("span"), box = el("div", { class: "tablebox" });
  const state = { page: 0, sort, down, query: "", keep: kept };
  let texts = null;  // computed at the first search
  const searched = () => (texts ??= rows.map((row) => columns.filter((column) => column.words).map((column) => column.value(row)).join("\n").toLowerCase()));
  let found = rows;
  const buttons = columns.map((column, place) => el("button", { type: "button", onclick: () => { order(place, state.sort === place ? !state.down : Boolean(column.number)); } }, column.name));
  const heads = columns.map((column, place) => el("th", { scope: "col", class: column.number ? "number" : null }, buttons[place]));
  const picker = el("select", { "aria-label": `Sort: ${caption}` }, columns.flatMap((column, place) => [
    el("option", { value: `${place}` }, `${column.name} ↑`), el("option", { value: `-${place}` }, `${column.name} ↓`)]));
  picker.addEventListener("change", () => order(Math.abs(+picker.value), picker.value.startsWith("-")));
  const order = (place, isDown) => { Object.assign(state, { sort: place, down: isDown, page: 0 }); find(); };

  const compare = (a, b) => (typeof a === "string" && typeof b === "string" ? inOrder.compare(a, b) : d3.ascending(a, b));
  const missing = (value) => value === null || value === undefined || value === "";
  function find() {
    const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
    found = rows.filter((row, place) => state.keep(row) && words.every((word) => searched()[place].includes(word)));
    if (state.sort !== null) {
      const { value } = columns[state.sort], sign = state.down ? -1 : 1;
      found = found.map((row) => [value(row), row]).sort(([a], [b]) => missing(a) - missing(b) || sign * compare(a, b)).map(([, row]) => row);
    }
    heads.forEach((head, place) => {
      if (place === state.sort) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    if (state.sort !== null) picker.value = `${state.down ? "-" : ""}${state.sort}`;
    draw();
  }
  function draw(isPrinted = false) {
    const first = isPrinted ? 0 : state.page * size, shown = found.slice(first, first + (isPrinted ? paper : size));
    const isOut = columns.map((column) => Boolean(column.sparse) && !found.some((row) => !missing(column.value(row))));
    // Chromium repeats the heads on each sheet of paper only if there is no button in them.
    heads.forEach((head, place) => { head.hidden = isOut[place]; head.replaceChildren(isPrinted ? columns[place].name : buttons[place]); });
    body.replaceChildren(...shown.map((row) => el("tr", {}, columns.map((column, place) => {
      if (isOut[place]) return null;
      const value = column.show ? column.show(row) : column.value(row);
      const text = typeof value === "number" ? number(value) : value;
      return el("td", { class: [column.number && "number", column.main && "main", column.words && !column.main && "text", column.more && "more", column.short && "short", column.minor && "minor"].filter(Boolean).join(" ") || null, "data-label": column.label }, text ?? "");
    }))));
    said.textContent = found.length ? `${number(first + 1)}–${number(first + shown.length)} of ${number(found.length)}` : "Nothing matches.";
    back.disabled = state.page === 0;
    forth.disabled = first + size >= found.length;
    pages.hidden = isPrinted ? shown.length === found.length : rows.length <= size;
  }
  const turn = (by) => () => { state.page += by; draw(); };
  const back = el("button", { type: "button", onclick: turn(-1) }, "Previous"), forth = el("button", { type: "button", onclick: turn(1) }, "Next");
  const pages = el("div", { class: "pages" }, said, el("span", {}, back, forth));
  let waiting;
  const input = search ? el("input", { type: "search", placeholder: search, "aria-label": search, autocomplete: "off", spellcheck: "false" }) : null;
  input?.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { Object.assign(state, { query: input.value, page: 0 }); find(); byId("spoken").textContent = `${plural(found.length, "row")} found`; }, 120);
  });
  const keep = (test) => { Object.assign(state, { keep: test, page: 0 }); find(); };
  const others = tools.map((tool) => tool(keep));
  if (rows.length > 1) box.append(el("div", { class: input || others.length ? "tools" : "tools sorting" }, input, others, el("span", { class: "sorter" }, picker)));
  box.append(el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    el("table", { class: `stacks ${style}` }, el("caption", { class: "visually-hidden" }, caption), el("thead", {}, el("tr", {}, heads)), body)), pages);
  find();
  tables.add(draw);
  return box;
}

// A change is known to lie between two times.
function between(after, at) {
  if (after === null || after === undefined) return el("span", {}, `at some time before `, when(at));
  return el("span", {}, "between ", when(after, { before: at }), " and ", when(at, { after }));
}

// What the catalogue says about a track that left.
const reasons = { unfavourited: "unfavourited", withdrawn: "withdrawn by Boomplay", unknown: "not known" };
const reasonOf = (reason) => (reason ? (reasons[reason] ?? reason) : "");

function recent(report) {
  const found = report.changes;
  if (!found.count) return void fill("recent", empty("Nothing has changed yet."));
  const filter = (keep) => segments("Which changes", [["", "All"], ["added", "Added"], ["removed", "Removed"], ["missing", "Missing"]].filter(([key]) => key !== "missing" || found.rows.some((row) => row.change === key)), "", (key) => keep((row) => !key || row.change === key));
  fill("recent", sortedTable({
    caption: "The newest changes", rows: found.rows, size: 12, paper: PRINTED_TRACKS, search: "Search changes", sort: 3, down: true, tools: [filter],
    columns: [
      { name: "Change", value: (row) => row.change, show: (row) => el("span", { class: `badge ${row.change.replace(" ", "-")}` }, row.change) },
      { name: "Track", main: true, value: (row) => row.title ?? "", words: true, show: (row) => row.title ?? `track ${row.track_id}` },
      { name: "Artists", value: (row) => row.artists ?? "", words: true },
      { name: "When it happened", short: true, value: (row) => row.changed_at, show: (row) => between(row.not_before, row.changed_at) },
      { name: "Why", more: true, short: true, sparse: true, value: (row) => reasonOf(row.removal_reason) },
    ],
  }), found.is_cut ? el("p", { class: "note" }, `The newest ${number(found.rows.length)}; `, command("favsync report favourite-changes"), " has all of them.") : null);
}

function unpacked(packed) {
  // etl/reporting/html/packing.py defines the order of a row's fields.
  const { texts, instants, links } = packed;
  const text = (place) => (place === null ? "" : texts[place]), instant = (place) => (place === null ? null : instants[place]);
  const link = (id) => (Object.hasOwn(links.others, id) ? links.others[id] : links.before + id + links.after);
  return packed.rows.map(([id, title, artists, album, genres, seconds, markets, from, after, to, removedAfter, missing = null, reason = null]) => ({
    id, title, artists: text(artists), album: text(album), genres: text(genres), seconds, markets,
    from: instant(from), after: instant(after), to: instant(to), removedAfter: instant(removedAfter), missing: instant(missing), reason: text(reason), link: to === null ? link(id) : null,
  }));
}

function titleOf(row) {
  const words = row.title ?? `track ${row.id}`;
  return row.link && /^https?:\/\//i.test(row.link) ? el("a", { href: row.link, rel: "noopener noreferrer", target: "_blank" }, words) : words;
}

function every(report) {
  const rows = unpacked(report.tracks);
  if (!rows.length) return void fill("every", empty("There are no favourites, and there never were any that favsync saw."));
  const gone = rows.filter((row) => row.to !== null).length;
  const filter = (keep) => segments("Which favourites", [["now", `Now ${number(rows.length - gone)}`], ["gone", `Removed ${number(gone)}${gone < report.tracks.ended ? ", the newest" : ""}`], ["", "All"]], "now", (key) => keep((row) => !key || (key === "now") === (row.to === null)));
  fill("every", sortedTable({
    caption: "Every favourite", rows, size: 20, style: "dense", search: "Search titles, artists, albums, genres", sort: 5, down: true, tools: gone ? [filter] : [], keep: (row) => row.to === null,
    columns: [
      { name: "Track", main: true, value: (row) => row.title ?? "", words: true, show: titleOf },
      { name: "Artists", value: (row) => row.artists, words: true },
      { name: "Album", more: true, value: (row) => row.album, words: true },
      { name: "Genres", more: true, value: (row) => row.genres, words: true },
      { name: "Length", more: true, number: true, value: (row) => row.seconds, show: (row) => clock(row.seconds) },
      { name: "Added", more: true, label: "added", value: (row) => row.from, show: (row) => (row.after === null ? el("span", {}, "before ", when(row.from, { short: true })) : el("span", { title: `between ${utc(row.after)} and ${utc(row.from)}` }, when(row.from, { short: true }))) },
      { name: "Removed", more: true, sparse: true, label: "removed", value: (row) => row.to, show: (row) => (row.to === null ? "" : when(row.to, { short: true })) },
      { name: "Why", more: true, sparse: true, value: (row) => reasonOf(row.reason) },
      { name: "Missing", more: true, sparse: true, label: "missing since", value: (row) => row.missing, show: (row) => (row.missing === null ? "" : el("span", { title: `not listed since ${utc(row.missing)}; its removal is not recorded yet` }, "since ", when(row.missing, { short: true }))) },
    ],
  }), gone < report.tracks.ended ? el("p", { class: "note" }, `Of the ${number(report.tracks.ended)} that were removed, the newest ${number(gone)}; `, command("favsync report favourite-history"), " has all of them.") : null);
}
