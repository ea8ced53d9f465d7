// The page: shows the server's results and follows new ones. It has no state that a reload would lose.

import { resultsBefore } from "./api.js";
import { showField, showNothing } from "./detail.js";
import { byId, make, shortName } from "./dom.js";
import { refreshFigures, showFigures } from "./figures.js";
import { FieldList } from "./list.js";
import { Review } from "./review.js";
import { showProblem, showStatus } from "./status.js";
import { takeFiles } from "./upload.js";

const DRAW_EVERY = 250; // milliseconds, however many results arrive
const SAY_EVERY = 4000;

let store = null;
let leaving = false;
let status = null;
let shown = null;
let following = true;
let newest = 0;
let newestReview = 0;
let arrived = [];
let drawn = -Infinity;

const list = new FieldList({ choose: (result) => (follow(false), show(result)), fail: showProblem, isOfThisStore });

const review = new Review({
  show: (result) => (follow(false), show(result)),
  redraw: () => show(shown),
  fail: showProblem,
  names: () => status?.labels ?? [],
  isOfThisStore,
});
const nameOf = (sha256) => (sha256 === status?.model.sha256 ? status.model.name : sha256.slice(0, 8) || "unknown");

// Another store, such as a new one after the old one was moved away, has other results under the same numbers and ids. The results here are not in it, so the page reloads.
function isOfThisStore(other) {
  if (store !== null && other !== store && !leaving) {
    leaving = true;
    location.reload();
  }
  return !leaving;
}

function show(result) {
  if (result?.id !== shown?.id) byId("field").scrollTop = 0; // the label set and the first rows, wherever the last one was left
  shown = result;
  list.select(result);
  review.take(result);
  if (!result) showNothing();
  else if (status) showField(result, status, review.choices);
}

// A field that is sent arrives twice, as a response and as an event: drawn again, it would lose what a person chose in it.
function showUnlessShown(result) {
  if (result.id === shown?.id && result.number <= shown.number) list.select(shown);
  else show(result);
}

function follow(on) {
  following = on;
  byId("follow").setAttribute("aria-pressed", String(on));
}

async function load() {
  const first = await list.load(byId("show").value);
  if (first === undefined) return;
  if (!shown || following) show(first);
  else list.select(shown);
}

const drawAll = () => {
  const results = arrived;
  arrived = [];
  drawn = performance.now();
  if (leaving) return;
  list.prepend(results);
  const again = results.findLast((result) => result.id === shown?.id);
  for (const result of results) review.queue.replace(result);
  if ((following && !review.on) || !shown) showUnlessShown(results.at(-1));
  else if (again) showUnlessShown(again);
  else list.select(shown);
  say(results);
};

let unsaid = [];
let sayTimer = null;
function say(results) {
  unsaid.push(...results);
  sayTimer ??= setTimeout(() => {
    const last = unsaid.at(-1);
    const answer = last.error ? `failed: ${last.error.what}` : last.labels.join(", ") || "no label";
    const many = unsaid.length > 1 ? `${unsaid.length} new fields. The last, ` : "New field ";
    byId("said").textContent = `${many}${shortName(last.id)}: ${answer}`;
    unsaid = [];
    sayTimer = null;
  }, byId("said").textContent ? SAY_EVERY : 0);
}

function connect() {
  const events = new EventSource(`/events?after=${newest}&reviews=${newestReview}&store=${store}`);
  events.addEventListener("result", (event) => {
    const result = JSON.parse(event.data);
    if (!isOfThisStore(result.store)) return;
    newest = result.number;
    arrived.push(result);
    if (arrived.length === 1) setTimeout(drawAll, drawn + DRAW_EVERY - performance.now());
  });
  events.addEventListener("review", (event) => {
    const entry = JSON.parse(event.data);
    if (!isOfThisStore(entry.store)) return;
    newestReview = entry.number;
    review.arrived(entry);
    refreshFigures(nameOf);
  });
  events.addEventListener("status", (event) => {
    const first = status === null;
    const current = JSON.parse(event.data);
    // A lower number than before: the store was replaced by an older copy.
    if (!isOfThisStore(current.newest < newest ? null : current.store)) return;
    status = current;
    showStatus(status, showLabel);
    if (first) refreshFigures(nameOf);
    if (first && status.cells) offer("mixed=true", "where only some cells show a label");
    if (first && shown) showField(shown, status, review.choices);
  });
  events.addEventListener("open", () => showConnection("Live", "live"));
  events.addEventListener("error", () => {
    showConnection("Not connected; trying again…", "lost");
    if (events.readyState !== EventSource.CLOSED) return;
    events.close();
    setTimeout(connect, 2000);
  });
}

function showConnection(text, state) {
  byId("connection").textContent = text;
  byId("connection").dataset.state = state;
}

function showLabel(index, name) {
  const value = `label=${index}`;
  offer(value, `with ${name}`);
  if (status.cells) offer(`mixed=true&${value}`, `where only some cells show ${name}`);
  byId("show").value = value;
  load().catch(showProblem);
}

function offer(value, text) {
  const select = byId("show");
  if (![...select.options].some((option) => option.value === value)) select.append(make("option", { value }, text));
}

byId("show").addEventListener("change", () => load().catch(showProblem));
byId("follow").addEventListener("click", () => {
  follow(!following);
  if (following) load().catch(showProblem);
});
takeFiles({
  largest: () => status?.largest_upload ?? Infinity,
  cells: () => status?.cells ?? false,
  fail: showProblem,
  done: (results) => {
    if (!results.length || !isOfThisStore(results[0].store)) return;
    follow(false);
    showUnlessShown(results[0]);
    byId("field").focus();
  },
});

async function start() {
  try {
    const first = await resultsBefore(null, "", undefined, 1);
    store = first.store;
    newest = first.results[0]?.number ?? 0;
    await load();
    newestReview = await showFigures(nameOf);
    if (!leaving) connect();
  } catch (problem) {
    showConnection("Not connected; trying again…", "lost");
    if (!document.querySelector(".trouble")) showProblem(problem);
    setTimeout(start, 2000);
  }
}

start();
