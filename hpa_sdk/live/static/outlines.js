// The outlines of cells as an SVG over their picture; shared with the report, whose one script it becomes a part of.

const MOST_BY_TAB = 200;
const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const piecePath = (points) => `M${points.map((value, index) => (index % 2 ? `${value}` : `${index ? "L" : ""}${value} `)).join("")}Z`;

// The label with the highest probability, which gives the colour; -1 without labels.
export const mainLabel = (labels, probabilities) =>
  labels.reduce((best, label) => (best < 0 || probabilities[label] > probabilities[best] ? label : best), -1);

// `cells` have the pieces of the outline, a colour, a title, and whether they lie at the border, are dimmed, or are chosen.
export function outlineLayer([width, height], cells, choose) {
  // With very many cells Tab would have to be pressed too often: only the chosen or the first one is a stop.
  const stop = Math.max(0, cells.findIndex((cell) => cell.chosen));
  const paths = cells.map((cell, at) => {
    const path = draw(
      "path",
      {
        d: cell.pieces.map(piecePath).join(""),
        stroke: cell.colour,
        class: [cell.dim ? "dim" : "", cell.border ? "border" : "", cell.chosen ? "chosen" : ""].join(" "),
        role: "button",
        tabindex: cells.length > MOST_BY_TAB && at !== stop ? -1 : 0,
        "aria-pressed": cell.chosen,
        "aria-label": cell.title,
      },
      draw("title", {}, cell.title),
    );
    path.onclick = () => choose(at);
    return path;
  });
  const layer = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Outlines of the cells" }, ...paths);
  layer.onkeydown = (event) => {
    const at = paths.indexOf(event.target);
    const goals = { ArrowDown: Math.min(at + 1, paths.length - 1), ArrowUp: Math.max(at - 1, 0) };
    if (event.key === "Enter" || event.key === " ") choose(at);
    else if (event.key in goals) paths[goals[event.key]].focus();
    else return;
    event.preventDefault();
  };
  return layer;
}
