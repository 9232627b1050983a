/** All but percentiles; written by `go generate ./aggregate`. */
export const AGGREGATIONS = ["sum", "avg", "max", "min", "count", "stddev", "histogram", "increase", "rate", "increase_avg", "rate_avg", "last", "last_sum", "last_avg", "last_min", "last_max", "last_count"];

/** Those of counters: by how much they grew. Of these a query may say what a first sample counts. */
const GROWING = ["increase", "rate", "increase_avg", "rate_avg"];

export function isGrowth(aggregation: string): boolean {
  return GROWING.includes(aggregation);
}

/** What people call each, and what it says of a window; one that a newer server has is called by its name. */
const TEXTS: Readonly<Record<string, readonly [label: string, meaning: string]>> = {
  sum: ["Sum", "All values added up."],
  avg: ["Average", "The mean of all values."],
  max: ["Maximum", "The largest value."],
  min: ["Minimum", "The smallest value."],
  count: ["Count", "How many events there are."],
  stddev: ["Standard deviation", "How far values are from their mean, typically."],
  histogram: ["Distribution", "How many values lie in each range: a heat map shows them."],
  increase: ["Increase", "By how much a counter grew, or all events added up; right across restarts."],
  rate: ["Rate", "The increase in each second of the window: its unit is the counter's per second, such as B/s."],
  increase_avg: ["Average increase", "The increase by how many series had an event in the window."],
  rate_avg: ["Average rate", "The rate by how many series had an event in the window."],
  last: ["Last value", "The newest value, of one series: a gauge as it stands."],
  last_sum: ["Sum of last values", "The newest value of each series, added up."],
  last_avg: ["Average of last values", "The mean of the newest value of each series."],
  last_min: ["Minimum of last values", "The smallest of the newest values of all series."],
  last_max: ["Maximum of last values", "The largest of the newest values of all series."],
  last_count: ["Series", "How many series have a newest value."],
  percentile: ["Percentile", "The value that so many per cent of all values do not exceed."],
};

export function aggregationLabel(name: string): string {
  const label = TEXTS[name]?.[0];
  return label === undefined ? name : name === "percentile" ? label : `${label} (${name})`;
}

export function aggregationMeaning(name: string): string {
  return TEXTS[name]?.[1] ?? "";
}
