// How good each model is on the reviewed fields.

import { ask } from "./api.js";
import { byId, make } from "./dom.js";

const REST = 1500; // milliseconds, however fast people review

let timer = null;
let newestShown = -1;

// The number of the newest review, from which to follow.
export async function showFigures(nameOf) {
  const { models, newest } = await ask("/review-figures");
  if (newest < newestShown) return newest; // a late response
  newestShown = newest;
  byId("figures-panel").hidden = models.length === 0;
  const heads = ["Fields", "Count", "Right", "F1"].map((text) => make("th", { scope: "col" }, text));
  const rows = models.flatMap((one) => [
    make("tr", {}, make("th", { scope: "rowgroup", colSpan: 4, className: "model", title: one.model }, nameOf(one.model))),
    figuresRow("all", one.reviewed, one.right, one.micro_f1),
    figuresRow("random", one.random_reviewed, one.random_right, one.random_micro_f1),
    ...adaptedRows(one),
  ]);
  const caption = make("caption", { className: "unseen" }, "Reviewed fields of each model: number, share that is right, micro F1");
  byId("figures").replaceChildren(
    make("table", { className: "figures" }, caption, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)),
    models.length > 1 ? make("p", { className: "figures soft" }, "Each model on the fields that it answered, which can differ.") : "",
  );
  return newest;
}

export function refreshFigures(nameOf) {
  timer ??= setTimeout(() => {
    timer = null;
    showFigures(nameOf).catch(() => {}); // the connection says so
  }, REST);
}

// A model knows the fields that it was adapted to.
function adaptedRows(one) {
  if (!one.adapted) return [];
  const text = `Adapted to ${one.adapted.toLocaleString()} of these fields: the figures are too good.`;
  const rows = [make("tr", {}, make("td", { colSpan: 4, className: "soft" }, text))];
  if (one.other_reviewed) rows.push(figuresRow("others", one.other_reviewed, one.other_right, one.other_micro_f1));
  return rows;
}

function figuresRow(name, fields, right, f1) {
  const share = fields ? `${Math.round((100 * right) / fields)} %` : "–";
  return make(
    "tr",
    {},
    make("th", { scope: "row" }, name),
    make("td", { className: "number" }, fields.toLocaleString()),
    make("td", { className: "number" }, share),
    make("td", { className: "number" }, f1 === null ? "–" : f1.toFixed(2)),
  );
}
