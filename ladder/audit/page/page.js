"use strict";
// Without this script the page shows everything; with it rows can be filtered, and a link into a fold opens it.
const form = document.querySelector(".filter");
const words = document.querySelector("#words");
const standing = document.querySelector("#standing");
const told = form.querySelector("output");
const rows = [...document.querySelectorAll("tbody tr")].map((row) => ({ row, text: row.textContent.toLowerCase() }));
const PREFIX = "#filter=";

function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const { row, text } of rows) {
    const kept =
      wanted.every((word) => text.includes(word)) && (!standing.value || row.dataset.standing === standing.value);
    row.hidden = !kept;
    shown += kept;
  }
  const active = wanted.length || standing.value;
  told.value = active ? `${shown} of ${rows.length} rows` : "";
  if (active) for (const fold of document.querySelectorAll("details")) fold.open = true;
}

function remember() {
  filter();
  const value = new URLSearchParams({ words: words.value, standing: standing.value });
  const active = words.value || standing.value;
  history.replaceState(null, "", active ? `${PREFIX}${encodeURIComponent(value)}` : "#main");
}

function arrive() {
  if (location.hash.startsWith(PREFIX)) {
    const value = new URLSearchParams(decodeURIComponent(location.hash.slice(PREFIX.length)));
    words.value = value.get("words") ?? "";
    standing.value = value.get("standing") ?? "";
    filter();
    return;
  }
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.hidden) {
    words.value = standing.value = "";
    filter();
  }
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  target.scrollIntoView();
}

form.hidden = false;
form.addEventListener("submit", (event) => event.preventDefault());
words.addEventListener("input", remember);
standing.addEventListener("change", remember);
addEventListener("hashchange", arrive);
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
});
arrive();
