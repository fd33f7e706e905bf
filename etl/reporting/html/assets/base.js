// Shared by all parts of the page: elements, numbers and times as text, the tooltip, charts that follow the page's width.
// Text from the database becomes text nodes, never markup.
"use strict";
const REPORT = JSON.parse(document.getElementById("report").textContent);
const WORLD = JSON.parse(document.getElementById("world").textContent);
const MADE_AT = new Date(REPORT.made_at);
const DAY_MS = 86400000;

const byId = (id) => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

function fill(target, ...children) {
  const node = typeof target === "string" ? byId(target) : target;
  node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const narrow = matchMedia("(max-width: 40rem)");
const watched = (report) => (report.looks.last ? (new Date(report.looks.last) - new Date(report.looks.first)) / DAY_MS : 0);
const empty = (...words) => el("p", { class: "empty" }, words);
const command = (words) => el("code", {}, words);

// Numbers
const whole = new Intl.NumberFormat("en-GB");
const number = (value) => whole.format(value);
const plural = (count, one, many = one + "s") => `${number(count)} ${count === 1 ? one : many}`;
const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "±") + number(Math.abs(value));
function percent(share) {
  if (share === null || share === undefined) return "not known";
  const value = share * 100;
  if (value > 0 && value < 0.05) return "<\u00a00.1\u00a0%";  // little is not nothing
  const digits = value > 99 && value < 100 ? 1 : value % 1 && value < 10 ? 1 : 0;
  return `${Math.min(value, value < 100 ? 99.9 : 100).toFixed(digits)}\u00a0%`;
}
function clock(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (value) => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
function span(ms) {
  const minutes = ms / 60000;
  if (minutes < 1) return `${Math.max(1, Math.round(ms / 1000))}\u00a0s`;
  if (minutes < 90) return `${Math.round(minutes)}\u00a0min`;
  if (minutes < 48 * 60) return `${Math.round(minutes / 60)}\u00a0h`;
  return `${Math.round(minutes / 1440)}\u00a0days`;
}
const days = (count) => (count >= 730 ? `${(count / 365.25).toFixed(1)} years` : plural(count, "day"));

// Times: UTC throughout, since the views count days, weeks and months so, and one page has one zone.
const minuteInUtc = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
const dayInUtc = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const yearInUtc = new Intl.DateTimeFormat("en-GB", { year: "numeric", timeZone: "UTC" });
const monthInUtc = new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric", timeZone: "UTC" });
const asDate = (value) => (value instanceof Date ? value : typeof value === "number" ? new Date(value * 1000) : new Date(value));
const utc = (value) => asDate(value).toISOString().slice(0, 19).replace("T", " ") + " UTC";
const timeInUtc = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
const minuteOfYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
// ``after`` and ``before``: the other end of the interval, which is written beside this one: it has the day or the year that is left out here.
function when(value, { short = false, after = null, before = null } = {}) {
  const instant = asDate(value), isSame = (other, format) => other !== null && format.format(asDate(other)) === format.format(instant);
  const format = short ? dayInUtc : isSame(after, dayInUtc) ? timeInUtc : isSame(before, yearInUtc) && !isSame(before, dayInUtc) ? minuteOfYear : minuteInUtc;
  return el("time", { datetime: instant.toISOString(), title: utc(instant) }, format.format(instant));
}
const dayOf = (text) => new Date(text + "T00:00:00Z");
const sayDay = (date) => dayInUtc.format(date);

// The tooltip follows the pointer. Tables and labels contain the same information.
function showTip(event, ...children) {
  const tip = fill("tip", ...children);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const x = Math.min(event.clientX + 16, innerWidth - box.width - 8);
  const y = event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 14 : event.clientY + 18;
  tip.style.left = `${Math.max(8, x)}px`;
  tip.style.top = `${Math.max(8, y)}px`;
}
const hideTip = () => { byId("tip").hidden = true; };
addEventListener("scroll", hideTip, { passive: true });

// A chart is a function of its width. It is called again when the width changes, and for print.
const drawings = new Map();
const watcher = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) drawings.get(target)?.(Math.floor(contentRect.width));
});
function chart(target, name, draw) {
  let drawn = 0;
  const svg = d3.select(target).append("svg").attr("class", "chart").attr("role", "img").attr("aria-label", name);
  const redraw = (width) => {
    if (!width || width === drawn) return;
    drawn = width;
    svg.selectAll("*").remove();
    svg.attr("viewBox", null);
    draw(svg, width);
    svg.attr("viewBox", `0 0 ${svg.attr("width") ?? width} ${svg.attr("height")}`);
  };
  drawings.set(target, redraw);
  watcher.observe(target);
  redraw(Math.floor(target.getBoundingClientRect().width));
  return svg;
}
// Paper is narrower than most windows, and the observer is called too late for print. The style sheet does the rest.
const PAPER = 700;
const PRINTED_ROWS = 5000, PRINTED_TRACKS = 40;  // at most, of a table and of a list of tracks that left or changed
const tables = new Set();  // functions that draw a table, for print or for the screen
addEventListener("beforeprint", () => { for (const drawTable of tables) drawTable(true); for (const [target, redraw] of drawings) redraw(Math.min(PAPER, Math.floor(target.getBoundingClientRect().width) || PAPER)); });
addEventListener("afterprint", () => { for (const drawTable of tables) drawTable(false); for (const [target, redraw] of drawings) redraw(Math.floor(target.getBoundingClientRect().width)); });
function forget() {
  watcher.disconnect();
  drawings.clear();
  tables.clear();
  hideTip();
}

function asTable(caption, columns, rows) {
  const details = el("details", {}, el("summary", {}, "The same as a table"));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(sortedTable({ caption, columns, rows, size: 12 }));
  });
  return details;
}

function segments(label, choices, chosen, choose) {
  const group = el("div", { class: "segments", role: "group", "aria-label": label });
  for (const [key, text] of choices) {
    const button = el("button", { type: "button", "aria-pressed": String(key === chosen) }, text);
    button.addEventListener("click", () => {
      for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
      choose(key);
    });
    group.append(button);
  }
  return group;
}

const legend = (entries) =>
  el("ul", { class: "legend" }, entries.map(([style, words]) => el("li", {}, el("span", { class: style }), words)));
