import { useEffect, useMemo } from "preact/hooks";
import type { Dashboard, Widget } from "../../api/types";
import type { LiveSession } from "../../live/session";
import { queryOf, type Draft } from "../../model/draft";
import { isNamed } from "./checks";
import { Scratch } from "./scratch";

/** Where the values of each widget come from: the dashboard's stream when it has this query, else that of the draft. */
export function usePreview(session: LiveSession, saved: Dashboard, checked: Draft, faults: ReadonlyMap<string, unknown>) {
  const scratch = useMemo(() => new Scratch(), []);
  useEffect(() => () => scratch.close(), []);
  // The age of drafts is by the server's time, which comes with the stream.
  const known = session.version.value > 0;
  useEffect(() => {
    if (known) Scratch.sweep(session.serverNow()).catch(() => {}); // The next editor tries again.
  }, [known]);
  const queries = useMemo(() => new Map(saved.widgets.map((widget) => [widget.widget_id, queryOf(widget)])), [saved]);
  const isSaved = (widget: Widget): boolean => queries.get(widget.widget_id) === queryOf(widget);
  useEffect(() => {
    scratch.show(checked.title, checked.widgets.filter((one) => isNamed(one) && !faults.has(one.widget_id) && !isSaved(one)));
  }, [checked, queries]);
  const preview = scratch.session.value;
  const paused = session.paused.value;
  useEffect(() => {
    if (paused !== preview.paused.value) preview.setPaused(paused);
  }, [paused, preview]);
  return {
    sessionOf: (widget: Widget): LiveSession => (isSaved(widget) ? session : preview),
    preview,
    /** Why there are no values, empty when there are. */
    trouble: scratch.problem.value,
  };
}
