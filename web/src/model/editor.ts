// The state of the editor of a dashboard, and how each action changes it. Pure: requests and the browser are in pages/edit.
import type { Dashboard, Widget } from "../api/types";
import { draftOf, nameOf, type Draft, type Kept } from "./draft";
import { placedOf } from "./dashboard";
import { freePosition, type Placed } from "./layout";
import { advance, endStep, redo, timeline, undo, type Timeline } from "./undo";
import { newWidget } from "./widget-form";

/** What the drawer shows when it is not a widget. */
export const DASHBOARD = "dashboard";

export interface EditorState {
  /** The version that the draft was made from. */
  readonly base: Dashboard;
  readonly line: Timeline<Draft>;
  /** When the draft that was restored was kept in this browser, in epoch ms; null without one. */
  readonly restored: number | null;
  /** What the drawer shows: the id of a widget, DASHBOARD, or nothing. */
  readonly open: string | null;
  /** A save was tried: from then on, what is missing in a new widget is shown as a fault. */
  readonly strict: boolean;
  /** A request to save is on its way. */
  readonly busy: boolean;
  readonly problem: string;
  /** For screen readers. */
  readonly spoken: string;
  /** Where to go once the user has decided whether to save; null while that is not asked. */
  readonly leaveTo: string | null;
  /** What a save found in place of base: a newer version, or none; null while there is no conflict. */
  readonly conflict: Dashboard | "deleted" | null;
}

export type EditorAction =
  /** step names what is changed: changes of the same in a row are undone together. */
  | { readonly type: "change"; readonly draft: Draft; readonly step?: string }
  | { readonly type: "undo" | "redo" | "end-step" | "discard" | "take-theirs" }
  | { readonly type: "open"; readonly what: string | null }
  | { readonly type: "add"; readonly id: string; readonly chart: string; readonly size: readonly [w: number, h: number] }
  | { readonly type: "duplicate"; readonly id: string; readonly of: Widget }
  | { readonly type: "remove"; readonly widget: Widget }
  | { readonly type: "arrange"; readonly placed: readonly Placed[] }
  | { readonly type: "say"; readonly text: string }
  | { readonly type: "leave"; readonly to: string | null }
  | { readonly type: "saving" }
  | { readonly type: "failed"; readonly problem: string }
  | { readonly type: "incomplete"; readonly widget: Widget }
  | { readonly type: "conflict"; readonly with: Dashboard | "deleted" | null }
  /** Nothing is unsaved, and there is a newer version. */
  | { readonly type: "follow"; readonly dashboard: Dashboard };

/** kept is a draft that was found in this browser. */
export function startEditing(dashboard: Dashboard, kept: Kept | null, open: string | null): EditorState {
  const base = kept?.base ?? dashboard;
  const line = timeline(draftOf(base));
  return {
    base,
    line: kept === null ? line : advance(line, kept.draft),
    restored: kept?.at ?? null,
    open,
    strict: false,
    busy: false,
    problem: "",
    spoken: "",
    leaveTo: null,
    conflict: null,
  };
}

export function edited(state: EditorState, action: EditorAction): EditorState {
  const draft = state.line.now;
  switch (action.type) {
    case "change":
      return changed(state, action.draft, action.step);
    case "undo":
      return { ...state, line: undo(state.line), problem: "" };
    case "redo":
      return { ...state, line: redo(state.line), problem: "" };
    case "end-step":
      return state.line.step === "" ? state : { ...state, line: endStep(state.line) };
    case "discard":
      return { ...changed(state, draftOf(state.base)), restored: null };
    case "open":
      return { ...state, open: action.what };
    case "add":
      return added(state, newWidget(action.id, action.chart, free(draft, action.size)));
    case "duplicate":
      return added(state, copyOf(draft, action.of, action.id));
    case "remove":
      return {
        ...changed(state, { ...draft, widgets: draft.widgets.filter((one) => one !== action.widget) }),
        open: state.open === action.widget.widget_id ? null : state.open,
        spoken: `${nameOf(action.widget)} is removed. Undo brings it back.`,
      };
    case "arrange":
      return changed(state, arranged(draft, action.placed));
    case "say":
      return { ...state, spoken: action.text };
    case "leave":
      return { ...state, leaveTo: action.to };
    case "saving":
      return { ...state, busy: true, problem: "" };
    case "failed":
      return { ...state, busy: false, leaveTo: null, conflict: null, problem: action.problem };
    case "incomplete":
      return { ...state, strict: true, leaveTo: null, open: action.widget.widget_id, problem: `Nothing is saved yet: “${nameOf(action.widget)}” has something to mend.` };
    case "conflict":
      return { ...state, busy: false, leaveTo: null, conflict: action.with };
    case "take-theirs":
      if (state.conflict === null || state.conflict === "deleted") return state;
      return { ...changed(state, draftOf(state.conflict)), base: state.conflict, conflict: null };
    case "follow":
      return { ...state, base: action.dashboard, line: timeline(draftOf(action.dashboard)), problem: "" };
  }
}

function changed(state: EditorState, draft: Draft, step = ""): EditorState {
  const line = advance(state.line, draft, step);
  return line === state.line ? state : { ...state, line, problem: "" };
}

function added(state: EditorState, widget: Widget): EditorState {
  const draft = state.line.now;
  return { ...changed(state, { ...draft, widgets: [...draft.widgets, widget] }), open: widget.widget_id };
}

function free({ widgets }: Draft, [w, h]: readonly [number, number]) {
  return freePosition(placedOf(widgets).map((one) => one.position), w, h);
}

function copyOf(draft: Draft, widget: Widget, id: string): Widget {
  const place = placedOf(draft.widgets).find((one) => one.id === widget.widget_id)?.position;
  const position = free(draft, [place?.w ?? 6, place?.h ?? 4]);
  const title = `${nameOf(widget)} (copy)`.slice(0, 200);
  return { ...widget, widget_id: id, display_config: { ...widget.display_config, title, position } };
}

/** The draft with the widgets at these places; itself when nothing moved. */
function arranged(draft: Draft, placed: readonly Placed[]): Draft {
  const places = new Map(placed.map((one) => [one.id, one.position]));
  const widgets = draft.widgets.map((widget) => {
    const position = places.get(widget.widget_id);
    const same = position === undefined || JSON.stringify(position) === JSON.stringify(widget.display_config?.position);
    return same ? widget : { ...widget, display_config: { ...widget.display_config, position } };
  });
  return widgets.every((widget, i) => widget === draft.widgets[i]) ? draft : { ...draft, widgets };
}
