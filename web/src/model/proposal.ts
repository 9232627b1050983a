import type { Metric, Widget } from "../api/types";

/** What a new widget of a metric shows best, by what its events are and how long after their time they come. */
export function proposed({ kinds, series, arrival_seconds }: Metric): Partial<Widget> {
  const delay = arrival_seconds > 1 ? { delay_seconds: arrival_seconds } : {};
  const only = kinds.length === 1 ? kinds[0] : undefined;
  switch (only) {
    case "cumulative":
      return { ...delay, aggregation: "rate" };
    case "gauge":
      return { ...delay, aggregation: series > 1 ? "last_avg" : "last" };
    case "histogram":
      return { ...delay, aggregation: "p95" };
    default:
      return delay;
  }
}
