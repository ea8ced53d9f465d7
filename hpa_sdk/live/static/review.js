// Reviews: one key for each verdict and label, the next field after each, and undo.

import { ask, CHANGED } from "./api.js";
import { byId, clock, make, shortName } from "./dom.js";
import { keep, kept, newId, post, sendUnsent } from "./outbox.js";
import { Queue } from "./queue.js";

const NAME = "hpa-reviewer";
const VERDICTS = [
  ["r", "right", "Right"],
  ["w", "wrong", "Wrong"],
  ["l", "labels", "These labels"],
  ["u", "unsure", "Unsure"],
  ["b", "bad", "Bad field"],
];
const MOVES = [
  ["ArrowLeft", "previous", "Previous", "←"],
  ["ArrowRight", "next", "Next", "→"],
];
const DECIDED = new Set(["right", "labels", "bad"]); // another person need not be asked
const STARTLE = 1000; // milliseconds in which keys do nothing after an answer changed under the person's eyes

export class Review {
  constructor({ show, redraw, fail, names, isOfThisStore }) {
    Object.assign(this, { show, redraw, fail, names, isOfThisStore });
    this.on = false;
    this.name = kept(NAME);
    this.queue = new Queue();
    this.result = null;
    this.chosen = new Set();
    this.entries = [];
    this.loaded = null;
    this.given = [];
    this.busy = false;
    this.quietUntil = 0;
    this.actions = new Map();
    for (const [key, verdict, text] of VERDICTS) this.addButton(key, text, () => this.once(() => this.judge(verdict)));
    this.addButton("z", "Undo", () => this.once(() => this.undo()));
    for (const [key, move, text, sign] of MOVES) this.addButton(key, text, () => this[move](), sign);
    byId("review").addEventListener("click", () => this.toggle());
    byId("rename").addEventListener("click", () => this.askName());
    document.addEventListener("keydown", (event) => this.onKey(event));
    sendUnsent((problem) => this.waiting(problem), fail);
  }

  addButton(key, text, act, sign = key.toUpperCase()) {
    const guarded = () => act().catch((problem) => this.failed(problem));
    const button = make("button", { type: "button", "aria-keyshortcuts": key }, make("kbd", { "aria-hidden": "true" }, sign), text);
    button.addEventListener("click", guarded);
    this.actions.set(key, guarded);
    byId("verdicts").append(button);
  }

