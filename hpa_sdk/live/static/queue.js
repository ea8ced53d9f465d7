// The fields that one person reviews: a trail of those that were shown, continued by those that the server offers.

import { ask } from "./api.js";

const AT_ONCE = 20; // a multiple of five, as one in five is of the random share

export class Queue {
  constructor() {
    this.restart();
  }

  restart() {
    this.trail = [];
    this.at = -1;
    this.offered = [];
    this.done = new Set();
  }

  get current() {
    return this.trail[this.at] ?? null;
  }

  // A field that the person picked by hand comes after those that were shown.
  visit(result) {
    if (this.current?.result.id === result.id) this.current.result = result;
    else this.push({ result, reasons: ["picked by hand"], random: false });
  }

  push(item) {
    this.trail.splice(this.at + 1);
    this.trail.push(item);
    this.at = this.trail.length - 1;
  }

  previous() {
    if (this.at < 1) return null;
    this.at -= 1;
    return this.current;
  }

  // The next field, or null if there is none for this person.
  async next(reviewer) {
    if (this.at < this.trail.length - 1) {
      this.at += 1;
      return this.current;
    }
    let item = this.offered.shift();
    if (!item) {
      this.offered = await this.load(reviewer);
      item = this.offered.shift();
    }
    if (!item) return null;
    this.push(item);
    return item;
  }

  async load(reviewer) {
    const query = new URLSearchParams({ reviewer, count: AT_ONCE });
    const shown = new Set(this.trail.map((item) => item.result.id));
    const { fields } = await ask(`/review-queue?${query}`);
    const fresh = fields.filter((item) => !this.done.has(item.result.id) && !shown.has(item.result.id));
    // Fields that were skipped come again when nothing else is left.
    return fresh.length ? fresh : fields.filter((item) => !this.done.has(item.result.id) && item.result.id !== this.current?.result.id);
  }

  // Another person reviewed a field: it is not asked twice, unless it is of the random share.
  reviewedByOther(field) {
    this.offered = this.offered.filter((item) => item.random || item.result.id !== field);
  }

  replace(result) {
    for (const item of [...this.trail, ...this.offered]) if (item.result.id === result.id) item.result = result;
  }
}
