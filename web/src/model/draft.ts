import type { Dashboard, ProblemDetail, Widget } from "../api/types";
import { isEmpty, mergePatch, type JsonObject } from "./merge-patch";

/** The tag of dashboards that hold only the queries of a draft (pages/edit/scratch.ts). Old ones that have it are deleted. */
export const DRAFT_TAG = "pulseboard:draft";

/** The members of a dashboard that are edited. */
export interface Draft {
  readonly title: string;
  readonly tags: readonly string[];
  readonly variables: readonly { readonly name: string; readonly tag: string }[];
  readonly widgets: readonly Widget[];
}

/** The draft of a dashboard, which may become another one: its widgets name none. */
export function draftOf({ title, tags, variables, widgets }: Dashboard): Draft {
  return { title, tags: tags ?? [], variables: variables ?? [], widgets: widgets.map(({ dashboard_id: _, ...widget }) => widget) };
}

/** A text of what the pipeline computes for a widget: with equal texts two widgets have the same values. */
export function queryOf(widget: Widget): string {
  const { metric_name, aggregation, window_seconds, refresh_interval_seconds = 1, delay_seconds = 0, filter = {}, group_by = [], first = "" } = widget;
  return JSON.stringify([metric_name, aggregation, window_seconds, refresh_interval_seconds, delay_seconds, filter, group_by, first]);
}

/** How to save a draft: only widgets, only the rest, both as one document, or nothing. */
export type Saving = { readonly kind: "nothing" } | { readonly kind: "widgets" | "rest" | "all"; readonly body: JsonObject };

/** For each widget that differs, by id: a merge patch, the document of a new one, or null for one that is removed. */
function widgetChanges(before: readonly Widget[], after: readonly Widget[]): JsonObject {
  const changes: Record<string, unknown> = {};
  const old = new Map(before.map((widget) => [widget.widget_id, widget]));
  for (const widget of after) {
    const was = old.get(widget.widget_id);
    old.delete(widget.widget_id);
    const change = was === undefined ? widget : mergePatch({ ...was }, { ...widget });
    if (!isEmpty(change)) changes[widget.widget_id] = change;
  }
  for (const id of old.keys()) changes[id] = null;
  return changes;
}

export function savingOf({ widgets: before, ...oldRest }: Draft, draft: Draft): Saving {
  const { widgets: after, ...rest } = draft;
  const widgets = widgetChanges(before, after);
  const others = mergePatch(oldRest, rest);
  if (isEmpty(widgets)) return isEmpty(others) ? { kind: "nothing" } : { kind: "rest", body: others };
  return isEmpty(others) ? { kind: "widgets", body: widgets } : { kind: "all", body: { ...draft } };
}

export function nameOf(widget: Widget | undefined): string {
  return widget?.display_config?.title || widget?.metric_name || "New widget";
}

/** The differences between two versions for people, a line each. */
export function changesOf({ widgets: before, ...oldRest }: Draft, { widgets: after, ...rest }: Draft): string[] {
  const find = (widgets: readonly Widget[], id: string): Widget | undefined => widgets.find((one) => one.widget_id === id);
  return [
    ...Object.entries(mergePatch(oldRest, rest)).map(([name, value]) => `Changed the ${name}: ${JSON.stringify(value)}`),
    ...Object.entries(widgetChanges(before, after)).map(([id, change]) => {
      const old = find(before, id);
      return `${change === null ? "Removed" : old === undefined ? "Added" : "Changed"} “${nameOf(old ?? find(after, id))}”`;
    }),
  ];
}

/** The faults or warnings that the config service found in a draft, by widget. Paths have no leading slash. */
export interface Verdict {
  readonly widgets: ReadonlyMap<string, readonly PathText[]>;
  readonly rest: readonly PathText[];
}

export interface PathText {
  readonly path: string;
  readonly text: string;
}

/** The first text of what stands at path, or of a part of it. */
export function textAt(texts: readonly PathText[], path: string): string | undefined {
  return texts.find((one) => one.path === path || one.path.startsWith(`${path}/`))?.text;
}

export function verdictOf(draft: Draft, details: readonly ProblemDetail[]): Verdict {
  const widgets = new Map<string, PathText[]>();
  const rest: PathText[] = [];
  for (const { pointer = "", detail, code } of details) {
    const text = detail ?? code ?? "not accepted";
    const [, index, path = ""] = /^\/widgets\/(\d+)(?:\/(.*))?$/.exec(pointer) ?? [];
    const id = draft.widgets[Number(index)]?.widget_id;
    if (id === undefined) rest.push({ path: pointer.slice(1), text });
    else widgets.set(id, [...(widgets.get(id) ?? []), { path, text }]);
  }
  return { widgets, rest };
}

/** A draft as it is kept in the browser, with the version that it was made from. */
export interface Kept {
  readonly base: Dashboard;
  readonly at: number;
  readonly draft: Draft;
}

/** Reads what is kept; null when it is no draft of this dashboard. */
export function parseKept(text: string | null, id: string): Kept | null {
  try {
    const kept = JSON.parse(text ?? "null") as Kept | null;
    return kept !== null && kept.base.dashboard_id === id && Array.isArray(kept.draft.widgets) ? kept : null;
  } catch {
    return null; // Written by another version of the page, or by hand.
  }
}
