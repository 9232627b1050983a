// The state of each part of the system, for the status page: from the checks of
// /readyz, the catalogue of metrics and the page's own stream.

/** ok is null where the state is not known. */
export interface Part {
  readonly name: string;
  readonly ok: boolean | null;
  readonly text: string;
}

/** The checks of /readyz, by name. */
export type Checks = Readonly<Record<string, { readonly ok: boolean; readonly detail?: string }>>;

/** The parts between an event and the page, listed also where their state is not known. */
const WAY: readonly (readonly [check: string, name: string])[] = [
  ["kafka", "Kafka"],
  ["pipeline", "Pipeline"],
  ["lag", "Lag"],
  ["redis", "Redis"],
  ["results", "Newest result"],
  ["canary", "Canary"],
];

const NOT_KNOWN = "Not known at this address: see /readyz of its own service, or the alerts.";

/**
 * The parts in the order in which an event passes them, then all others. checks are
 * those of /readyz, null where it is not served; known is what was found otherwise.
 */
export function partsOf(checks: Checks | null, known: readonly Part[]): Part[] {
  const rest = Object.entries(checks ?? {}).filter(([name]) => !WAY.some(([check]) => check === name));
  const part = (name: string, { ok, detail }: Checks[string]): Part => ({ name, ok, text: detail ?? (ok ? "well" : "not well") });
  return [
    ...WAY.map(([check, name]): Part => {
      const found = checks?.[check];
      if (found !== undefined) return part(name, found);
      return known.find((one) => one.name === name) ?? { name, ok: null, text: NOT_KNOWN };
    }),
    ...rest.map(([name, check]) => part(name, check)),
  ];
}

/** The state of the pipeline by the catalogue, which it writes: it runs when any metric was reported lately. */
export function pipelineByCatalogue(metrics: readonly { readonly stale: boolean }[]): Part[] {
  if (metrics.length === 0) return [];
  const ok = metrics.some(({ stale }) => !stale);
  return [{ name: "Pipeline", ok, text: ok ? "it reports metrics that arrive" : "it reports no metric any more" }];
}

/** Whether the catalogue is out of date: it comes from the pipeline over Redis, as results do. */
export function isOutdated(checks: Checks | null): boolean {
  return ["pipeline", "redis", "results"].some((name) => checks?.[name]?.ok === false);
}
