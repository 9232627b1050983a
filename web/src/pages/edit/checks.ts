import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, validateDashboard } from "../../api/client";
import type { ProblemDetail, Validation, Widget } from "../../api/types";
import { verdictOf, type Draft } from "../../model/draft";

/** Wait after the last change, so that not each key sends a request. */
const CHECK_WAIT_MS = 300;

/** Whether a widget has a metric; a new one has none, and so no query. */
export function isNamed({ metric_name }: Widget): boolean {
  return metric_name !== "";
}

interface Checked {
  /** The draft that was checked: pointers in errors and warnings refer to it. */
  readonly of: Draft;
  readonly errors: readonly ProblemDetail[];
  readonly warnings: readonly ProblemDetail[];
  /** Of the newest draft without a fault. */
  readonly cost: Validation["cost"] | null;
}

/** Faults, warnings and cost of the draft from the config service, requested once it has not changed for a moment. */
export function useChecks(draft: Draft) {
  const [checked, setChecked] = useState<Checked>({ of: draft, errors: [], warnings: [], cost: null });
  // The preview makes the pipeline compute queries: those that were new at first stay marked as new.
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
