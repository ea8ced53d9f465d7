/* The cells of a field: how many show each label, their outlines over the picture, and the answer for one of them. */
const SHARES_ON_A_CARD = 4;
const BINS = 10;
const percent = value => `${Math.round(100 * value)} %`;
const namesOf = labels => labels.map(label => report.names[label]).join(", ") || "no label";
function swatch(label) {
  const dot = make("span", { className: "swatch" });
  dot.style.background = report.cell_colours[label];
  return dot;
}

/* Shares */
function shareRow(field, [label, shown, share, low, high, atBorder]) {
  const cells = field.counts[0];
  const bar = make("span", { className: "bar on", title: `95 % interval: ${percent(low)} to ${percent(high)}` }, make("i"), make("em"));
  bar.firstChild.style.width = `${100 * share}%`;
  bar.lastChild.style.left = `${100 * low}%`;
  bar.lastChild.style.width = `${100 * (high - low)}%`;
  const border = atBorder ? `; at the border ${atBorder} of ${field.counts[1]}` : "";
  return [make("span", { className: "name", title: report.names[label] }, swatch(label), report.names[label]), bar,
    make("span", { className: "value", title: `${shown} of ${cells} cells inside the field${border}` }, cells ? `${shown}/${cells}` : `${atBorder}/${field.counts[1]}`)];
}
function shares(field, most) {
  if (!field.shares?.length) return null;
  const asked = at("class").value === "" ? -1 : Number(at("class").value);
  const first = [...field.shares].sort((one, other) => (other[0] === asked) - (one[0] === asked)).slice(0, most);
  return make("span", { className: "scores shares" }, ...first.flatMap(share => shareRow(field, share)));
}
function cellCounts({ counts: [inside, border, failed] }) {
  return `${plural(inside + border, "cell", "cells")}${border ? `, ${count(border)} at the border, which do not count in the shares` : ""}${failed ? `; ${count(failed)} without an answer` : ""}`;
}

/* How uniform each protein is */
function histogram(label) {
  const bins = new Array(BINS).fill(0);
  for (const field of fields) {
    const found = field.shares?.find(share => share[0] === label);
    if (found && field.counts[0]) bins[Math.min(Math.floor(found[2] * BINS), BINS - 1)] += 1;
  }
  return bins;
}
function drawUniformity() {
  if (!known("shares")) return;
  const rows = report.names.map((_, label) => [label, histogram(label)]).filter(([, bins]) => bins.some(Boolean));
  const body = rows.map(([label, bins]) => {
    const most = Math.max(...bins), total = bins.reduce((sum, bin) => sum + bin);
    const bars = bins.map((bin, step) => {
      const bar = make("i", { title: `${plural(bin, "field", "fields")}: ${percent(step / BINS)} to ${percent((step + 1) / BINS)} of the cells` });
      bar.style.height = `${bin ? Math.max(100 * bin / most, 8) : 0}%`;
      return bar;
    });
    const text = bins.map((bin, step) => bin ? `${bin} at ${percent(step / BINS)} to ${percent((step + 1) / BINS)}` : "").filter(Boolean).join(", ");
    const open = make("button", { type: "button", onclick: () => choose({ class: String(label), show: "partial" }) }, swatch(label), report.names[label]);
    return make("tr", {}, make("td", {}, open), make("td", {}, make("span", { className: "bins", role: "img", "aria-label": `fields by share of cells: ${text}` }, ...bars)), make("td", {}, count(total)));
  });
  const table = make("table", { id: "uniformity" },
    make("thead", {}, make("tr", {}, ...["class", "share of cells: 0 to 100 %", "fields"].map(text => make("th", { scope: "col" }, text)))), make("tbody", {}, ...body));
  const box = make("section", { className: "panel", "aria-labelledby": "cells-title" }, make("h2", { id: "cells-title" }, "Cells"),
    make("p", { className: "soft" }, "How many of the cells of a field show the class. Bars on the right: all cells do. Choose a class to see the fields in which only some cells show it."),
    make("div", { className: "long", tabIndex: 0, role: "region", "aria-label": "Shares of cells" }, table));
  at("side").prepend(box);
}
drawUniformity();

/* Outlines */
function outlines(field) {
  if (!field.cells || !look.outlines) return [];
  const cells = field.cells.map(cell => {
    const dim = look.label !== null && !cell.labels.includes(look.label);
    const colour = look.label !== null && !dim ? look.label : mainLabel(cell.labels, cell.p);
    return { pieces: cell.o, colour: report.cell_colours.at(colour), border: cell.border, dim, chosen: cell === look.cell,
      title: `Cell ${cell.n}: ${cell.error ?? namesOf(cell.labels)}` };
  });
  return [outlineLayer(field.full, cells, position => chooseCell(field, field.cells[position]))];
}
function chooseCell(field, cell) {
  look.cell = cell === look.cell ? null : cell;
  const held = document.activeElement?.matches("#stage path");
  drawFacts(field);
  drawStage();
  if (held) at("stage").querySelectorAll("path")[field.cells.indexOf(cell)]?.focus();
}
function chooseLabel(field, label) {
  look.label = label === look.label ? null : label;
  drawFacts(field);
  drawStage();
}

/* Facts of a field with cells */
function cellFactsOf(field) {
  if (field.no_cells) return [make("p", { className: "bad no-cells" }, `No cells: ${field.no_cells}`)];
  if (!field.cells) return [];
  const notes = field.cell_notes.length ? make("ul", { className: "cell-notes", "aria-label": "How the cells were found" }, ...field.cell_notes.map(text => make("li", {}, text))) : null;
  const legend = field.shares.map(share => {
    const row = make("button", { type: "button", className: "scores shares", "aria-pressed": share[0] === look.label, onclick: () => chooseLabel(field, share[0]) }, ...shareRow(field, share));
    return row;
  });
  const help = field.size ? "Choose a label to see its cells, or a cell in the picture to see its probabilities. Border cells are dashed." : "";
  return [make("section", { className: "cells", "aria-label": "Cells" }, make("p", { className: "soft" }, `${cellCounts(field)}. ${help}`), notes, ...legend, ...oneCell(field))];
}
function oneCell(field) {
  if (!look.cell) return [];
  const cell = look.cell;
  const own = { labels: cell.labels, p: cell.p?.map(value => value / 1000), t: field.t };
  return [make("div", { className: "cell", role: "status" }, make("h2", {}, `Cell ${cell.n}${cell.border ? ", at the border" : ""}`),
    cell.error ? make("p", { className: "bad" }, cell.error) : chips(own),
    own.p ? make("div", { className: "scores" }, ...order(own).slice(0, 8).flatMap(label => [swatch(label), ...score(own, label)])) : null)];
}
