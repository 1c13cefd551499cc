"use strict";

// How many rows of a table are shown until someone asks for all.
const FIRST_ROWS = 10;

function sayAge(seconds) {
  const steps = [[86400 * 2, 86400, "days"], [3600 * 2, 3600, "hours"], [120, 60, "minutes"]];
  const step = steps.find(([from]) => seconds >= from);
  return step ? `${Math.floor(seconds / step[1])} ${step[2]} ago` : "just now";
}

// The page may be read long after it was written: its age is that of the moment of reading.
function showAge() {
  const age = document.getElementById("age");
  if (!age) return;
  const seconds = (Date.now() - Date.parse(age.dataset.asOf)) / 1000;
  age.textContent = `, ${sayAge(seconds)}`;
  if (seconds > Number(age.dataset.staleAfter)) {
    const stale = document.getElementById("stale");
    stale.textContent = `These numbers are stale: they are from ${sayAge(seconds)}. Open the newest report, or find out why no sync has succeeded since.`;
    stale.hidden = false;
  }
}

async function drawCharts() {
  for (const place of document.querySelectorAll("[data-chart]")) {
    const summary = place.getAttribute("aria-label");
    const spec = JSON.parse(document.getElementById(place.dataset.chart).textContent);
    await window.vegaEmbed(place, spec, {
      mode: "vega-lite",
      renderer: "svg",
      actions: false,
      ast: true, // expressions are interpreted, not compiled: the page's policy forbids eval
      defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
    });
    // Vega names what it draws in; the page's own words say more.
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", summary);
    place.removeAttribute("aria-roledescription");
    place.dataset.drawn = "true";
  }
}

// Sorting, search, and the first rows of a table.
function enliven(block) {
  const table = block.querySelector("table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const search = block.querySelector("input");
  const shown = block.querySelector(".shown");
  const all = block.querySelector(".all");
  const lifts = block.querySelector(".only");
  const headings = [...table.tHead.rows[0].cells].map((header) => header.textContent);
  // What a link asks for: by column, the texts of which a cell must be one.
  let only = [];
  let showsAll = false;

  function update() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = new Set(rows.filter((row, at) => words.every((word) => texts[at].includes(word))
      && only.every(([column, asked]) => asked.includes(row.cells[headings.indexOf(column)].textContent))));
    let left = showsAll ? Infinity : FIRST_ROWS;
    for (const row of body.rows) {
      row.hidden = !found.has(row) || left-- <= 0;
    }
    const count = Math.min(found.size, showsAll ? Infinity : FIRST_ROWS);
    const here = "capped" in block.dataset ? " in this page" : "";
    const of = words.length || only.length ? `${found.size.toLocaleString("en")} found` : rows.length.toLocaleString("en");
    shown.textContent = found.size ? `${count.toLocaleString("en")} of ${of}${here}` : "No row has all these words.";
    lifts.hidden = !only.length;
    lifts.textContent = `Only ${only.map(([column, asked]) => `${column}: ${asked.join(" or ")}`).join("; ")} ✕`;
    lifts.setAttribute("aria-label", `${lifts.textContent.slice(0, -2)}. Show all rows again`);
    all.hidden = found.size <= FIRST_ROWS;
    all.textContent = showsAll ? "Show fewer" : `Show all ${found.size.toLocaleString("en")}`;
    all.setAttribute("aria-expanded", String(showsAll));
    // Few rows need no search; but a search that a link began must be there to be undone.
    block.querySelector(".tools").hidden = rows.length <= FIRST_ROWS && !words.length && !only.length;
  }

  function sortBy(column, header) {
    const isDescending = header.getAttribute("aria-sort") === "ascending"
      || (header.classList.contains("number") && header.getAttribute("aria-sort") !== "descending");
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
    const keys = new Map(rows.map((row) => [row, row.cells[column].dataset.order]));
    const areNumbers = [...keys.values()].every((key) => key === undefined || (key !== "" && !Number.isNaN(Number(key))));
    const compare = areNumbers ? (a, b) => a - b : (a, b) => a.localeCompare(b, "en");
    const sorted = [...body.rows].sort((one, other) => {
      const [a, b] = [keys.get(one), keys.get(other)];
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
      return isDescending ? compare(b, a) : compare(a, b);
    });
    body.append(...sorted);
    update();
  }

  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    header.replaceChildren(button);
    button.addEventListener("click", () => sortBy(column, header));
  });
  search.addEventListener("input", update);
  all.addEventListener("click", () => {
    showsAll = !showsAll;
    update();
  });
  lifts.addEventListener("click", () => block.show([]));
  block.show = (asked) => {
    search.value = "";
    only = asked;
    update();
  };
  update();
}

// A number leads to its rows: the table shows those alone.
function followLinks() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    const block = link && document.getElementById(link.hash.slice(1));
    if (block && block.show) {
      block.open = true;
      block.show(Object.entries(JSON.parse(link.dataset.only || "{}")));
    }
  });
}

showAge();
document.querySelectorAll(".rows").forEach(enliven);
followLinks();
if (window.vegaEmbed) drawCharts();
