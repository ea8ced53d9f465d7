// The list of fields, newest first: one stop for the Tab key, arrows inside, older ones fetched as they are scrolled to.

import { resultsBefore } from "./api.js";
import { byId, clock, make, picture, shortName } from "./dom.js";

const MOST_SHOWN = 2000;

export class FieldList {
  constructor({ choose, fail }) {
    this.choose = choose;
    this.fail = fail;
    this.box = byId("list");
    this.older = byId("older");
    this.options = new Map();
    this.next = null;
    this.busy = false;
    this.turn = 0;
    this.box.addEventListener("click", (event) => this.pick(event.target.closest("[role=option]")));
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    this.older.addEventListener("click", () => this.more());
    new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.more(), {
      rootMargin: "600px",
    }).observe(this.older);
  }

  // Begins anew with the newest results, of all or of a filter such as "failed=true"; nothing where it was asked again meanwhile.
  async load(filter) {
    this.filter = filter;
    this.next = null;
    const turn = (this.turn += 1);
    const page = await resultsBefore(null, filter);
    if (turn !== this.turn) return null;
    this.box.replaceChildren();
    this.options.clear();
    this.append(page);
    return page.results;
  }

  async more() {
    if (this.busy || this.next === null) return;
    this.busy = true;
    const { turn } = this;
    try {
      const page = await resultsBefore(this.next, this.filter);
      if (turn === this.turn) this.append(page);
    } catch (problem) {
      this.fail(problem);
    } finally {
      this.busy = false;
    }
  }

  append({ results, next }) {
    for (const result of results) {
      // One that was answered again since stands further up already.
      if (!this.options.has(result.id)) this.box.append(this.option(result));
    }
    this.next = next;
    this.settle();
  }

  // Puts results that just came on top; one that takes the place of an earlier one removes it.
  prepend(results) {
    const fitting = results.filter((result) => this.fits(result));
    const scroll = this.box.parentElement;
    const before = scroll.scrollTop > 0 ? scroll.scrollHeight : null;
    for (const result of results) this.options.get(result.id)?.remove();
    for (const result of fitting) this.box.prepend(this.option(result));
    while (this.box.childElementCount > MOST_SHOWN) {
      this.options.delete(this.box.lastElementChild.result.id);
      this.box.lastElementChild.remove();
      this.next = this.box.lastElementChild.result.number;
    }
    // What is being read stays where it is.
    if (before !== null) scroll.scrollTop += scroll.scrollHeight - before;
    this.settle();
  }

  fits(result) {
    const filter = new URLSearchParams(this.filter);
    if (filter.has("failed")) return result.error !== null;
    return !filter.has("label") || result.indices.includes(Number(filter.get("label")));
  }

  settle() {
    this.older.hidden = this.next === null;
    byId("empty").hidden = this.box.childElementCount > 0;
    if (!this.box.querySelector("[tabindex='0']")) this.box.firstElementChild?.setAttribute("tabindex", "0");
  }

  option(result) {
    const labels = result.error ? "failed" : result.labels.join(", ") || "no label";
    const option = make(
      "div",
      { role: "option", className: result.error ? "option failed" : "option", "aria-selected": "false", tabIndex: -1 },
      thumbnail(result),
      // What differs is at the end of most names, so that is what is seen of a long one.
      make("span", { className: "option-name" }, make("bdi", { title: result.id }, shortName(result.id))),
      make("span", { className: "option-labels" }, labels),
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
    className: "thumbnail",
    src: picture(result, "composite", 96),
    alt: "",
    loading: "lazy",
    decoding: "async",
    width: 52,
    height: 52,
  });
  image.addEventListener("error", () => image.replaceWith(make("span", { className: "thumbnail no-picture" })));
  return image;
}
