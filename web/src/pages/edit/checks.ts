import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, validateDashboard } from "../../api/client";
import type { ProblemDetail, Validation, Widget } from "../../api/types";
import { verdictOf, type Draft } from "../../model/draft";

/** After the last change: no request a key. */
const CHECK_WAIT_MS = 300;

/** A new widget has no metric yet, and no query. */
export function isNamed({ metric_name }: Widget): boolean {
  return metric_name !== "";
}

interface Checked {
  /** Indexes are those of the draft that was asked about. */
  readonly of: Draft;
  readonly errors: readonly ProblemDetail[];
  readonly warnings: readonly ProblemDetail[];
  /** Of the newest draft without a fault. */
  readonly cost: Validation["cost"] | null;
}

/** Faults, warnings and cost of the draft by the config service, asked for when it has not changed for a moment. */
export function useChecks(draft: Draft) {
  const [checked, setChecked] = useState<Checked>({ of: draft, errors: [], warnings: [], cost: null });
  // The preview makes queries known to the pipeline: those that were new when they were first asked about stay new.
  const fresh = useRef(new Set<string>());
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(() => {
      const of = { ...draft, widgets: draft.widgets.filter(isNamed) };
      validateDashboard(of, abort.signal).then(
        ({ warnings, cost }) => {
          for (const one of cost.widgets) if (one.new) fresh.current.add(one.metric_key);
          setChecked({ of, errors: [], warnings, cost: { ...cost, widgets: cost.widgets.map((one) => ({ ...one, new: fresh.current.has(one.metric_key) })) } });
        },
        (error: unknown) => {
          if (error instanceof ApiError) setChecked(({ cost }) => ({ of, errors: error.errors, warnings: [], cost }));
        },
      );
    }, CHECK_WAIT_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [draft]);
  const { of, errors, warnings, cost } = checked;
  return useMemo(() => ({ of, verdict: verdictOf(of, errors), warnings: verdictOf(of, warnings), cost }), [checked]);
}
