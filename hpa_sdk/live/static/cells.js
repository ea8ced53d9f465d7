// The cells of the field that is shown: how many show each label, their outlines, and the answer for one of them.

import { ask } from "./api.js";
import { cellsPath, make, percent } from "./dom.js";
import { mainLabel, outlineLayer } from "./outlines.js";

const LIKELIEST = 6;

// An interval can end exactly at 0 or at 1.
const end = (share) => (share === 0 || share === 1 ? `${100 * share} %` : percent(share));

// What a person chose in a field stays when the field is drawn again.
let look = null;

// The outlines, which lie over the picture, and the facts beside it. Only this field's cells are loaded.
export function cellParts(result, names, colours) {
  if (look?.store !== result.store || look?.number !== result.number)
    look = { store: result.store, number: result.number, cells: null, problem: "", cell: null, label: null };
  const view = new CellView(result, names, colours, look);
  view.draw();
  view.load();
  return view;
}

class CellView {
  constructor(result, names, colours, look) {
    Object.assign(this, { result, names, colours, look });
    this.layer = make("div", { className: "outlines" });
    this.facts = make("section", { className: "cells", "aria-label": "Cells" });
    this.one = make("div", { className: "cell", role: "status" });
  }

  async load() {
    const { look } = this;
    if (look.cells || this.result.cells.error) return;
    try {
      look.cells = (await ask(cellsPath(this.result))).cells;
      look.problem = "";
    } catch (problem) {
      look.problem = `${problem.what}. ${problem.remedy ?? ""}`;
    }
    this.draw();
  }

  draw() {
    const { cells, border_cells: border, failed, shares, error, notes } = this.result.cells;
    const texts = [
      `${(cells + border).toLocaleString()} ${cells + border === 1 ? "cell" : "cells"}`,
      border ? `${border.toLocaleString()} at the border, which do not count in the shares` : "",
      failed ? `${failed.toLocaleString()} without an answer` : "",
    ];
    const count = error ? make("p", { className: "no-cells" }, `No cells: ${error.replace("the field has no cells; ", "")}`) : make("p", { className: "soft" }, `${texts.filter(Boolean).join("; ")}.`);
    const known = notes.length ? make("ul", { className: "cell-notes", "aria-label": "How the cells were found" }, ...notes.map((note) => make("li", {}, note))) : null;
    const help = this.look.cells?.length ? make("p", { className: "soft" }, "Choose a label to mark its cells, or a cell in the picture to see its probabilities. Border cells are dashed.") : null;
    const problem = this.look.problem ? make("p", { className: "no-cells" }, this.look.problem) : null;
    const list = make("ul", {}, ...shares.map((share) => make("li", {}, this.share(share))));
    const focused = this.facts.contains(document.activeElement) ? document.activeElement.dataset.label : undefined;
    this.facts.replaceChildren(make("h3", {}, "Cells"), count, ...[known, problem, list, help].filter(Boolean), this.one);
    if (focused !== undefined) this.facts.querySelector(`[data-label="${focused}"]`)?.focus();
    this.drawOutlines();
    this.drawCell();
  }

  share({ index, shown, share, low, high, border_shown: border }) {
    const { cells, border_cells: all } = this.result.cells;
    const bar = make("span", { className: "bar", "aria-hidden": "true" }, make("span", { className: "bar-filled" }), make("span", { className: "interval" }));
    bar.firstChild.style.setProperty("--share", share);
    bar.lastChild.style.setProperty("--low", low);
    bar.lastChild.style.setProperty("--high", high);
    const interval = cells ? `${end(low)} to ${end(high)}` : "";
    const atBorder = border ? `; at the border ${border} of ${all}` : "";
    const button = make(
      "button",
      { type: "button", className: "share", "aria-pressed": String(this.look.label === index), title: `${shown} of ${cells} cells inside the field${atBorder}; 95 % interval: ${interval || "none"}` },
      make("span", {}, this.swatch(index), this.names[index]),
      make("span", { className: "number" }, cells ? `${shown}/${cells}` : `${border}/${all}`),
      bar,
      make("span", { className: "number" }, interval),
    );
    button.dataset.label = index;
    button.addEventListener("click", () => {
      this.look.label = this.look.label === index ? null : index;
      this.draw();
    });
    return button;
  }

  swatch(index) {
    const dot = make("span", { className: "swatch", "aria-hidden": "true" });
    dot.style.background = this.colours.at(index);
    return dot;
  }

  title(cell) {
    return `Cell ${cell.cell}: ${cell.error ?? (cell.indices.map((index) => this.names[index]).join(", ") || "no label")}`;
  }

  drawOutlines() {
    const { look, result } = this;
    if (!look.cells?.length) return;
    const cells = look.cells.map((cell) => {
      const dim = look.label !== null && !cell.indices.includes(look.label);
      const colour = look.label !== null && !dim ? look.label : mainLabel(cell.indices, cell.probabilities);
      return { pieces: cell.outline, colour: this.colours.at(colour), title: this.title(cell), border: cell.border, dim, chosen: cell.cell === look.cell };
    });
    const held = this.layer.contains(document.activeElement);
    this.layer.replaceChildren(outlineLayer([result.cells.width, result.cells.height], cells, (at) => this.choose(look.cells[at])));
    if (held) this.layer.querySelectorAll("path")[look.cells.findIndex((cell) => cell.cell === this.last)]?.focus();
  }

  choose(cell) {
    this.last = cell.cell;
    this.look.cell = this.look.cell === cell.cell ? null : cell.cell;
    this.drawOutlines();
    this.drawCell();
  }

  drawCell() {
    const cell = this.look.cells?.find((one) => one.cell === this.look.cell);
    if (!cell) {
      this.one.replaceChildren();
      return;
    }
    const order = cell.probabilities.map((_, index) => index);
    order.sort((a, b) => cell.indices.includes(b) - cell.indices.includes(a) || cell.probabilities[b] - cell.probabilities[a]);
    const rows = order.slice(0, Math.max(LIKELIEST, cell.indices.length)).map((index) =>
      make(
        "tr",
        { className: cell.indices.includes(index) ? "counts" : "" },
        make("th", { scope: "row" }, make("span", { className: "mark", "aria-hidden": "true" }, cell.indices.includes(index) ? "✓" : ""), this.names[index]),
        make("td", { className: "number" }, percent(cell.probabilities[index])),
      ),
    );
    const caption = make("caption", {}, `${this.title(cell)}${cell.border ? " (at the border)" : ""}`);
    this.one.replaceChildren(make("table", {}, caption, make("tbody", {}, ...rows)));
  }
}
