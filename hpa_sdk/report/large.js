/* One field, large: its planes and all of its data. */
const dialog = document.querySelector("dialog");
const look = { position: 0, planes: null, on: [true, true, true, true], four: false, safe: false, gain: 1, real: false,
  outlines: true, cell: null, label: null };
async function openField(position) {
  look.position = position;
  look.planes = null;
  look.cell = look.label = null;
  const field = chosen[position];
  at("name").textContent = field.id;
  at("place").textContent = `${count(position + 1)} of ${count(chosen.length)}`;
  at("before").disabled = position === 0;
  at("after").disabled = position === chosen.length - 1;
  startReview(field);
  drawFacts(field);
  at("stage").replaceChildren();
  document.querySelector("#look > p").textContent = sizeText(field);
  at("caption").textContent = field.caption ? `This picture was ${field.caption}.` : "";
  if (!dialog.open) dialog.showModal();
  look.field = field;
  if (!field.size) { at("stage").append(make("p", {}, "No picture.")); return; }
  const planes = readPlanes(await picture("large", field), field.size);
  if (look.field !== field) return;
  look.planes = planes;
  drawStage();
}
function sizeText(field) {
  if (!field.size) return "";
  const [width, height] = field.size, [fullWidth, fullHeight] = field.full;
  const size = width === fullWidth ? `${width} × ${height} pixels, full size` : `${width} × ${height} pixels of ${fullWidth} × ${fullHeight}`;
  return `${size}. Each plane is stretched so that its ${report.brightest}th percentile is full brightness: compare places, not amounts.`;
}
function readPlanes(image, [width, height]) {
  const canvas = make("canvas", { width: 2 * width, height: 2 * height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  return CHANNELS.map((_, channel) => pen.getImageData(width * (channel % 2), height * Math.floor(channel / 2), width, height));
}
function drawPlanes(colours, name) {
  const { width, height } = look.planes[0];
  const canvas = make("canvas", { width, height, role: "img", "aria-label": name });
  const picture = new ImageData(width, height), out = picture.data;
  const parts = colours.map((colour, channel) => colour && { colour, from: look.planes[channel].data }).filter(Boolean);
  for (let pixel = 0; pixel < out.length; pixel += 4) {
    let red = 0, green = 0, blue = 0;
    for (const { colour, from } of parts) {
      const light = from[pixel] * look.gain;
      red += light * colour[0]; green += light * colour[1]; blue += light * colour[2];
    }
    out[pixel] = red; out[pixel + 1] = green; out[pixel + 2] = blue; out[pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}
function drawStage() {
  for (const button of at("controls").querySelectorAll("button")) button.setAttribute("aria-pressed", button.isPressed());
  if (!look.planes) return;
  const grey = [1, 1, 1], stage = at("stage");
  const colours = CHANNELS.map((channel, index) => look.safe ? channel.safe : report.colours[index]);
  const alone = look.on.filter(Boolean).length === 1;
  const figures = look.four
    ? CHANNELS.map((channel, index) => make("figure", {}, drawPlanes(CHANNELS.map((_, other) => other === index && grey), channel.name), ...outlines(look.field), make("figcaption", {}, channel.name)))
    : [make("figure", {}, drawPlanes(colours.map((colour, index) => look.on[index] && (alone ? grey : colour)), CHANNELS.filter((_, index) => look.on[index]).map(channel => channel.name).join(", ") || "no plane"), ...outlines(look.field))];
  stage.className = `${look.four ? "four" : ""} ${look.real ? "real" : "fit"}`;
  stage.replaceChildren(...figures);
}
function control(text, isPressed, act, title = "") {
  return make("button", { type: "button", className: "plain", title, isPressed, onclick: () => { act(); drawStage(); } }, ...[text].flat());
}
const toggle = index => { look.four = false; look.on[index] = !look.on[index]; };
at("controls").append(
  control("Composite", () => !look.four && look.on.every(Boolean), () => { look.four = false; look.on.fill(true); }, "c"),
  control("Four planes", () => look.four, () => { look.four = true; }, "f"),
  ...CHANNELS.map((channel, index) => {
    const dot = make("span", { className: "dot" });
    dot.style.background = channel.dot;
    return control([dot, channel.name], () => !look.four && look.on[index], () => toggle(index), String(index + 1));
  }),
  ...(known("cells") ? [control("Outlines", () => look.outlines, () => { look.outlines = !look.outlines; }, "o")] : []),
  control("Actual pixels", () => look.real, () => { look.real = !look.real; }, "a"),
  control("Magenta–green", () => look.safe, () => { look.safe = !look.safe; }, "Colours for red-green colour blindness"),
  make("label", {}, "Brightness", make("input", { type: "range", min: .5, max: 4, step: .1, value: 1, oninput: event => { look.gain = Number(event.target.value); drawStage(); } })));

function drawFacts(field) {
  const marks = label => field.truth === undefined ? "" :
    field.truth.includes(label) ? (field.labels.includes(label) ? "✓" : "○") : (field.labels.includes(label) ? "✗" : "");
  const names = { "✓": "right", "○": "missed", "✗": "not in truth", "": "" };
  const scores = field.p && make("div", { className: "scores" }, ...order(field).flatMap((label, position) =>
    [review.on ? choice(field, label, position) : make("span", { className: marks(label) === "✓" ? "soft" : "bad", title: names[marks(label)] }, marks(label)), ...score(field, label)]));
  at("facts").replaceChildren(...[
    field.error ? make("p", { className: "bad" }, field.error) : chips(field),
    field.warnings ? make("div", { className: "bad" }, "⚠ The answer may be wrong:", make("ul", {}, ...field.warnings.map(text => make("li", {}, text)))) : null,
    field.picture_error ? make("p", { className: "bad" }, field.picture_error) : null,
    ...cellFactsOf(field),
    field.truth === undefined ? null : make("p", { className: "soft" }, "✓ right   ✗ not in truth   ○ missed"),
    scores ?? null,
    scores ? make("p", { className: "soft" }, thresholds(field) ? "The line in a bar is the class's threshold." : "The results contain no thresholds; hpa report --model FILE adds them.") : null,
    facts([["certainty", field.certainty?.toFixed(3)], ["answered", field.time], ["device", field.device],
      ["files", field.files?.join("\n")], ["notes", field.notes?.join("; ")]]),
  ].filter(Boolean));
}
const go = step => { if (chosen[look.position + step]) openField(look.position + step); };
at("before").onclick = () => go(-1);
at("after").onclick = () => go(1);
at("close").onclick = () => dialog.close();
dialog.onclick = event => { if (event.target === dialog) dialog.close(); };
dialog.onclose = () => {
  while (drawn <= look.position) drawMore();
  at("grid").querySelectorAll(".card")[look.position]?.focus();
};
dialog.onkeydown = event => {
  if (event.target.matches("input:not([type=checkbox]), select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const press = name => [...at("controls").querySelectorAll("button")].find(button => button.title === name)?.click();
  if (event.key === "ArrowLeft") go(-1);
  else if (event.key === "ArrowRight") go(1);
  else if (reviewKey(event.repeat ? "" : event.key.toLowerCase())) { /* it did what the key says */ }
  else if (/^[1-4acfo]$/.test(event.key)) press(event.key);
  else return;
  event.preventDefault();
};
