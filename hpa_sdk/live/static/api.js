// Asks the server, and turns every refusal into an error that says what to do.

export class Problem extends Error {
  constructor({ what, where, remedy }) {
    super(what);
    Object.assign(this, { what, where, remedy });
  }
}

const UNREACHABLE = {
  what: "the server did not answer",
  remedy: "It may have been stopped, or have refused a request that is too large. The page goes on when it is back.",
};

export async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem(UNREACHABLE);
  }
  const answer = await response.json().catch(() => UNREACHABLE);
  if (!response.ok) throw new Problem(answer);
  return answer;
}

export function resultsBefore(number, filter) {
  const query = new URLSearchParams(filter);
  query.set("count", 100);
  if (number !== null) query.set("before", number);
  return ask(`/results?${query}`);
}
