// The list of fields, newest first: one stop for the Tab key, arrow keys inside, older fields loaded on scrolling.

import { CHANGED, resultsBefore } from "./api.js";
import { byId, clock, isUnchecked, make, picture, shortName } from "./dom.js";

const MOST_SHOWN = 2000;

export class FieldList {
  constructor({ choose, fail, isOfThisStore }) {
    this.choose = choose;
    this.fail = fail;
    this.isOfThisStore = isOfThisStore;
    this.box = byId("list");
    this.older = byId("older");
    this.options = new Map();
    this.next = null;
    this.busy = false;
    this.turn = 0;
    this.meanwhile = null;
    this.box.addEventListener("click", (event) => this.pick(event.target.closest("[role=option]")));
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    this.older.addEventListener("click", () => this.more());
    new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.more(), {
      rootMargin: "600px",
    }).observe(this.older);
  }

  // Loads the newest results, of all or of a filter such as "failed=true", and returns the first of them; undefined if it was called again meanwhile, or the response is of another store.
  async load(filter) {
    this.filter = filter;
    this.next = null;
    this.meanwhile = [];
    const turn = (this.turn += 1);
    let page;
    let meanwhile;
    try {
      page = await resultsBefore(null, filter);
    } finally {
      if (turn === this.turn) [meanwhile, this.meanwhile] = [this.meanwhile, null];
    }
    if (turn !== this.turn || !this.isOfThisStore(page.store)) return undefined;
    this.box.replaceChildren();
    this.options.clear();
    this.append(page);
    // Results may have arrived after the response was made.
    const answered = page.results[0]?.number ?? 0;
    this.prepend(meanwhile.filter((result) => result.number > answered));
    return this.box.firstElementChild?.result ?? null;
  }

  async more() {
    if (this.busy || this.next === null) return;
    this.busy = true;
    const { turn, next } = this;
    try {
      const page = await resultsBefore(next, this.filter, this.store);
      // If the end of the list was cut off meanwhile, these would leave a gap before them.
      if (turn === this.turn && next === this.next && this.isOfThisStore(page.store)) this.append(page);
    } catch (problem) {
      if (problem.status === CHANGED) this.isOfThisStore(null);
      else this.fail(problem);
    } finally {
      this.busy = false;
    }
  }

  append({ results, next, store }) {
    this.store = store;
    for (const result of results) {
      // A field that was answered again since is already further up.
      if (!this.options.has(result.id)) this.box.append(this.option(result));
    }
    this.next = next;
    this.settle();
  }

  // Puts new results on top, oldest first; one that replaces an earlier one removes it.
  prepend(results) {
    this.meanwhile?.push(...results);
    // A field that was answered twice meanwhile is listed with its last answer only.
    const last = new Map(results.map((result) => [result.id, result]));
    const latest = results.filter((result) => last.get(result.id) === result);
    const scroll = this.box.parentElement;
    const before = scroll.scrollTop > 0 ? scroll.scrollHeight : null;
    for (const { id } of latest) {
      this.options.get(id)?.remove();
      this.options.delete(id);
    }
    for (const result of latest) if (this.fits(result)) this.box.prepend(this.option(result));
    while (this.box.childElementCount > MOST_SHOWN) {
      this.options.delete(this.box.lastElementChild.result.id);
      this.box.lastElementChild.remove();
      this.next = this.box.lastElementChild.result.number;
    }
    // The part that is being read stays in view.
    if (before !== null) scroll.scrollTop += scroll.scrollHeight - before;
    this.settle();
  }

  fits(result) {
    const filter = new URLSearchParams(this.filter);
    if (filter.has("failed")) return result.error !== null;
    if (filter.has("warned")) return result.warnings.length > 0;
    if (filter.has("mixed")) {
      const mixed = result.cells?.mixed ?? [];
      return filter.has("label") ? mixed.includes(Number(filter.get("label"))) : mixed.length > 0;
    }
    return !filter.has("label") || result.indices.includes(Number(filter.get("label")));
  }

  settle() {
    this.older.hidden = this.next === null;
    byId("empty").hidden = this.box.childElementCount > 0;
    if (!this.box.querySelector("[tabindex='0']")) this.box.firstElementChild?.setAttribute("tabindex", "0");
  }

  option(result) {
    const answer = result.error ? "failed" : result.labels.join(", ") || "no label";
    const labels = result.warnings.length ? `⚠ ${answer}` : answer;
    const option = make(
      "div",
      { role: "option", className: result.error ? "option failed" : "option", "aria-selected": "false", tabIndex: -1 },
      thumbnail(result),
      // Most names differ at the end, so the end of a long name is shown.
      make("span", { className: "option-name" }, make("bdi", { title: result.id }, shortName(result.id))),
      make("span", { className: "option-labels", title: result.warnings.join("\n") }, labels),
      clock(result.time),
    );
    option.result = result;
    this.options.set(result.id, option);
    return option;
  }

  select(result) {
    for (const chosen of this.box.querySelectorAll("[aria-selected=true]")) chosen.setAttribute("aria-selected", "false");
    for (const stop of this.box.querySelectorAll("[tabindex='0']")) stop.tabIndex = -1;
    const option = result && this.options.get(result.id);
    if (option) {
      option.setAttribute("aria-selected", "true");
      option.tabIndex = 0;
    }
    this.settle();
    return option;
  }

  pick(option) {
    if (!option) return;
    this.choose(option.result);
    option.focus();
    option.scrollIntoView({ block: "nearest" });
  }

  onKey(event) {
    const at = event.target.closest("[role=option]");
    const page = (from, step) => {
      let to = from;
      for (let i = 0; i < 10 && to?.[step]; i += 1) to = to[step];
      return to;
    };
    const goals = {
      ArrowDown: () => at.nextElementSibling ?? (this.more(), null),
      ArrowUp: () => at.previousElementSibling,
      PageDown: () => page(at, "nextElementSibling"),
      PageUp: () => page(at, "previousElementSibling"),
      Home: () => this.box.firstElementChild,
      End: () => this.box.lastElementChild,
    };
    if (!at || !(event.key in goals)) return;
    event.preventDefault();
    this.pick(goals[event.key]());
  }
}

function thumbnail(result) {
  if (result.error) return make("span", { className: "thumbnail no-picture", "aria-hidden": "true" }, "!");
  const image = make("img", {
    className: isUnchecked(result) ? "thumbnail unchecked" : "thumbnail",
    src: picture(result, "composite", 96),
    alt: "",
    loading: "lazy",
    decoding: "async",
    width: 52,
    height: 52,
  });
  const none = () => make("span", { className: "thumbnail no-picture", title: "No picture; the field says why", "aria-hidden": "true" }, "?");
  image.addEventListener("error", () => image.replaceWith(none()));
  return image;
}
