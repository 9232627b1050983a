import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useMemo, useReducer, useRef } from "preact/hooks";
import { device, keep, recall } from "../../api/storage";
import type { Dashboard, Widget } from "../../api/types";
import type { LiveSession } from "../../live/session";
import { pageBuild } from "../../model/build";
import { draftOf, parseKept, savingOf, type PathText } from "../../model/draft";
import { DASHBOARD, edited, startEditing, type EditorAction } from "../../model/editor";
import { Notice } from "../../ui/notice";
import { dashboardPath, getQuery, guardLeaving, navigate, setQuery } from "../../ui/router";
import type { SharedView } from "../../widgets/frame";
import { WIDGET_TYPES } from "../../widgets/types";
import { requestsOf } from "./actions";
import { EditBar } from "./bar";
import { Canvas } from "./canvas";
import { useChecks } from "./checks";
import { ConflictDialog, LeaveDialog } from "./dialogs";
import { WidgetDrawer } from "./drawer";
import { usePreview } from "./preview";
import { newId } from "./scratch";
import { Settings } from "./settings";

interface EditModeProps {
  readonly session: LiveSession;
  /** The newest version that is saved. */
  readonly dashboard: Dashboard;
  readonly view: RefObject<SharedView | null>;
  onSaved(dashboard: Dashboard): void;
  /** The session that has the values of what is not saved yet. */
  onPreview(session: LiveSession | null): void;
}

export function EditMode({ session, dashboard, view, onSaved, onPreview }: EditModeProps) {
  const id = dashboard.dashboard_id;
  const { state, dispatch, dirty, leave, finish, leaving } = useEditor(dashboard);
  const draft = state.line.now;
  const { of, verdict, warnings, cost } = useChecks(draft);
  const { sessionOf, preview, trouble } = usePreview(session, dashboard, of, verdict.widgets);
  useEffect(() => {
    onPreview(preview);
    return () => onPreview(null);
  }, [preview]);
  useEffect(() => preview.scheduler.invalidateAll(), [view.current]);

  /** A new widget has no metric yet; that is a fault once it is to be saved. */
  const faults = (widget: Widget, all: boolean): readonly PathText[] =>
    widget.metric_name === "" ? (all ? [{ path: "metric_name", text: "Choose a metric." }] : []) : (verdict.widgets.get(widget.widget_id) ?? []);
  const { save, saveCopy, remove } = requestsOf({ state, dashboard, dispatch, isFaulty: (widget) => faults(widget, true).length > 0, finish, onSaved });
  const saveNow = (to?: string): void => void save(state.base, to);
  useKeys(dispatch, () => dirty && saveNow());

  const add = (chart: string): void => dispatch({ type: "add", id: newId(), chart, size: WIDGET_TYPES.get(chart)?.size ?? [6, 4] });
  useEffect(() => {
    if (state.open === "new") add("line");
  }, []);

  const selected = draft.widgets.find((one) => one.widget_id === state.open);
  const isOpen = selected !== undefined || state.open === DASHBOARD;
  const close = (): void => dispatch({ type: "open", what: null });
  const notices = [
    state.problem,
    ...(state.open === DASHBOARD ? [] : verdict.rest.map(({ text }) => text)),
    trouble && `There is no preview: ${trouble}`,
    dirty && dashboard.version > state.base.version ? "Somebody else has saved this dashboard meanwhile. When you save, you can look at what they did." : "",
  ];
  return (
    <div class={isOpen ? "edit edit-open" : "edit"} onFocusOut={() => dispatch({ type: "end-step" })}>
      <EditBar state={state} dirty={dirty} cost={cost} dispatch={dispatch} onAdd={add} onSave={() => saveNow()} onDone={() => leave()} />
      {notices.map((text) => (
        <Notice key={text} text={text} />
      ))}
      {draft.widgets.length === 0 ? <p class="empty">Add the first widget with the button above.</p> : null}
      <Canvas
        widgets={draft.widgets}
        selected={state.open}
        view={view}
        sessionOf={sessionOf}
        faultOf={(widget) => faults(widget, true)[0]?.text}
        onSelect={(what) => dispatch({ type: "open", what })}
        onDuplicate={(widget) => dispatch({ type: "duplicate", of: widget, id: newId() })}
        onRemove={(widget) => dispatch({ type: "remove", widget })}
        onArrange={(placed) => dispatch({ type: "arrange", placed })}
        say={(text) => dispatch({ type: "say", text })}
      />
      {selected === undefined ? null : (
        <WidgetDrawer
          key={selected.widget_id}
          widget={selected}
          faults={faults(selected, state.strict)}
          warnings={warnings.widgets.get(selected.widget_id) ?? []}
          cost={cost?.widgets.find((one) => one.widget_id === selected.widget_id)}
          onChange={(next, step) =>
            dispatch({ type: "change", draft: { ...draft, widgets: draft.widgets.map((one) => (one === selected ? next : one)) }, step: `${selected.widget_id}/${step}` })
          }
          onClose={close}
        />
      )}
      {state.open === DASHBOARD ? (
        <Settings id={id} draft={draft} faults={verdict.rest} onChange={(next, step = "") => dispatch({ type: "change", draft: next, step })} onDelete={() => void remove()} onClose={close} />
      ) : null}
      <p class="sr-only" role="status">
        {state.spoken}
      </p>
      {state.leaveTo === null ? null : <LeaveDialog busy={state.busy} {...leaving(state.leaveTo, saveNow)} />}
      {state.conflict === null ? null : (
        <ConflictDialog
          base={state.base}
          theirs={state.conflict}
          busy={state.busy}
          onOverwrite={(theirs) => void save(theirs)}
          onTake={() => dispatch({ type: "take-theirs" })}
          onCopy={() => void saveCopy()}
          onClose={() => dispatch({ type: "conflict", with: null })}
        />
      )}
    </div>
  );
}

