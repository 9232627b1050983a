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

/** The unit of an aggregation of a metric, "" = none, or nobody knows. metric.Query.UnitOf is the same in Go. */
export function unitOf({ metric_name, units }: Pick<Metric, "metric_name" | "units">, aggregation: string): string {
  const said = units.length === 1 ? (units[0] ?? "") : "";
  const ofValues = aggregation === "histogram" || /^p\d/.test(aggregation);
  // A bucket counts the values that have the unit.
  const unit = said !== "" && metric_name.endsWith("_bucket") && !ofValues ? "1" : said;
  if (unit === "" || aggregation === "count" || aggregation === "last_count") return "";
  if (aggregation === "rate" || aggregation === "rate_avg") return unit === "s" || unit.includes("/") ? "" : `${unit}/s`;
  return unit === "1" ? "" : unit;
}
