
"use strict";
(() => {
  const section = document.getElementById("findings");
  if (!section) return;

  const table = section.querySelector("table.findings");
  const toolbar = section.querySelector(".toolbar");
  const search = toolbar.querySelector("input");
  const selects = [...toolbar.querySelectorAll("select")];
  const shown = toolbar.querySelector(".shown span");
  const nothing = section.querySelector(".nothing");
  const findings = [...table.tBodies].map((body) => ({ body, ...body.dataset, text: null }));
  const collator = new Intl.Collator("en", { numeric: true });
  const order = {
    severity: (a, b) => a.rank - b.rank,
    code: (a, b) => collator.compare(a.code, b.code),
    row: (a, b) => a.row - b.row,
    message: (a, b) => collator.compare(message(a), message(b)),
  };

  function message(finding) {
    return finding.body.rows[0].cells[3].textContent;
  }

  function text(finding) {
    finding.text ??= finding.body.textContent.toLowerCase();
    return finding.text;
  }

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const finding of findings) {
      const fits =
        selects.every((select) => !select.value || finding[select.dataset.filter] === select.value) &&
        words.every((word) => text(finding).includes(word));
      finding.body.hidden = !fits;
      n += fits;
    }
    shown.textContent = n;
    nothing.hidden = n > 0;
  }

  function clear() {
    toolbar.reset();
    filter();
  }

  function sortBy(header) {
    const key = header.dataset.key;
    const now = header.getAttribute("aria-sort");
    const first = key === "severity" ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const direction = now === first ? other : first;
    for (const th of table.tHead.rows[0].cells) th.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const sorted = [...findings].sort((a, b) => sign * order[key](a, b));
    table.append(...sorted.map((finding) => finding.body));
  }

  for (const header of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () => sortBy(header));
    header.replaceChildren(button);
  }
  search.addEventListener("input", filter);
  for (const select of selects) select.addEventListener("change", filter);
  toolbar.addEventListener("submit", (event) => event.preventDefault());
  nothing.querySelector("button").addEventListener("click", () => {
    clear();
    search.focus();
  });
  for (const link of document.querySelectorAll("a.to-findings")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      clear();
      selects[0].value = link.dataset.code;
      filter();
      section.scrollIntoView();
      selects[0].focus({ preventScroll: true });
    });
  }
  toolbar.hidden = false;
  filter(); // a browser that goes back restores what was typed
})();
