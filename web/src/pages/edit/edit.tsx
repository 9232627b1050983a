import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, changeDashboard, createDashboard, deleteDashboard, getDashboard, messageOf, undelete, validateDashboard, type Versioned } from "../../api/client";
import type { Chart, Dashboard, ProblemDetail, Validation, Widget } from "../../api/types";
import { newId, Scratch } from "./scratch";
import type { LiveSession } from "../../live/session";
import { pageBuild } from "../../model/build";
import { CHARTS, widgetPosition } from "../../model/dashboard";
import { changesOf, draftOf, nameOf, parseKept, queryOf, savingOf, verdictOf, type Draft, type PathText } from "../../model/draft";
import { formatTime } from "../../model/format";
import { freePosition, type Placed } from "../../model/layout";
import { advance, redo, timeline, undo } from "../../model/undo";
import { newWidget, SIZES } from "../../model/widget-form";
import { dashboardPath, getQuery, guardLeaving, navigate, setQuery } from "../../ui/router";
import { Dialog } from "../../ui/dialog";
import { Icon } from "../../ui/icon";
import { remember, remembered } from "../../ui/memory";
import { toast } from "../../ui/toast";
import type { SharedView } from "../../widgets/frame";
import { Canvas, placedOf } from "./canvas";
import { WidgetDrawer } from "./drawer";
import { walk } from "./fields";
import { Settings } from "./settings";

/** After the last change: no request a key. */
const CHECK_WAIT_MS = 300;
/** What the drawer shows when it is not a widget. */
const DASHBOARD = "dashboard";

interface EditModeProps {
  readonly session: LiveSession;
  /** As it is saved, by whomever. */
  readonly dashboard: Versioned<Dashboard>;
  readonly view: RefObject<SharedView | null>;
  onSaved(dashboard: Versioned<Dashboard>): void;
}

