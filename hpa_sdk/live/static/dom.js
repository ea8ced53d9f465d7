// Creates elements. Text is always set as text, never as markup: file names are not trusted.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// A bar as long as a share of 1; the numbers beside it say the same.
export function bar(share, threshold) {
  const filled = make("div", { className: "bar-filled" });
  filled.style.setProperty("--share", share);
  const whole = make("div", { className: "bar", "aria-hidden": "true" }, filled);
  if (threshold !== undefined) {
    const tick = make("div", { className: "bar-tick" });
    tick.style.setProperty("--share", threshold);
    whole.append(tick);
  }
  return whole;
}

export function percent(share) {
  if (share < 0.0005) return "< 0.1 %";
  if (share > 0.9995) return "> 99.9 %";
  return `${(100 * share).toFixed(share < 0.0995 || share > 0.9945 ? 1 : 0)} %`;
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };

export const clock = (time) =>
  make("time", { dateTime: time, title: new Date(time).toLocaleString() }, new Date(time).toLocaleTimeString([], CLOCK));

export const shortName = (id) => id.slice(id.lastIndexOf("/") + 1);

// The URL always means one result: an id alone can get another result, and another store has its own numbers.
const pathOf = (result, query) => `${result.id.split("/").map(encodeURIComponent).join("/")}?${query}store=${result.store}&number=${result.number}`;

// With `whole`, the field as it was read, in which the outlines of cells lie; else as the model sees it.
export const picture = (result, view, side, whole = false) => `/pictures/${view}/${pathOf(result, `side=${side}&${whole ? "whole=true&" : ""}`)}`;

export const cellsPath = (result) => `/cells/${pathOf(result, "")}`;

// Earlier versions did not record the state of the files, so it is not known whether they are unchanged.
export const isUnchecked = (result) => !result.error && !result.stamps?.length;
