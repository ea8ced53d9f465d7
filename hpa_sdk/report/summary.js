/* Head and summary: counts, classes, failures, the model, and where all comes from. */
document.querySelector("h1").textContent = report.title;
document.querySelector("header p").textContent = `Report ${report.made}`;
if (report.card?.warning) {
  at("warning").textContent = `The model ${report.card.name}: ${report.card.warning}`;
  at("warning").hidden = false;
}
const theme = at("theme");
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  theme.textContent = name === "dark" ? "Light" : "Dark";
}
setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
theme.onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");

/* Summary */
function tile(number, text, view) {
  const content = [make("b", { className: "number" }, number), make("span", { className: "soft" }, text)];
  if (!view) return make("div", { className: "panel" }, ...content);
  return make("button", { className: "panel", type: "button", onclick: () => choose({ show: view }) }, ...content);
}
const number = view => fields.filter(field => VIEWS.find(found => found.key === view).has(field)).length;
at("tiles").append(...[
  tile(count(fields.length), fields.length === 1 ? "field" : "fields", "all"),
  known("truth") ? tile(count(number("wrong")), "with a mistake", "wrong") : null,
  known("certainty") ? tile(count(number("unsure")), "near a threshold", "unsure") : null,
  tile(count(number("empty")), "without a label", "empty"),
  known("shares") ? tile(count(number("partial")), "where only some cells show a label", "partial") : null,
  tile(count(number("failed")), "failed", "failed"),
  known("warnings") ? tile(count(number("warned")), "with a warning", "warned") : null,
  report.judged ? tile(digits(report.judged.micro), "micro F1") : null,
  report.judged ? tile(digits(report.judged.macro), "macro F1") : null,
].filter(Boolean));

const listed = report.names.map((_, label) => label).filter(label => report.classes[label].found || report.classes[label].support);
function classRow(label) {
  const entry = report.classes[label];
  const most = Math.max(...report.classes.map(found => Math.max(found.found, found.support ?? 0)));
  const bar = make("span", { className: "bar on", title: report.judged ? "bar: fields found; line: fields that have it" : "" }, make("i"));
  bar.firstChild.style.width = `${100 * entry.found / most}%`;
  if (entry.support !== undefined) { const mark = make("u"); mark.style.left = `${100 * entry.support / most}%`; bar.append(mark); }
  const open = make("button", { type: "button", onclick: () => choose({ class: String(label) }) }, report.names[label]);
  const figures = report.judged ? [count(entry.support), digits(entry.precision), digits(entry.recall), digits(entry.f1)] : [];
  return make("tr", {}, make("td", {}, open), make("td", { className: "share" }, bar), ...[count(entry.found), ...figures].map(text => make("td", {}, text)));
}
function drawClasses() {
  const heads = ["class", report.judged ? "found | has it" : "found", "found", ...(report.judged ? ["has it", "precision", "recall", "F1"] : [])];
  at("classes").append(
    make("thead", {}, make("tr", {}, ...heads.map(text => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...listed.map(classRow)));
  const absent = plural(report.names.length - listed.length, "class was", "classes were");
  at("judged").textContent = [
    report.judged ? `Judged on the ${plural(report.judged.fields, "field", "fields")} that were answered and are in the truth table.` : "",
    report.judged?.adapted ? `The model was adapted to ${count(report.judged.adapted)} of these fields: the figures are too good.` : "",
    report.repeated ? `${plural(report.repeated, "field counts", "fields count")} as without truth: several results have the id.` : "",
    listed.length < report.names.length ? `${absent} found in no field${report.judged ? ", and no field has them" : ""}.` : "",
    "Choose a class to see its fields.",
  ].filter(Boolean).join(" ");
}
drawClasses();

function facts(pairs) {
  return make("dl", { className: "facts" }, ...pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
}
function panel(title, isOpen, ...content) {
  return make("details", { className: "panel", open: isOpen }, make("summary", {}, title), ...content);
}
const failed = fields.filter(field => field.error);
if (failed.length) {
  const box = panel(`${plural(failed.length, "field", "fields")} failed`, true,
    make("ul", {}, ...failed.slice(0, 200).map(field => make("li", {}, make("code", {}, field.id), make("br"), field.error))));
  box.id = "failures";
  if (failed.length > 200) box.append(make("p", { className: "soft" }, `The first 200; the grid has all.`));
  at("side").append(box);
}
function cardFacts(card) {
  const { training, metrics, calibration, parity, variant } = card;
  return facts([
    ["name", card.name], ["network", `${card.architecture}, ${card.precision}${variant?.kind === "winograd" ? " by Winograd's way" : ""}`], ["created", card.created],
    ["training", `recipe ${training.recipe} on ${training.data}, ${count(training.steps)} steps, seed ${training.seed}`],
    ["metrics", metrics && `micro F1 ${digits(metrics.micro_f1)}, macro F1 ${digits(metrics.macro_f1)} on ${count(metrics.fields)} fields of ${metrics.data}`],
    ["calibration", calibration && `error ${digits(calibration.error_before)}; ${digits(calibration.error_after)} at temperature ${digits(calibration.temperature)}`],
    ["parity", parity && `probabilities differ from the trained network's by ${parity.max_difference.toExponential(1)} at most`],
    ["agreement", variant && `${(100 * variant.same_label_sets).toFixed(1)} % same label sets as its fp32 file`],
    ["weights", card.weights_sha256], ["licence", card.licence], ["cite", card.citation],
  ]);
}
at("side").append(
  report.card ? panel("Model", true, cardFacts(report.card), panel("The whole card", false, make("pre", {}, JSON.stringify(report.card, null, 2))))
    : panel("Model", true, make("p", { className: "soft" }, "Not given. hpa report --model FILE adds its card and thresholds.")),
  panel("Where this comes from", false, facts(Object.entries(report.provenance))));
