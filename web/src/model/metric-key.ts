/** The parts of a metric key that the page needs. */
export interface MetricKey {
  readonly metric: string;
  readonly aggregation: string;
  readonly windowMs: number;
  readonly delayMs: number;
  /** Tags that the series are grouped by. */
  readonly by: readonly string[];
}

/**
 * Reads `<metric_name>:<aggregation>:<window_seconds>s[ delay <n>s]…`, from the
 * right of the part before the first space, because a name may hold colons.
 * Null when the text is none.
 */
export function parseMetricKey(key: string): MetricKey | null {
  const space = key.indexOf(" ");
  const head = space < 0 ? key : key.slice(0, space);
  const parts = /^(.+):([^:]+):(\d+)s$/.exec(head);
  const metric = parts?.[1];
  const aggregation = parts?.[2];
  if (metric === undefined || aggregation === undefined) return null;
  const delay = space < 0 ? null : /^ delay (\d+)s(?= |$)/.exec(key.slice(space));
  return {
    metric,
    aggregation,
    windowMs: Number(parts?.[3]) * 1000,
    delayMs: Number(delay?.[1] ?? 0) * 1000,
    by: / by \(([^()]+)\)$/.exec(key)?.[1]?.split(", ") ?? [],
  };
}
