// Sends reviews until the server has them. What is on its way survives a reload; the server takes each id once.

import { send } from "./api.js";

const PREFIX = "hpa-unsent-";
const AGAIN = 2000; // milliseconds
const REFUSED = new Set([400, 404, 409, 413, 422]);

// crypto.randomUUID exists only on this computer and under https.
export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

// Resolves with the server's answer; rejects if it refuses the review for good. Otherwise it tries again.
export async function post(path, body, waiting) {
  const key = PREFIX + body.id;
  keep(key, JSON.stringify([path, body]));
  for (;;) {
    try {
      const answer = await send(path, body);
      drop(key);
      return answer;
    } catch (problem) {
      if (REFUSED.has(problem.status)) {
        drop(key);
        throw problem;
      }
      waiting(problem);
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  }
}

// What an earlier page did not get through. Each refusal is reported: its review is lost.
export function sendUnsent(waiting, fail) {
  for (const key of Object.keys(stored())) {
    const unsent = key.startsWith(PREFIX) && kept(key); // empty where another tab has sent it since
    if (unsent) post(...JSON.parse(unsent), waiting).catch(fail);
  }
}

// A browser may have no storage: reviews are sent all the same.
function stored() {
  try {
    return localStorage;
  } catch {
    return {};
  }
}

export function keep(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // As above.
  }
}

export const kept = (key) => stored()[key] ?? "";

function drop(key) {
  try {
    localStorage.removeItem(key);
  } catch {
    // As above.
  }
}
