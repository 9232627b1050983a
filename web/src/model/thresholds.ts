import type { Threshold } from "../api/types";

export type Level = "ok" | "warn" | "crit";

export interface Step {
  readonly at: number;
  readonly level: Level;
}

/** Steps in rising order; what cannot be read is left out. */
export function thresholdSteps(thresholds: readonly Threshold[] | undefined): readonly Step[] {
  return (thresholds ?? [])
    .filter((t): t is Threshold & { level: Level } => Number.isFinite(t.at) && (t.level === "ok" || t.level === "warn" || t.level === "crit"))
    .map(({ at, level }) => ({ at, level }))
    .sort((a, b) => a.at - b.at);
}

/** The level of the highest step that value has reached; ok below the first. */
export function levelOf(value: number | null, steps: readonly Step[]): Level {
  let level: Level = "ok";
  if (value === null || Number.isNaN(value)) return level;
  for (const step of steps) if (value >= step.at) level = step.level;
  return level;
}

export function levelWord(level: Level): string {
  return level === "crit" ? "critical" : level === "warn" ? "warning" : "ok";
}
