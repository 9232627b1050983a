// What the status page says of the parts of the system, from what /readyz of
// the server, the catalogue of metrics and the page's own stream tell.

/** ok null: nobody tells here. */
export interface Part {
  readonly name: string;
  readonly ok: boolean | null;
  readonly text: string;
}

/** The checks of /readyz, by name. */
export type Checks = Readonly<Record<string, { readonly ok: boolean; readonly detail?: string }>>;

/** Each must be known to be well: what is on the way from an event to the page. */
const WAY: readonly (readonly [check: string, name: string])[] = [
  ["kafka", "Kafka"],
  ["pipeline", "Pipeline"],
  ["lag", "Lag"],
  ["redis", "Redis"],
  ["results", "Newest result"],
  ["canary", "Canary"],
];

const NOT_TOLD = "This address does not tell it: see /readyz of its own service, or the alerts.";

/**
 * The parts by what /readyz says, null when it says nothing here, with those of
 * the way first. known is what else tells of one of them.
 */
export function partsOf(checks: Checks | null, known: readonly Part[]): Part[] {
  const rest = Object.entries(checks ?? {}).filter(([name]) => !WAY.some(([check]) => check === name));
  const part = (name: string, { ok, detail }: Checks[string]): Part => ({ name, ok, text: detail ?? (ok ? "well" : "not well") });
  return [
    ...WAY.map(([check, name]): Part => {
      const told = checks?.[check];
      if (told !== undefined) return part(name, told);
      return known.find((one) => one.name === name) ?? { name, ok: null, text: NOT_TOLD };
    }),
    ...rest.map(([name, check]) => part(name, check)),
  ];
}

/** What the catalogue tells of the pipeline, which writes it: it moves when any metric is told of. */
export function catalogueTells(metrics: readonly { readonly stale: boolean }[]): Part[] {
  if (metrics.length === 0) return [];
  const ok = metrics.some(({ stale }) => !stale);
  return [{ name: "Pipeline", ok, text: ok ? "it tells of metrics that arrive" : "it tells of no metric any more" }];
}

/** What the catalogue says is from before: it comes the way that results come. */
export function standsStill(checks: Checks | null): boolean {
  return ["pipeline", "redis", "results"].some((name) => checks?.[name]?.ok === false);
}