  onKey(event) {
    const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
    if (!this.on || typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (/^[1-9]$/.test(key)) this.flip(key);
    else if (this.actions.has(key)) {
      // A key that is held down is one verdict, not one for each field.
      if (!event.repeat) this.actions.get(key)();
    } else return;
    event.preventDefault();
  }

  async toggle() {
    if (!this.on && !this.name && !(await this.askName())) return;
    this.on = !this.on;
    byId("review").setAttribute("aria-pressed", String(this.on));
    byId("review-panel").hidden = !this.on;
    byId("reviewer").textContent = this.name;
    this.queue.restart();
    if (this.on) await this.next().catch((problem) => this.failed(problem));
    else this.redraw();
  }

  askName() {
    const dialog = byId("reviewer-dialog");
    byId("reviewer-name").value = this.name;
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener(
        "close",
        () => {
          const name = oneLine(byId("reviewer-name").value);
          const saved = dialog.returnValue === "save" && name !== "";
          if (saved && name !== this.name) {
            this.name = name;
            this.given = [];
            keep(NAME, name);
            byId("reviewer").textContent = name;
            this.queue.restart();
            if (this.on) this.next().catch((problem) => this.failed(problem));
          }
          dialog.returnValue = "";
          resolve(saved);
        },
        { once: true },
      );
    });
  }

  // The page shows a field: a review is about exactly this result.
  take(result) {
    if (!this.on) return;
    if (!result) {
      this.result = null;
      return;
    }
    if (this.result?.id === result.id && this.result.number !== result.number) {
      this.quietUntil = performance.now() + STARTLE;
      byId("review-state").textContent = "This field was answered again.";
    }
    this.result = result;
    this.chosen = new Set(result.indices);
    this.queue.visit(result);
    this.drawState();
    this.loaded = this.loadEntries(result.id).catch((problem) => this.failed(problem));
  }

  // For the table of probabilities: a box for each label, the first nine with their digits.
  get choices() {
    if (!this.on) return null;
    this.boxes = [];
    return {
      box: (index, name, at) => {
        const box = make("input", { type: "checkbox", checked: this.chosen.has(index) });
        if (at < 9) box.setAttribute("aria-keyshortcuts", String(at + 1));
        box.addEventListener("change", () => {
          if (box.checked) this.chosen.add(index);
          else this.chosen.delete(index);
          this.drawState();
        });
        this.boxes[at] = box;
        return make("label", { className: "choice" }, box, make("kbd", { "aria-hidden": "true" }, at < 9 ? String(at + 1) : ""), make("span", {}, name));
      },
    };
  }

  flip(key) {
    const box = this.boxes?.[Number(key) - 1];
    if (!box || this.result?.error) return;
    box.checked = !box.checked;
    box.dispatchEvent(new Event("change"));
  }

  // Until the next field is shown, a further key would be one more verdict on this one.
  async once(act) {
    if (this.busy) return;
    this.busy = true;
    try {
      await act();
    } finally {
      this.busy = false;
    }
  }

  async judge(verdict) {
    const { result } = this;
    if (!result || performance.now() < this.quietUntil) return;
    const labels = verdict === "labels" ? [...this.chosen].sort((a, b) => a - b) : [];
    const body = { id: newId(), field: result.id, number: result.number, store: result.store, verdict, labels, reviewer: this.name };
    const entry = await this.post("/reviews", body);
    this.given.push(entry);
    this.queue.done.add(entry.result.id);
    await this.next(`Saved: ${this.said(entry)}. `);
  }

  async undo() {
    if (!this.given.length) await this.loaded;
    const entry = this.given.at(-1) ?? this.standing().findLast((one) => one.reviewer === this.name);
    if (!entry) {
      byId("review-state").textContent = "There is nothing to undo.";
      return;
    }
    await this.post("/withdrawals", { id: newId(), withdraws: entry.id, store: entry.store, reviewer: entry.reviewer });
    this.given = this.given.filter((one) => one !== entry);
    this.queue.done.delete(entry.result.id);
    const again = this.queue.trail.findIndex((item) => item.result.id === entry.result.id);
    if (again >= 0) this.queue.at = again;
    const path = entry.result.id.split("/").map(encodeURIComponent).join("/");
    this.show(await ask(`/results/${path}`));
    byId("review-state").textContent = `Undone: ${this.said(entry)} for ${shortName(entry.result.id)}.`;
  }

  post(path, body) {
    return post(path, body, (problem) => this.waiting(problem));
  }

  async next(before = "") {
    const item = await this.queue.next(this.name);
    if (item) this.show(item.result);
    else this.redraw();
    this.drawState(before, item === null);
  }

  async previous() {
    const item = this.queue.previous();
    if (item) this.show(item.result);
  }

  drawState(before = "", isEnd = false) {
    const item = this.queue.current;
    const edited = this.result && !this.result.error && !same(this.chosen, new Set(this.result.indices));
    const parts = [before];
    if (isEnd) parts.push("No field is left to review. ");
    else if (item) parts.push(`${shortName(item.result.id)}: ${item.reasons.join(", ") || "next in turn"}. `);
    if (edited) parts.push(`L saves: ${this.named([...this.chosen])}.`);
    byId("review-state").textContent = parts.join("");
  }

  async loadEntries(field) {
    this.entries = [];
    this.drawEntries();
    const found = [];
    for (let after = 0; after !== null; ) {
      const page = await ask(`/reviews?${new URLSearchParams({ field, after })}`);
      if (this.result?.id !== field) return;
      found.push(...page.reviews);
      after = page.next;
    }
    // Those that arrived meanwhile may be missing in the responses.
    const known = new Set(found.map((one) => one.id));
    this.entries = [...found, ...this.entries.filter((one) => !known.has(one.id))];
    this.drawEntries();
  }

  // A review of anybody arrived.
  arrived(entry) {
    if (!this.on) return;
    if (entry.reviewer !== this.name && DECIDED.has(entry.verdict)) this.queue.reviewedByOther(entry.result.id);
    if (entry.result.id === this.result?.id && !this.entries.some((one) => one.id === entry.id)) {
      this.entries.push(entry);
      this.drawEntries();
    }
  }

  standing() {
    const withdrawn = new Set(this.entries.map((entry) => entry.withdraws));
    return this.entries.filter((entry) => entry.verdict !== "withdrawn" && !withdrawn.has(entry.id));
  }

  drawEntries() {
    const rows = this.standing().map((entry) => {
      const who = make("bdi", {}, entry.reviewer === this.name ? "You" : entry.reviewer);
      return make("li", {}, who, `: ${this.said(entry)}, `, clock(entry.time));
    });
    byId("reviews-of-field").replaceChildren(...rows);
    byId("reviews-of-field").hidden = rows.length === 0;
  }

  said(entry) {
    const [, , text] = VERDICTS.find(([, verdict]) => verdict === entry.verdict);
    const labels = this.named(entry.labels);
    return { right: `right (${labels})`, labels: labels }[entry.verdict] ?? text.toLowerCase();
  }

  named(indices) {
    return indices.sort((a, b) => a - b).map((index) => this.names()[index] ?? index).join(", ") || "no label";
  }

  waiting(problem) {
    byId("review-state").textContent = `Not saved yet; trying again. ${problem.what ?? problem.message}.`;
  }

  failed(problem) {
    if (problem.status === CHANGED && this.result) {
      // The answer is another one now, or the store is: the present one is shown, and nothing was stored.
      const path = this.result.id.split("/").map(encodeURIComponent).join("/");
      ask(`/results/${path}`).then((result) => this.isOfThisStore(result.store) && this.show(result), this.fail);
    }
    this.fail(problem);
  }
}

// As the server stores it.
const oneLine = (name) => name.normalize("NFC").replace(/[\u0000-\u001f\u007f-\u009f\s]+/g, " ").trim();

const same = (one, other) => one.size === other.size && [...one].every((value) => other.has(value));
