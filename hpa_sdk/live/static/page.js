// The page: shows what the server's results hold and keeps up with what comes, and holds nothing that a reload would lose.

import { showField, showNothing } from "./detail.js";
import { byId, make, shortName } from "./dom.js";
import { FieldList } from "./list.js";
import { showProblem, showStatus } from "./status.js";
import { takeFiles } from "./upload.js";

const DRAW_EVERY = 250; // milliseconds, however fast results come
const SAY_EVERY = 4000;

let status = null;
let shown = null;
let following = true;
let newest = 0;
let arrived = [];
let drawn = -Infinity;

const list = new FieldList({ choose: (result) => (follow(false), show(result)), fail: showProblem });

function show(result) {
  shown = result;
  list.select(result);
  if (!result) showNothing();
  else if (status) showField(result, status.labels);
}

function follow(on) {
  following = on;
  byId("follow").setAttribute("aria-pressed", String(on));
}

async function load() {
  const results = await list.load(byId("show").value);
  if (!results) return;
  if (!shown || following) show(results[0] ?? null);
  else list.select(shown);
}

const drawAll = () => {
  const results = arrived;
  arrived = [];
  drawn = performance.now();
  list.prepend(results);
  const again = results.findLast((result) => result.id === shown?.id);
  if (following || !shown) show(results.at(-1));
  else if (again) show(again);
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
  const events = new EventSource(`/events?after=${newest}`);
  events.addEventListener("result", (event) => {
    const result = JSON.parse(event.data);
    newest = result.number;
    arrived.push(result);
    if (arrived.length === 1) setTimeout(drawAll, drawn + DRAW_EVERY - performance.now());
  });
  events.addEventListener("status", (event) => {
    const first = status === null;
    status = JSON.parse(event.data);
    // Another store, such as a new one after the old was moved away: what is shown here is not in it.
    if (status.newest && status.newest < newest) location.reload();
    showStatus(status, showLabel);
    if (first && shown) showField(shown, status.labels);
  });
  events.addEventListener("open", () => tell("Live", "live"));
  events.addEventListener("error", () => {
    tell("Not connected; trying again…", "lost");
    if (events.readyState !== EventSource.CLOSED) return;
    events.close();
    setTimeout(connect, 2000);
  });
}

function tell(text, state) {
  byId("connection").textContent = text;
  byId("connection").dataset.state = state;
}

function showLabel(index, name) {
  const value = `label=${index}`;
  const select = byId("show");
  if (![...select.options].some((option) => option.value === value)) select.append(make("option", { value }, `with ${name}`));
  select.value = value;
  load().catch(showProblem);
}

byId("show").addEventListener("change", () => load().catch(showProblem));
byId("follow").addEventListener("click", () => {
  follow(!following);
  if (following) load().catch(showProblem);
});
takeFiles({
  largest: () => status?.largest_upload ?? Infinity,
  fail: showProblem,
  done: (results) => {
    follow(false);
    show(results[0]);
    byId("field").focus();
  },
});

async function start() {
  try {
    await load();
    newest = list.box.firstElementChild?.result.number ?? 0;
    connect();
  } catch (problem) {
    tell("Not connected; trying again…", "lost");
    if (!document.querySelector(".trouble")) showProblem(problem);
    setTimeout(start, 2000);
  }
}

start();
