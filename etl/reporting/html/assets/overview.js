// Sorts and searches the overview of accounts.
"use strict";

const table = document.getElementById("accounts"), body = table.tBodies[0], rows = [...body.rows];
const names = new Intl.Collator(undefined, { numeric: true });
const value = (row, column) => row.cells[column].querySelector("data")?.value ?? row.cells[column].textContent;
const tools = document.getElementById("tools");
const search = Object.assign(document.createElement("input"), { type: "search", placeholder: "Search accounts" });
const found = Object.assign(document.createElement("span"), { role: "status" });

function sort(head, column) {
  const isDown = head.ariaSort ? head.ariaSort === "ascending" : column > 0;  // numbers begin with the largest
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
  const order = (a, b) => (column ? value(a, column) - value(b, column) : names.compare(value(a, 0), value(b, 0)));
  body.append(...rows.sort((a, b) => (isDown ? order(b, a) : order(a, b))));
}

function show() {
  const words = search.value.trim().toLowerCase();
  for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(words);
  found.textContent = words ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} accounts` : "";
}

[...table.tHead.rows[0].cells].forEach((head, column) => {
  const name = head.textContent, button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
  button.addEventListener("click", () => sort(head, column));
  head.replaceChildren(button);
  // Chromium repeats the heads on each sheet of paper only if there is no button in them.
  addEventListener("beforeprint", () => head.replaceChildren(name));
  addEventListener("afterprint", () => head.replaceChildren(button));
});
search.setAttribute("aria-label", "Search accounts");
search.addEventListener("input", show);
tools.append(search, found);