export function EditMode({ session, dashboard, view, onSaved }: EditModeProps) {
  const id = dashboard.value.dashboard_id;
  const key = `pulseboard.draft.${id}`;
  const [kept, setKept] = useState(() => parseKept(remembered(key), id));
  const [base, setBase] = useState(kept?.base ?? dashboard.value);
  const [line, setLine] = useState(() => {
    const start = timeline(draftOf(kept?.base ?? dashboard.value));
    return kept === null ? start : advance(start, kept.draft);
  });
  const draft = line.now;
  const saved = useMemo(() => draftOf(base), [base]);
  const dirty = useMemo(() => savingOf(saved, draft).kind !== "nothing", [saved, draft]);

  const [open, setOpen] = useState(() => getQuery("widget"));
  const [strict, setStrict] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const [spoken, setSpoken] = useState("");
  const [leaveTo, setLeaveTo] = useState<string | null>(null);
  const [conflict, setConflict] = useState<Versioned<Dashboard> | "deleted" | null>(null);
  const { of, verdict, warnings, cost } = useChecks(draft);
  const { sessionOf, scratch } = useLive(session, dashboard.value, of, verdict.widgets);
  const trouble = scratch.problem.value;
  const free = useRef(false);

  /** A new widget has no metric yet; that is a fault once it is to be saved. */
  const faults = (widget: Widget, all: boolean): readonly PathText[] =>
    widget.metric_name === "" ? (all ? [{ path: "metric_name", text: "Choose a metric." }] : []) : (verdict.widgets.get(widget.widget_id) ?? []);

  const change = (next: Draft, step = ""): void => setLine((old) => advance(old, next, step));
  const show = (what: string | null): void => {
    setOpen(what);
    setQuery("widget", what);
  };
  const add = (chart: Chart): void => {
    const [w, h] = SIZES[chart];
    const widget = newWidget(newId(), chart, freePosition(placedOf(draft.widgets).map((one) => one.position), w, h));
    change({ ...draft, widgets: [...draft.widgets, widget] });
    show(widget.widget_id);
  };
  const remove = (gone: Widget): void => {
    change({ ...draft, widgets: draft.widgets.filter((one) => one !== gone) });
    if (open === gone.widget_id) show(null);
    setSpoken(`${nameOf(gone)} is removed. Undo brings it back.`);
  };
  const arranged = (placed: readonly Placed[]): void => {
    const places = new Map(placed.map((one) => [one.id, one.position]));
    const widgets = draft.widgets.map((widget) => {
      const position = places.get(widget.widget_id);
      return position === undefined || JSON.stringify(position) === JSON.stringify(widgetPosition(widget)) ? widget : { ...widget, display_config: { ...widget.display_config, position } };
    });
    if (widgets.some((widget, i) => widget !== draft.widgets[i])) change({ ...draft, widgets });
  };
  const leave = (to?: string): void => {
    free.current = true;
    setQuery("widget", null);
    navigate(to ?? dashboardPath(id));
  };
  const forget = (): void => {
    remember(key, null);
    setKept(null);
  };

  /** Saves over from, which is what the draft was made from unless somebody's version is to be overwritten. */
  const save = async (from: Dashboard, to?: string): Promise<void> => {
    if (busy) return;
    const saving = savingOf(draftOf(from), draft);
    const faulty = draft.widgets.find((one) => faults(one, true).length > 0);
    if (faulty !== undefined) {
      setStrict(true);
      setLeaveTo(null);
      show(faulty.widget_id);
      setProblem(`Nothing is saved yet: “${nameOf(faulty)}” has something to mend.`);
      return;
    }
    setBusy(true);
    setProblem("");
    try {
      if (saving.kind !== "nothing") {
        onSaved(await changeDashboard(saving.kind === "all" ? "PUT" : "PATCH", id, saving.kind === "widgets" ? "/widgets" : "", `"${from.version}"`, saving.body));
      }
      forget();
      leave(to);
      return;
    } catch (failure) {
      setLeaveTo(null);
      setConflict(null);
      if (failure instanceof ApiError && (failure.conflict || failure.status === 404)) await meet();
      else setProblem(messageOf(failure));
    }
    setBusy(false);
  };
  /** Somebody else was faster: shows what they did. */
  const meet = async (): Promise<void> => {
    try {
      setConflict(await getDashboard(id));
    } catch (failure) {
      if (failure instanceof ApiError && failure.status === 404) setConflict("deleted");
      else setProblem(messageOf(failure));
    }
  };
  const copy = async (): Promise<void> => {
    try {
      const { value } = await createDashboard({ ...draft, title: `${draft.title} (copy)`.slice(0, 200) });
      forget();
      leave(`/d/${value.dashboard_id}`);
    } catch (failure) {
      setConflict(null);
      setProblem(messageOf(failure));
    }
  };
  const destroy = async (): Promise<void> => {
    try {
      await deleteDashboard(id, `"${dashboard.value.version}"`);
      forget();
      leave("/");
      const again = `/d/${encodeURIComponent(id)}`;
      const run = (): void => void undelete(id, dashboard.value.version).then(() => navigate(again), (error: unknown) => toast({ text: messageOf(error) }));
      toast({ text: `“${base.title}” is deleted for everyone.`, action: { name: "Undo", run } });
    } catch (failure) {
      setProblem(messageOf(failure));
    }
  };

  useEffect(() => {
    if (getQuery("widget") === "new") add("line");
  }, []);
  // Without a change of one's own there is nothing to keep: follow what is saved.
  useEffect(() => {
    if (dirty || dashboard.value.version <= base.version) return;
    setBase(dashboard.value);
    setLine(timeline(draftOf(dashboard.value)));
  }, [dirty, dashboard]);
  useEffect(() => {
    setProblem("");
    if (!free.current) remember(key, dirty ? JSON.stringify({ base, at: Date.now(), draft }) : null);
  }, [base, draft, dirty]);
  // A newer page waits until nothing would be lost.
  useEffect(() => {
    pageBuild.hold(dirty);
    return () => pageBuild.hold(false);
  }, [dirty]);
  // With the drawing and not after it: Ctrl+S right after a change must save that change.
  useLayoutEffect(() => {
    guardLeaving((to) => {
      if (!dirty || free.current) return false;
      setLeaveTo(to);
      return true;
    });
    const unload = (event: BeforeUnloadEvent): void => {
      // Whoever asked for the newer page finds the draft in it.
      if (dirty && !free.current && !(pageBuild.asked && remembered(key) !== null)) event.preventDefault();
    };
    const keys = (event: KeyboardEvent): void => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || document.querySelector("dialog[open]") !== null) return;
      const name = event.key.toLowerCase();
      if (name === "z") setLine(event.shiftKey ? redo : undo);
      else if (name === "y") setLine(redo);
      else if (name !== "s") return;
      else if (dirty) void save(base);
      event.preventDefault();
    };
    window.addEventListener("beforeunload", unload);
    window.addEventListener("keydown", keys);
    return () => {
      guardLeaving(null);
      window.removeEventListener("beforeunload", unload);
      window.removeEventListener("keydown", keys);
    };
  });

  useEffect(() => scratch.session.value.scheduler.invalidateAll(), [view.current]);

  const selected = draft.widgets.find((one) => one.widget_id === open);
  return (
    <div class={selected !== undefined || open === DASHBOARD ? "edit edit-open" : "edit"} onFocusOut={() => setLine((old) => (old.step === "" ? old : { ...old, step: "" }))}>
      <div class="edit-bar" role="toolbar" aria-label="Editing" onKeyDown={walk}>
        {button("Undo", () => setLine(undo), { disabled: line.past.length === 0, title: "Ctrl+Z" })}
        {button("Redo", () => setLine(redo), { disabled: line.future.length === 0, title: "Ctrl+Shift+Z" })}
        <AddMenu onAdd={add} />
        {button("Dashboard", () => show(open === DASHBOARD ? null : DASHBOARD), { "data-id": DASHBOARD, "aria-expanded": open === DASHBOARD })}
        <span class="edit-note" role="status">
          {kept === null || !dirty ? costOf(cost) : `Draft of ${formatTime(kept.at)} restored`}
        </span>
        {dirty ? (
          <>
            <span class="chip chip-warn">Unsaved</span>
            {button("Discard", () => {
              setKept(null);
              change(saved);
            })}
            {button("Save", () => void save(base), { ...PRIMARY, disabled: busy, title: "Ctrl+S" })}
          </>
        ) : (
          button("Done", () => leave(), PRIMARY)
        )}
      </div>
      {[problem, ...(open === DASHBOARD ? [] : verdict.rest.map(({ text }) => text)), trouble && `There is no preview: ${trouble}`, dirty && dashboard.value.version > base.version ? "Somebody else has saved this dashboard meanwhile. When you save, you can look at what they did." : ""]
        .filter((text) => text !== "")
        .map((text) => (
          <p key={text} class="notice" role="alert">
            {text}
          </p>
        ))}
      {draft.widgets.length === 0 ? (
        <p class="empty">Add the first widget with the button above.</p>
      ) : null}
      <Canvas widgets={draft.widgets} selected={open} view={view} sessionOf={sessionOf} faultOf={(widget) => faults(widget, true)[0]?.text} onSelect={show} onRemove={remove} onArrange={arranged} say={setSpoken} />
      {selected === undefined ? null : (
        <WidgetDrawer
          key={selected.widget_id}
          widget={selected}
          faults={faults(selected, strict)}
          warnings={warnings.widgets.get(selected.widget_id) ?? []}
          cost={cost?.widgets.find((one) => one.widget_id === selected.widget_id)}
          onChange={(next, step) => change({ ...draft, widgets: draft.widgets.map((one) => (one === selected ? next : one)) }, `${selected.widget_id}/${step}`)}
          onClose={() => show(null)}
        />
      )}
      {open === DASHBOARD ? <Settings id={id} draft={draft} faults={verdict.rest} onChange={change} onDelete={() => void destroy()} onClose={() => show(null)} /> : null}
      <p class="sr-only" role="status">
        {spoken}
      </p>
      {leaveTo === null ? null : (
        <Dialog title="Leave without saving?" submit="Save and leave" small busy={busy} onSubmit={() => void save(base, leaveTo)} onClose={() => setLeaveTo(null)}>
          <p>Your draft can stay in this browser until you edit this dashboard again.</p>
          {button("Leave and keep the draft", () => leave(leaveTo))}
          {button("Leave and drop the draft", () => {
            forget();
            leave(leaveTo);
          })}
        </Dialog>
      )}
      {conflict === null ? null : (
        <Dialog
          title={conflict === "deleted" ? "Somebody deleted this dashboard" : "Somebody else saved this dashboard"}
          submit={conflict === "deleted" ? "Save mine as a copy" : "Overwrite theirs"}
          danger={conflict !== "deleted"}
          busy={busy}
          onSubmit={() => void (conflict === "deleted" ? copy() : save(conflict.value))}
          onClose={() => setConflict(null)}
        >
          {conflict === "deleted" ? null : (
            <>
              <p>Since you began, from version {base.version} to {conflict.value.version}:</p>
              <ul class="changes">
                {changesOf(saved, draftOf(conflict.value)).map((text) => (
                  <li key={text}>{text}</li>
                ))}
              </ul>
              {button("Reload theirs (undo brings mine back)", () => {
                setBase(conflict.value);
                change(draftOf(conflict.value));
                setConflict(null);
              })}
              {button("Save mine as a copy", () => void copy())}
            </>
          )}
        </Dialog>
      )}
    </div>
  );
}

