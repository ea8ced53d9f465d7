// One field: its pictures, its labels with probabilities and thresholds, and where the answer comes from.

import { whyNoPicture } from "./api.js";
import { cellParts } from "./cells.js";
import { bar, byId, clock, isUnchecked, make, percent, picture, shortName } from "./dom.js";

const CHANNELS = { red: "microtubules", green: "the protein", blue: "nucleus", yellow: "endoplasmic reticulum" };
const LIKELIEST = 9; // as many as there are digits to choose them with
const UNCHECKED =
  "This result is of an earlier version, which did not record the state of the files. Whether the pictures still show what was answered cannot be checked.";

let allShown = false;

export function showNothing() {
  byId("field").replaceChildren(
    make(
      "div",
      { className: "welcome" },
      make("h2", {}, "Waiting for the first field"),
      make("p", {}, "It is shown here as soon as it is answered. To try one, drop its four planes or a stack here."),
    ),
  );
}

// With `choices`, each label has a box, and the first nine have a key.
export function showField(result, { labels: names, cell_colours: colours }, choices = null) {
  const cells = result.cells && cellParts(result, names, colours);
  const parts = result.error
    ? [failure(result.error)]
    : [make("div", { className: "answer" }, pictures(result, cells), make("div", { className: "figures-of-field" }, cells && cells.facts, probabilities(result, names, choices, cells !== null && cells !== undefined)))];
  byId("field").replaceChildren(heading(result), ...warnings(result), ...parts, ...notes(result), origin(result));
}

function heading(result) {
  const chips = result.labels.map((label) => make("li", { className: "chip" }, label));
  const labels = chips.length
    ? make("ul", { className: "chips", "aria-label": "Labels" }, ...chips)
    : make("p", { className: "no-label" }, result.error ? "Failed" : "No label reaches its threshold");
  return make(
    "div",
    { className: "field-head" },
    make("p", { className: "field-id" }, make("span", { title: result.id }, shortName(result.id)), " · ", clock(result.time)),
    make("h2", { className: "unseen" }, `Field ${shortName(result.id)}`),
    labels,
  );
}

function failure(error) {
  return make(
    "div",
    { className: "failure" },
    make("h3", {}, "This field has no answer"),
    make("p", {}, `${error.what[0].toUpperCase()}${error.what.slice(1)}.`),
    error.where ? make("p", { className: "path" }, error.where) : null,
    make("p", {}, make("strong", {}, "What to do: "), error.remedy),
  );
}

function pictures(result, cells) {
  const planes = Object.entries(CHANNELS).map(([channel, meaning]) => figure(result, channel, meaning, 384));
  return make(
    "div",
    { className: "pictures" },
    isUnchecked(result) ? make("p", { className: "unchecked-note" }, UNCHECKED) : null,
    figure(result, "composite", "all four channels", 768, cells),
    make("div", { className: "planes" }, ...planes),
  );
}

function figure(result, view, meaning, side, cells = null) {
  const path = picture(result, view, side, cells !== null);
  const image = make("img", {
    src: path,
    alt: `${view}: ${meaning} of ${shortName(result.id)}`,
    width: side,
    height: side,
    decoding: "async",
  });
  const large = { href: picture(result, view, 2048, cells !== null), target: "_blank" };
  const link = cells ? make("div", { className: "stage" }, image, cells.layer) : make("a", { ...large, title: "Open it large" }, image);
  image.addEventListener("error", async () => {
    const reason = make("p", { className: "no-picture" }, "No picture");
    link.replaceWith(reason);
    reason.textContent = `No picture: ${await whyNoPicture(path)}`;
  });
  const caption = make(
    "figcaption",
    {},
    make("span", { className: `swatch ${view}`, "aria-hidden": "true" }),
    `${view[0].toUpperCase()}${view.slice(1)}`,
    make("span", { className: "soft" }, ` ${meaning}`),
    cells ? " · " : null,
    cells ? make("a", large, "Open it large") : null,
  );
  return make("figure", { className: view }, link, caption);
}

function probabilities(result, names, choices, besideCells) {
  const order = names.map((_, index) => index);
  const counts = new Set(result.indices);
  order.sort((a, b) => counts.has(b) - counts.has(a) || result.probabilities[b] - result.probabilities[a]);
  const rows = order.map((index, at) => {
    const name = choices ? choices.box(index, names[index], at) : names[index];
    return row(name, result.probabilities[index], result.thresholds[index], counts.has(index), choices !== null);
  });
  const body = make("tbody");
  const button = make("button", { type: "button" });
  const fill = () => {
    const shown = allShown ? rows.length : Math.max(LIKELIEST, result.indices.length);
    body.replaceChildren(...rows.slice(0, shown));
    button.textContent = allShown ? "Only the likeliest" : `All ${rows.length} labels`;
    button.setAttribute("aria-expanded", String(allShown));
  };
  button.addEventListener("click", () => {
    allShown = !allShown;
    fill();
  });
  fill();
  const cells = ["Label", "", "Probability", "Threshold"].map((name) => make("th", { scope: "col" }, name));
  cells[1] = make("td");
  return make(
    "div",
    { className: "probabilities" },
    besideCells ? make("h3", {}, "Field as a whole") : null,
    make("table", {}, make("caption", { className: "unseen" }, "Probability of each label"), make("thead", {}, make("tr", {}, ...cells)), body),
    button,
  );
}

function row(name, probability, threshold, counts, isChoice) {
  const mark = isChoice ? null : make("span", { className: "mark", "aria-hidden": "true" }, counts ? "✓" : "");
  return make(
    "tr",
    { className: counts ? "counts" : "" },
    make("th", { scope: "row" }, mark, name),
    make("td", { className: "bar-cell" }, bar(probability, threshold)),
    make("td", { className: "number" }, percent(probability)),
    make("td", { className: "number soft" }, percent(threshold)),
  );
}

function warnings(result) {
  if (!result.warnings.length) return [];
  const listed = make("ul", {}, ...result.warnings.map((warning) => make("li", {}, warning)));
  return [make("div", { className: "notes warnings" }, make("h3", {}, "⚠ The answer may be wrong"), listed)];
}

function notes(result) {
  if (!result.notes.length) return [];
  const listed = make("ul", {}, ...result.notes.map((note) => make("li", {}, note)));
  return [make("div", { className: "notes" }, make("h3", {}, "To be known"), listed)];
}

function madeBy({ model_sha256: sha256, models, views }) {
  const files = (models.length ? models : [sha256]).map((one) => `${one.slice(0, 12)}…`).join(" + ");
  return views > 1 ? `${files}, ${views} views` : files;
}

function origin(result) {
  const facts = { Id: result.id, Device: result.device, Model: madeBy(result), Files: result.files.join("\n") || "none" };
  return make(
    "details",
    { className: "origin" },
    make("summary", {}, "Where it comes from"),
    make("dl", {}, ...Object.entries(facts).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
  );
}
