/* Reviews: collected in the page, and saved as a file that "hpa review import" takes into a store. */
const VERDICTS = [["r", "right", "Right"], ["w", "wrong", "Wrong"], ["l", "labels", "These labels"], ["u", "unsure", "Unsure"], ["b", "bad", "Bad field"]];
const ENTRY_KEY = `hpa-review ${JSON.stringify([report.made, report.title, report.provenance.results])} `, NAME_KEY = "hpa-reviewer";
const review = { on: false, name: stored(NAME_KEY) ?? "", entries: storedEntries(), labels: new Set(), isSaved: true, field: null };

/* A browser may have no storage for files: then reviews last until the page is closed, which asks before. */
function stored(key) { try { return localStorage.getItem(key); } catch { return null; } }
function keep(key, value) { try { localStorage.setItem(key, value); return true; } catch { return false; } }
/* Each review has a key of its own: a tab reads late what another one wrote, and would overwrite it in a common list. */
function storedEntries() {
  try {
    return Object.keys(localStorage).filter(key => key.startsWith(ENTRY_KEY)).sort().map(key => JSON.parse(localStorage[key])).filter(entry => fields[entry.field]);
  } catch { return []; }
}
function takeStored() {
  const known = new Set(review.entries.map(one => one.id));
  review.entries = [...review.entries, ...storedEntries().filter(one => !known.has(one.id))].sort((one, other) => one.time < other.time ? -1 : one.time > other.time ? 1 : 0);
}
const newId = () => [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, "0")).join("");
const oneLine = name => name.normalize("NFC").replace(/[\u0000-\u001f\u007f-\u009f\s]+/g, " ").trim();

function standing() {
  const withdrawn = new Set(review.entries.map(entry => entry.withdraws));
  return review.entries.filter(entry => entry.verdict !== "withdrawn" && !withdrawn.has(entry.id));
}
/* Each person reviews and withdraws for themselves: a store refuses the withdrawal of another one's review. */
const own = () => standing().filter(entry => entry.reviewer === review.name);
function isReviewed(field) { return own().some(entry => entry.field === field.number); }
const named = labels => [...labels].sort((one, other) => one - other).map(label => report.names[label]).join(", ") || "no label";
const textOf = entry => entry.verdict === "right" || entry.verdict === "labels" ? `${entry.verdict === "right" ? "right: " : ""}${named(entry.labels)}` : VERDICTS.find(([, verdict]) => verdict === entry.verdict)[2].toLowerCase();

function record(entry) {
  const added = { id: newId(), reviewer: review.name, time: new Date().toISOString(), labels: [], withdraws: "", ...entry };
  keep(`${ENTRY_KEY}${added.time} ${String(review.entries.length).padStart(6, "0")} ${added.id}`, JSON.stringify(added));
  review.entries.push(added);
  review.isSaved = false;
  drawReviews();
}
function judge(verdict) {
  const field = review.field;
  if (!review.name) { askName(); return; }
  if (!field || (field.error && !["unsure", "bad"].includes(verdict))) return;
  const labels = verdict === "right" ? field.labels : verdict === "labels" ? [...review.labels].sort((one, other) => one - other) : [];
  record({ field: field.number, verdict, labels });
  const isLast = look.position === chosen.length - 1;
  if (!isLast) openField(look.position + 1);
  drawState(`${isLast ? "No field is left in this list. " : ""}Said of ${field.id}: ${textOf(review.entries.at(-1))}.`);
}
function undo() {
  const entry = own().at(-1);
  if (!entry) { drawState("There is nothing to undo."); return; }
  record({ field: entry.field, verdict: "withdrawn", withdraws: entry.id });
  const position = chosen.findIndex(field => field.number === entry.field);
  if (position >= 0) openField(position);
  drawState(`Undone for ${fields[entry.field].id}: ${textOf(entry)}.`);
}
function flip(key) {
  at("facts").querySelectorAll(".choice input")[Number(key) - 1]?.click();
}

