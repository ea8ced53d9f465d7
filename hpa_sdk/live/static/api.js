// Sends requests to the server, and turns every refusal into an error that says what to do.

export class Problem extends Error {
  constructor({ what, where, remedy }, status) {
    super(what);
    Object.assign(this, { what, where, remedy, status });
  }
}

// The requested state no longer exists.
export const CHANGED = 409;

const UNREACHABLE = {
  what: "the server did not answer",
  remedy: "It may have been stopped, or have refused a request that is too large. The page resumes when it is back.",
};

export async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem(UNREACHABLE);
  }
  const answer = await response.json().catch(() => UNREACHABLE);
  if (!response.ok) throw new Problem(answer, response.status);
  return answer;
}

// Results of a store before one of its numbers, or the newest. The response names its store.
export function resultsBefore(number, filter, store, count = 100) {
  const query = new URLSearchParams(filter);
  query.set("count", count);
  if (number !== null) query.set("before", number);
  if (store !== undefined) query.set("store", store);
  return ask(`/results?${query}`);
}

export function send(path, body) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

// The reason why there is no picture, which an image element does not give.
export async function whyNoPicture(path) {
  try {
    const response = await fetch(path, { cache: "no-store" });
    if (response.ok) return "it could not be loaded";
    return (await response.json()).what;
  } catch {
    return UNREACHABLE.what;
  }
}