/** The editor's state, its draft in this browser, and the ways out of it. */
function useEditor(dashboard: Dashboard) {
  const id = dashboard.dashboard_id;
  const key = `pulseboard.draft.${id}`;
  const [state, dispatch] = useReducer(edited, null, () => startEditing(dashboard, parseKept(recall(device, key), id), getQuery("widget")));
  const { base, line, open } = state;
  const draft = line.now;
  const dirty = useMemo(() => savingOf(draftOf(base), draft).kind !== "nothing", [base, draft]);
  /** The editor is being left on purpose: do not ask, and do not keep the draft. */
  const free = useRef(false);

  useEffect(() => setQuery("widget", open), [open]);
  // Without unsaved changes the editor follows what is saved.
  useEffect(() => {
    if (!dirty && dashboard.version > base.version) dispatch({ type: "follow", dashboard });
  }, [dirty, dashboard]);
  useEffect(() => {
    if (!free.current) keep(device, key, dirty ? JSON.stringify({ base, at: Date.now(), draft }) : null);
  }, [base, draft, dirty]);
  // The page is not reloaded for a newer build while that would lose something.
  useEffect(() => {
    pageBuild.hold(dirty);
    return () => pageBuild.hold(false);
  }, [dirty]);
  // A layout effect, so that the guard knows of a change as soon as it is drawn.
  useLayoutEffect(() => {
    guardLeaving((to) => {
      if (!dirty || free.current) return false;
      dispatch({ type: "leave", to });
      return true;
    });
    const unload = (event: BeforeUnloadEvent): void => {
      // A reload for a newer page was asked for, and the draft is kept: it is restored there.
      if (dirty && !free.current && !(pageBuild.asked && recall(device, key) !== null)) event.preventDefault();
    };
    window.addEventListener("beforeunload", unload);
    return () => {
      guardLeaving(null);
      window.removeEventListener("beforeunload", unload);
    };
  });

  const leave = (to?: string): void => {
    free.current = true;
    setQuery("widget", null);
    navigate(to ?? dashboardPath(id));
  };
  /** Leaves with the draft saved or given up. */
  const finish = (to?: string): void => {
    keep(device, key, null);
    leave(to);
  };
  const leaving = (to: string, save: (to: string) => void) => ({
    onSave: () => save(to),
    onKeep: () => leave(to),
    onDrop: () => finish(to),
    onStay: () => dispatch({ type: "leave", to: null }),
  });
  return { state, dispatch, dirty, leave, finish, leaving };
}

/** Undo, redo and save by the keyboard; in a layout effect, since Ctrl+S right after a change must save that change. */
function useKeys(dispatch: (action: EditorAction) => void, save: () => void): void {
  useLayoutEffect(() => {
    const keys = (event: KeyboardEvent): void => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || document.querySelector("dialog[open]") !== null) return;
      const name = event.key.toLowerCase();
      if (name === "z") dispatch({ type: event.shiftKey ? "redo" : "undo" });
      else if (name === "y") dispatch({ type: "redo" });
      else if (name === "s") save();
      else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", keys);
    return () => window.removeEventListener("keydown", keys);
  });
}
