/** The documents before, now, and after it that were undone. Equal parts are shared. */
export interface Timeline<T> {
  readonly past: readonly T[];
  readonly now: T;
  readonly future: readonly T[];
  /** What the newest step changed; the next one with the same name joins it. */
  readonly step: string;
}

const STEPS = 200;

export function timeline<T>(now: T): Timeline<T> {
  return { past: [], now, future: [], step: "" };
}

/** A step further. Steps of the same name in a row are one, so that a word is not undone letter by letter; those without a name stay apart. */
export function advance<T>(line: Timeline<T>, now: T, step = ""): Timeline<T> {
  if (now === line.now) return line;
  const joined = step !== "" && step === line.step;
  return { past: joined ? line.past : [...line.past, line.now].slice(-STEPS), now, future: [], step };
}

/** The next step is one of its own, also when it has the same name. */
export function endStep<T>(line: Timeline<T>): Timeline<T> {
  return { ...line, step: "" };
}

export function undo<T>(line: Timeline<T>): Timeline<T> {
  const now = line.past.at(-1);
  return now === undefined ? line : { past: line.past.slice(0, -1), now, future: [line.now, ...line.future], step: "" };
}

export function redo<T>(line: Timeline<T>): Timeline<T> {
  const [now, ...future] = line.future;
  return now === undefined ? line : { past: [...line.past, line.now], now, future, step: "" };
}
