/** The tags of a series, by key. */
export type Tags = Readonly<Record<string, string>>;

/** Canonical text of a series' tags: equal tags, equal text. */
export function seriesKey(tags: Tags): string {
  const keys = Object.keys(tags).sort();
  return keys.map((key) => `${JSON.stringify(key)}=${JSON.stringify(tags[key] ?? "")}`).join(",");
}

/** The name of a series in a legend: the values of its tags, or fallback when it has none. */
export function seriesLabel(tags: Tags, fallback: string): string {
  const keys = Object.keys(tags).sort();
  if (keys.length === 0) return fallback;
  return keys.map((key) => labelOf(key, tags[key] ?? "")).join(" · ");
}

/** A number has its tag before it: core 3. */
function labelOf(key: string, value: string): string {
  if (value === "") return `without ${key}`;
  return /^[\d.]+$/.test(value) ? `${key} ${value}` : value;
}

const collator = new Intl.Collator("en", { numeric: true });

/** Orders series as people count: core 2 before core 10. */
export function compareSeries(a: Tags, b: Tags): number {
  return collator.compare(seriesLabel(a, ""), seriesLabel(b, ""));
}

/** Whether a series is among those that were chosen; a tag that it has not got does not matter. */
export function isChosen(tags: Tags, choice: Tags): boolean {
  return Object.keys(choice).every((tag) => !(tag in tags) || tags[tag] === choice[tag]);
}

/** The values of a tag in all these series, and the chosen one, which may have gone. */
export function valuesOf(tag: string, chosen: string, streams: Iterable<{ readonly columns: readonly Tags[] }>): string[] {
  const values = new Set([chosen]);
  for (const { columns } of streams) for (const tags of columns) values.add(tags[tag] ?? "");
  values.delete("");
  return [...values].sort(collator.compare);
}

/** Why nothing is shown of a choice: total series there are, of which truncated do not come here. */
export function missingText(choice: string, total: number, truncated: number): string {
  if (truncated === 0) return `No series here is ${choice}.`;
  return `${choice} is not among the ${(total - truncated).toLocaleString("en")} largest of ${total.toLocaleString("en")} series, which are all that come here. A widget whose filter names it shows it.`;
}
