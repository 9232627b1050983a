const FIRST_MS = 500;
const LONGEST_MS = 15_000;

/** The wait before try number attempt (from 0), in ms, with full jitter: any up to a bound, so that clients do not come back together. */
export function backoff(attempt: number, random: () => number): number {
  return random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 30));
}

/** Close code of a stream whose token is missing or refused. */
export const CLOSED_TOKEN = 4401;

/** Close code of a stream whose dashboard does not exist. */
export const CLOSED_GONE = 4404;

/** Close code of a stream whose hello came too late: the link is slow, and a later try has more time. */
const CLOSED_NO_HELLO = 4408;

/** Whether a new connection would be closed with this code again: the request itself is wrong. */
export function isFinal(code: number): boolean {
  return code >= 4400 && code <= 4499 && code !== CLOSED_NO_HELLO;
}