const PRIMARY = { class: "button button-primary" };

function button(text: string, onClick: () => void, more: object = {}) {
  return (
    <button type="button" class="button" onClick={onClick} {...more}>
      {text}
    </button>
  );
}

const CHART_WORDS: Readonly<Record<Chart, string>> = { line: "Line chart", gauge: "Gauge", stat: "Number", table: "Table", heatmap: "Heat map" };

function AddMenu({ onAdd }: { onAdd(chart: Chart): void }) {
  return (
    <>
      <button type="button" class="button" popoverTarget="add">
        <Icon name="plus" />
        Add widget
      </button>
      <div class="menu menu-left" id="add" popover="auto">
        {CHARTS.map((chart) => (
          <button key={chart} type="button" class="button button-quiet" popoverTarget="add" popoverTargetAction="hide" onClick={() => onAdd(chart)}>
            {CHART_WORDS[chart]}
          </button>
        ))}
      </div>
    </>
  );
}

function costOf(cost: Validation["cost"] | null): string {
  if (cost === null) return "";
  const { series, results_per_second, widgets } = cost;
  const fresh = new Set(widgets.filter((one) => one.new).map((one) => one.metric_key)).size;
  return `New queries: ${fresh}; in all ${series.toLocaleString("en")} series, ${results_per_second.toLocaleString("en")} results/s`;
}

