// The state of each part of the system, for the status page.

/** ok is null where the state is not known. */
export interface Part {
  readonly name: string;
  readonly ok: boolean | null;
  readonly text: string;
}

/** The checks of /readyz, by name. */
export type Checks = Readonly<Record<string, { readonly ok: boolean; readonly detail?: string }>>;

/** The parts between an event and the page by their checks, in the order in which an event passes them. */
const WAY = new Map([
  ["kafka", "Kafka"],
  ["pipeline", "Pipeline"],
  ["lag", "Lag"],
  ["redis", "Redis"],
  ["results", "Newest result"],
  ["canary", "Canary"],
]);

const NOT_KNOWN = "Not known at this address: see /readyz of its own service, or the alerts.";

/**
 * The parts of WAY, also where their state is not known, then all others. checks are those of /readyz, null where it
 * is not served; known is what was found otherwise.
 */
export function partsOf(checks: Checks | null, known: readonly Part[]): Part[] {
  const parts = new Map([...WAY.values()].map((name): [string, Part] => [name, { name, ok: null, text: NOT_KNOWN }]));
  for (const part of known) parts.set(part.name, part);
  for (const [check, { ok, detail }] of Object.entries(checks ?? {})) {
    const name = WAY.get(check) ?? check.replaceAll("-", " ");
    parts.set(name, { name, ok, text: detail ?? (ok ? "ready" : "not ready") });
  }
  return [...parts.values()];
}

/** The state of the pipeline by the catalog, which it writes: it runs when any metric was reported lately. */
export function pipelineByCatalog(metrics: readonly { readonly stale: boolean }[]): Part[] {
  if (metrics.length === 0) return [];
  const ok = metrics.some(({ stale }) => !stale);
  return [{ name: "Pipeline", ok, text: ok ? "it reports metrics that arrive" : "it reports no metric any more" }];
}

/** Whether the catalog is out of date: it comes from the pipeline over Redis, as results do. */
export function isOutdated(checks: Checks | null): boolean {
  return ["pipeline", "redis", "results"].some((name) => checks?.[name]?.ok === false);
}
