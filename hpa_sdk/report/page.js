"use strict";
/* Shared by all parts of the page: the results, and small helpers. */
const report = JSON.parse(document.getElementById("content").textContent);
const CHANNELS = [
  { name: "Microtubules", dot: "#ff5b4f", safe: [.75, 0, .75] },
  { name: "Protein", dot: "#3ddc63", safe: [0, 1, 0] },
  { name: "Nucleus", dot: "#4f7dff", safe: [.1, .2, 1] },
  { name: "Endoplasmic reticulum", dot: "#e8d44a", safe: [.22, .22, .22] },
];
const CARDS_AT_ONCE = 60;
const SCORES_ON_A_CARD = 4;
const at = id => document.getElementById(id);
const fields = report.fields;
fields.forEach((field, number) => { field.number = number; });

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") node.setAttribute(name, value); else node[name] = value;
  }
  node.append(...children.filter(child => child !== null));
  return node;
}
const count = number => number.toLocaleString("en");
const digits = value => value === null || value === undefined ? "–" : value.toFixed(3);
const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

/* The state of a field */
const thresholds = field => field.t === undefined ? null : report.thresholds[field.t];
const isWrong = field => field.truth !== undefined && !field.error &&
  (field.labels.length !== field.truth.length || field.labels.some(label => !field.truth.includes(label)));
/* Only some cells show a label, the chosen one or any. */
const isPartial = (field, chosen = null) => field.mixed?.some(label => chosen === null || label === chosen);
const VIEWS = [
  { key: "all", name: "all fields", has: () => true },
  { key: "wrong", name: "mistakes", has: isWrong, needs: "truth" },
  { key: "unsure", name: "near a threshold", has: field => field.unsure, needs: "certainty" },
  { key: "empty", name: "no label", has: field => !field.error && !field.labels.length },
  { key: "partial", name: "only some cells show it", has: isPartial, needs: "shares" },
  { key: "failed", name: "failed", has: field => field.error },
  { key: "warned", name: "with a warning", has: field => field.warnings, needs: "warnings" },
  { key: "reviewed", name: "reviewed", has: field => isReviewed(field) },
  { key: "open", name: "not reviewed", has: field => !isReviewed(field) },
];
const known = needed => !needed || fields.some(field => field[needed] !== undefined);
const probability = (field, label) => field.p ? field.p[label] : -1;
const last = value => value === undefined ? Infinity : value;
const SORTS = [
  { key: "wrong", name: "worst mistakes first", needs: "wrong", by: field => last(field.wrong === undefined ? undefined : -field.wrong) },
  { key: "unsure", name: "least sure first", needs: "certainty", by: field => last(field.certainty) },
  { key: "sure", name: "most sure first", needs: "certainty", by: field => field.certainty === undefined ? 1 : -field.certainty },
  { key: "class", name: "probability of the class", by: (field, chosen) => -Math.max(...(chosen === null ? field.p ?? [-1] : [probability(field, chosen)])), needs: "p" },
  { key: "review", name: "for review", by: field => last(field.turn), needs: "turn" },
  { key: "mixed", name: "most surely mixed cells first", needs: "shares", by: (field, chosen) => -Math.max(0, ...(field.shares ?? [])
    .filter(([label]) => chosen === null || label === chosen).map(([, , , low, high]) => Math.min(low, 1 - high))) },
  { key: "order", name: "order of the results", by: field => field.number },
];