function isNamed({ metric_name }: Widget): boolean {
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

/** What the service says of the draft, asked for when it has not changed for a moment. */
function useChecks(draft: Draft) {
  const [checked, setChecked] = useState<Checked>({ of: draft, errors: [], warnings: [], cost: null });
  // The preview makes them known to the pipeline; they are new for whoever saves all the same.
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

/** Where the values of each widget come from: the dashboard's stream when it has this query, else that of the draft. */
function useLive(session: LiveSession, saved: Dashboard, checked: Draft, faults: ReadonlyMap<string, unknown>) {
  const scratch = useMemo(() => new Scratch(), []);
  useEffect(() => () => scratch.close(), []);
  // The server's time comes with the stream.
  const known = session.version.value > 0;
  useEffect(() => {
    if (known) Scratch.sweep(session.serverNow()).catch(() => {}); // The next editor tries again.
  }, [known]);
  const queries = useMemo(() => new Map(saved.widgets.map((widget) => [widget.widget_id, queryOf(widget)])), [saved]);
  const isSaved = (widget: Widget): boolean => queries.get(widget.widget_id) === queryOf(widget);
  useEffect(() => {
    scratch.show(checked.title, checked.widgets.filter((one) => isNamed(one) && !faults.has(one.widget_id) && !isSaved(one)));
  }, [checked, queries]);
  const other = scratch.session.value;
  const paused = session.paused.value;
  useEffect(() => {
    if (paused !== other.paused.value) other.setPaused(paused);
  }, [paused, other]);
  return {
    sessionOf: (widget: Widget): LiveSession => (isSaved(widget) ? session : other),
    scratch,
  };
}