/* The large view calls these. */
function choice(field, label, position) {
  const box = make("input", { type: "checkbox", checked: review.labels.has(label), "aria-label": report.names[label] });
  box.onchange = () => { if (box.checked) review.labels.add(label); else review.labels.delete(label); drawState(); };
  return make("label", { className: "choice" }, box, make("kbd", { "aria-hidden": "true" }, position < 9 ? String(position + 1) : ""));
}
function startReview(field) {
  review.field = field;
  review.labels = new Set(field.labels);
  if (review.on) drawState();
}
function reviewKey(key) {
  if (!review.on) return false;
  const verdict = VERDICTS.find(([letter]) => letter === key);
  if (verdict) judge(verdict[1]);
  else if (key === "z") undo();
  else if (/^[1-9]$/.test(key)) flip(key);
  else return false;
  return true;
}
function drawState(text = "") {
  const field = review.field, said = own().findLast(entry => entry.field === field?.number);
  const isEdited = field && !field.error && (review.labels.size !== field.labels.length || field.labels.some(label => !review.labels.has(label)));
  at("review-state").textContent = [text, field?.random ? "Random share." : "", said ? `You said: ${textOf(said)}.` : "", isEdited ? `L keeps: ${named(review.labels)}.` : ""].filter(Boolean).join(" ");
}
function drawReviews() {
  const count = review.entries.length;
  at("save").hidden = count === 0;
  at("save").textContent = `Save ${plural(standing().length, "review", "reviews")}${review.isSaved ? "" : " …"}`;
}
function toggleReview() {
  review.on = !review.on;
  at("judge").setAttribute("aria-pressed", review.on);
  at("review").hidden = !review.on;
  dialog.classList.toggle("reviewing", review.on);
  if (!review.field) return;
  drawFacts(review.field);
  drawState();
  askName();
}
function askName() {
  if (review.name || !review.on) return;
  drawState("Type your name, which stands beside each of your reviews.");
  at("who").focus();
}
function beginReview() {
  choose({ sort: "review" });
  const next = chosen.findIndex(field => !isReviewed(field));
  if (next < 0) { at("shown").textContent = "Every field is reviewed."; return; }
  openField(next);
  if (!review.on) toggleReview();
}

/* Stamps have numbers that JavaScript can't hold exactly: their text is copied. */
function reviewText(entry) {
  const field = fields[entry.field];
  const result = { id: field.id, labels: field.labels.map(label => report.names[label]), indices: field.labels, thresholds: thresholds(field) ?? [],
    error: field.error ? { what: field.error, where: null, remedy: "" } : null, files: field.files ?? [], model_sha256: report.models[field.model] ?? "", device: field.device ?? "", time: field.time ?? "",
    notes: field.notes ?? [], scheme: report.scheme, classes: report.own_classes, channels: field.channels ?? [], warnings: field.warnings ?? [],
    ...report.ensembles[report.models[field.model]] };
  const { field: _, ...own } = entry;
  return `${JSON.stringify(own).slice(0, -1)},"result":${JSON.stringify(result).slice(0, -1)},"stamps":${field.stamps ?? "[]"}}}`;
}
function save() {
  takeStored();
  const text = `{"form":"hpa-reviews","version":1,"reviews":[\n${review.entries.map(reviewText).join(",\n")}\n]}\n`;
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: `reviews-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  review.isSaved = true;
  drawReviews();
}
at("verdicts").append(
  ...VERDICTS.map(([key, verdict, text]) => make("button", { type: "button", className: "plain", "aria-keyshortcuts": key, onclick: () => judge(verdict) }, make("kbd", { "aria-hidden": "true" }, key.toUpperCase()), text)),
  make("button", { type: "button", className: "plain", "aria-keyshortcuts": "z", onclick: undo }, make("kbd", { "aria-hidden": "true" }, "Z"), "Undo"));
at("judge").onclick = toggleReview;
at("begin").onclick = beginReview;
at("save").onclick = save;
at("who").value = review.name;
at("who").onchange = () => { review.name = oneLine(at("who").value); at("who").value = review.name; keep(NAME_KEY, review.name); };
at("who").onkeydown = event => {
  if (event.key !== "Enter" || !oneLine(at("who").value)) return;
  event.preventDefault();
  at("facts").focus();
  drawState();
};
addEventListener("storage", event => {
  if (!event.key?.startsWith(ENTRY_KEY)) return;
  takeStored();
  drawReviews();
});
addEventListener("beforeunload", event => { if (!review.isSaved) event.preventDefault(); });
drawReviews();
update();
