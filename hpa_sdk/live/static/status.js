// The status: the model, the device, how often each label was found, and the problems.

import { bar, byId, clock, make } from "./dom.js";

let troubles = "";

export function showStatus(status, choose) {
  byId("model").textContent = status.model.name;
  byId("model").title = `${status.model.architecture}, ${status.model.precision}, SHA-256 ${status.model.sha256}`;
  byId("warning").textContent = `The model ${status.model.name}: ${status.model.warning}`;
  byId("warning").hidden = !status.model.warning;
  byId("device").textContent = status.device;
  byId("device").title = status.providers.join(", ");
  byId("watching").textContent = status.watching ?? "nothing here";
  byId("watching").title = status.watching ?? "";
  byId("total").textContent = status.results.toLocaleString();
  byId("failed").textContent = status.failed.toLocaleString();
  byId("failed").classList.toggle("some", status.failed > 0);
  showTroubles(status.troubles);
  showCounts(status, choose);
  byId("notices-panel").hidden = status.notices.length === 0;
  byId("notices").replaceChildren(
    ...status.notices.toReversed().map((notice) => make("li", {}, clock(notice.time), " ", notice.text)),
  );
}

// Only when they change, because a screen reader reads them out.
function showTroubles(texts) {
  if (texts.join() === troubles) return;
  troubles = texts.join();
  for (const old of byId("troubles").querySelectorAll(".lasting")) old.remove();
  for (const text of texts) byId("troubles").append(make("p", { className: "trouble lasting" }, text));
}

export function showProblem(problem) {
  const close = make("button", { type: "button", "aria-label": "Dismiss" }, "✕");
  const where = problem.where ? `${problem.where}: ` : "";
  const text = make("span", {}, make("strong", {}, `${where}${problem.what ?? problem.message}. `), problem.remedy ?? "");
  const shown = make("p", { className: "trouble" }, text, close);
  close.addEventListener("click", () => shown.remove());
  byId("troubles").append(shown);
}

const counts = make("ul", { className: "counts-list" });
const rows = new Map();

function countRow(index) {
  if (!rows.has(index)) rows.set(index, make("li", {}, make("button", { type: "button", className: "count" }, make("span"), make("span", { className: "number" }), bar(0))));
  return rows.get(index);
}

// The rows stay the same elements: a click on one that is replaced before the mouse button is released would be lost.
function showCounts(status, choose) {
  const order = status.labels.map((_, index) => index).filter((index) => status.label_counts[index] > 0);
  order.sort((a, b) => status.label_counts[b] - status.label_counts[a]);
  const largest = Math.max(1, ...status.label_counts);
  const focused = document.activeElement;
  order.forEach((index, at) => {
    const row = countRow(index);
    const button = row.firstChild;
    const [label, number, share] = button.children;
    const [name, count] = [status.labels[index], status.label_counts[index]];
    button.title = `Show the fields with ${name}`;
    button.onclick = () => choose(index, name);
    label.textContent = name;
    number.textContent = count.toLocaleString();
    share.firstChild.style.setProperty("--share", count / largest);
    if (counts.children[at] !== row) counts.insertBefore(row, counts.children[at] ?? null);
  });
  while (counts.children.length > order.length) counts.lastElementChild.remove();
  if (!order.length) byId("counts").replaceChildren(make("p", { className: "empty" }, "None yet."));
  else if (!counts.isConnected) byId("counts").replaceChildren(counts);
  if (counts.contains(focused) && document.activeElement !== focused) focused.focus({ preventScroll: true }); // a moved element loses it
}
