/* The grid: a card for each field, filtered and sorted. */
/* Pictures: stored as text until they are shown */
const loaded = new Promise(done => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", done); else done();
});
async function picture(kind, field) {
  let block = at(`${kind}${field.number}`);
  if (!block?.nextSibling) { await loaded; block = at(`${kind}${field.number}`); }
  const image = new Image();
  image.src = `data:image/webp;base64,${block.textContent}`;
  await image.decode();
  return image;
}

/* Labels and bars */
function chips(field) {
  const missed = (field.truth ?? []).filter(label => !field.labels.includes(label));
  const found = field.labels.map(label => {
    if (field.truth === undefined) return make("span", { className: "chip" }, report.names[label]);
    const right = field.truth.includes(label);
    return make("span", { className: right ? "chip" : "chip wrong" }, `${right ? "✓" : "✗"} ${report.names[label]}`);
  });
  const none = found.length ? [] : [make("span", { className: "chip none" }, "no label")];
  return make("span", { className: "chips" }, ...found, ...none, ...missed.map(label => make("span", { className: "chip missed" }, `missed: ${report.names[label]}`)));
}
function score(field, label) {
  const value = field.p[label], limits = thresholds(field), on = field.labels.includes(label);
  const bar = make("span", { className: on ? "bar on" : "bar", title: limits ? `threshold ${limits[label]}` : "" }, make("i"));
  bar.firstChild.style.width = `${100 * value}%`;
  if (limits) { const mark = make("u"); mark.style.left = `${100 * limits[label]}%`; bar.append(mark); }
  const className = on ? "" : " off";
  return [make("span", { className: `name${className}`, title: report.names[label] }, report.names[label]), bar,
    make("span", { className: `value${className}` }, value.toFixed(2))];
}
function order(field) {
  return field.p.map((_, label) => label).sort((one, other) => field.p[other] - field.p[one]);
}
function shownLabels(field) {
  const asked = at("class").value === "" ? [] : [Number(at("class").value)];
  const counted = order(field).filter(label => field.labels.includes(label) || field.truth?.includes(label));
  const first = new Set([...asked, ...counted]);
  const shown = Math.max(SCORES_ON_A_CARD, Math.min(first.size, 6));
  return [...new Set([...first, ...order(field)])].slice(0, shown).sort((one, other) => field.p[other] - field.p[one]);
}

/* Grid */
const seen = new IntersectionObserver(entries => {
  for (const entry of entries.filter(found => found.isIntersecting)) {
    seen.unobserve(entry.target);
    picture("small", fields[entry.target.dataset.number]).then(image => {
      image.alt = "colour composite";
      entry.target.prepend(image);
    });
  }
}, { rootMargin: "600px" });

function badge(field) {
  if (field.error) return ["✗ failed", "wrong"];
  if (isWrong(field)) return ["✗ mistake", "wrong"];
  if (field.warnings) return ["⚠ warning", "wrong"];
  return field.unsure ? ["≈ near threshold", ""] : null;
}
function card(field, position) {
  const sight = make("span", { className: "sight" });
  sight.dataset.number = field.number;
  if (field.size) seen.observe(sight); else sight.append(make("span", { className: "why" }, field.picture_error ?? "no picture"));
  if (field.caption) sight.append(make("span", { className: "caption" }, field.caption));
  const flag = badge(field);
  if (flag) sight.append(make("span", { className: `badge ${flag[1]}` }, flag[0]));
  const figures = make("span", { className: "figures" }, make("code", { title: field.id }, field.id),
    field.error ? make("span", { className: "why bad" }, field.error) : chips(field),
    field.p ? make("span", { className: "scores" }, ...shownLabels(field).flatMap(label => score(field, label))) : null,
    field.cells ? make("span", { className: "soft cells" }, plural(field.cells.length, "cell", "cells")) : null,
    shares(field, SHARES_ON_A_CARD));
  const open = make("button", { className: "card", type: "button", onclick: () => openField(position) }, sight, figures);
  return make("li", {}, open);
}
let chosen = [], drawn = 0;
function drawMore() {
  const next = chosen.slice(drawn, drawn + CARDS_AT_ONCE);
  at("grid").append(...next.map((field, step) => card(field, drawn + step)));
  drawn += next.length;
}
const end = new IntersectionObserver(entries => {
  if (!entries.some(entry => entry.isIntersecting) || drawn >= chosen.length) return;
  drawMore();
  end.unobserve(at("more"));
  end.observe(at("more"));
}, { rootMargin: "1200px" });

function fill(id, options) { at(id).append(...options.map(([value, text]) => make("option", { value }, text))); }
fill("class", [["", "any"], ...report.names.map((name, label) => [label, `${name} (${count(report.classes[label].found)})`])]);
fill("show", VIEWS.filter(view => known(view.needs)).map(view => [view.key, view.name]));
fill("sort", SORTS.filter(sort => known(sort.needs)).map(sort => [sort.key, sort.name]));
function update() {
  const label = at("class").value === "" ? null : Number(at("class").value);
  const view = VIEWS.find(found => found.key === at("show").value), text = at("find").value.toLowerCase();
  const sort = SORTS.find(found => found.key === at("sort").value);
  const has = field => label === null || field.labels.includes(label) || (field.truth ?? []).includes(label);
  chosen = fields.filter(field => view.has(field, label) && has(field) && field.id.toLowerCase().includes(text));
  const keys = new Map(chosen.map(field => [field, sort.by(field, label)]));
  chosen.sort((one, other) => keys.get(one) === keys.get(other) ? one.number - other.number : keys.get(one) < keys.get(other) ? -1 : 1);
  at("grid").replaceChildren();
  drawn = 0;
  drawMore();
  /* It reports only changes, and the end of the earlier cards may have been in sight too. */
  end.unobserve(at("more"));
  end.observe(at("more"));
  at("shown").textContent = `${count(chosen.length)} of ${plural(fields.length, "field", "fields")}`;
}
function choose(values) {
  for (const [id, value] of Object.entries({ class: "", show: "all", ...values })) at(id).value = value;
  update();
  at("tools").scrollIntoView({ behavior: "smooth" });
}
for (const id of ["class", "show", "sort"]) at(id).onchange = update;
at("find").oninput = update;
at("grid").onkeydown = event => {
  const cards = [...at("grid").querySelectorAll(".card")], here = cards.indexOf(document.activeElement);
  const columns = getComputedStyle(at("grid")).gridTemplateColumns.split(" ").length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  if (here < 0 || !step) return;
  event.preventDefault();
  cards[here + step]?.focus();
};
