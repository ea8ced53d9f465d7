// Sends fields: those that are dropped anywhere on the page, and those that are chosen in the file dialogue.

import { ask, Problem } from "./api.js";
import { byId } from "./dom.js";

const PLANE = /^(.+)_(red|green|blue|yellow)\.[^.]+$/i;

export function takeFiles({ largest, cells, done, fail }) {
  const send = async (files) => {
    for (const field of fieldsOf([...files])) {
      byId("sending").textContent = `Answering ${field[0].name}${cells() ? " and its cells" : ""}…`;
      try {
        done(await sendField(field, largest()));
      } catch (problem) {
        fail(problem);
      }
    }
    byId("sending").textContent = "";
  };

  const input = byId("files");
  input.addEventListener("change", async () => {
    await send(input.files);
    input.value = "";
  });

  const drop = byId("drop");
  let depth = 0;
  const show = (change) => {
    depth = Math.max(0, depth + change);
    drop.classList.toggle("shown", depth > 0);
  };
  document.addEventListener("dragenter", () => show(1));
  document.addEventListener("dragleave", () => show(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    show(-depth);
    send(event.dataTransfer.files);
  });
}

// Planes in the common form are grouped by their names; anything else is one field.
function fieldsOf(files) {
  if (!files.length || !files.every((file) => PLANE.test(file.name))) return files.length ? [files] : [];
  const fields = new Map();
  for (const file of files) {
    const name = PLANE.exec(file.name)[1];
    fields.set(name, [...(fields.get(name) ?? []), file]);
  }
  return [...fields.values()];
}

async function sendField(files, largest) {
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  if (bytes > largest) {
    throw new Problem({
      what: `the field has ${bytes.toLocaleString()} bytes, more than the ${largest.toLocaleString()} that are read`,
      remedy: "Send one field at a time, cut to one field of view.",
    });
  }
  const form = new FormData();
  for (const file of files) form.append("files", file, file.name);
  return (await ask("/predict", { method: "POST", body: form })).results;
}
