import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api/client";

const LOOK_MS = 2000;
/** Requests that take longer are given up. */
const ANSWER_MS = 5000;
/** A state that is older counts as unknown. */
export const OLD_MS = 3 * LOOK_MS + ANSWER_MS;

export interface Polled<T> {
  readonly value: T | null;
  /** It is too old to be true now. */
  readonly old: boolean;
  readonly problem: string;
}

/** Loads every few seconds while the page is visible; starts anew when key changes. */
export function usePolled<T>(load: (signal: AbortSignal) => Promise<T>, key: string): Polled<T> {
  const [polled, setPolled] = useState<Polled<T>>({ value: null, old: true, problem: "" });
  const at = useRef(Number.NEGATIVE_INFINITY);
  useEffect(() => {
    const abort = new AbortController();
    let asking = false;
    const ask = async (): Promise<void> => {
      // A request may take long, as while a token is asked for.
      if (performance.now() - at.current > OLD_MS) setPolled((was) => (was.old ? was : { ...was, old: true }));
      if (asking || document.visibilityState === "hidden") return;
      asking = true;
      try {
        const value = await load(AbortSignal.any([abort.signal, AbortSignal.timeout(ANSWER_MS)]));
        at.current = performance.now();
        if (!abort.signal.aborted) setPolled({ value, old: false, problem: "" });
      } catch (error) {
        const problem = error instanceof ApiError && error.status !== 0 ? error.message : "The server does not answer: nothing is known of it now.";
        if (!abort.signal.aborted) setPolled(({ value }) => ({ value, old: true, problem }));
      }
      asking = false;
    };
    const again = (): void => void ask();
    again();
    const timer = setInterval(again, LOOK_MS);
    document.addEventListener("visibilitychange", again, { signal: abort.signal });
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, [key]);
  return polled;
}
