import type { ProblemDetail, Widget } from "../api/types";
import { isObject, mergePatch, type JsonObject } from "./merge-patch";

/** The form's fields as they are typed. */
export interface WidgetFields {
  readonly title: string;
  readonly chart: string;
  readonly unit: string;
  readonly metric: string;
  readonly aggregation: string;
  readonly window: string;
  readonly refresh: string;
  readonly groupBy: string;
  readonly filter: string;
  readonly min: string;
  readonly max: string;
  readonly scale: string;
  readonly scheme: string;
  readonly warn: string;
  readonly crit: string;
  readonly x: string;
  readonly y: string;
  readonly w: string;
  readonly h: string;
}

export type FieldErrors = Partial<Record<keyof WidgetFields, string>>;

export const EMPTY_FIELDS: WidgetFields = {
  title: "",
  chart: "line",
  unit: "",
  metric: "",
  aggregation: "avg",
  window: "60",
  refresh: "1",
  groupBy: "",
  filter: "",
  min: "",
  max: "",
  scale: "linear",
  scheme: "",
  warn: "",
  crit: "",
  x: "",
  y: "",
  w: "",
  h: "",
};

function text(value: number | null | undefined): string {
  return value == null ? "" : String(value);
}

export function fieldsOf(widget: Widget): WidgetFields {
  const display = widget.display_config ?? {};
  const threshold = (level: string): string => text(display.thresholds?.find((t) => t.level === level)?.at);
  const filter = widget.filter ?? {};
  return {
    title: display.title ?? "",
    chart: display.chart ?? "line",
    unit: display.unit ?? "",
    metric: widget.metric_name,
    aggregation: widget.aggregation,
    window: String(widget.window_seconds),
    refresh: String(widget.refresh_interval_seconds ?? 1),
    groupBy: (widget.group_by ?? []).join(", "),
    filter: Object.keys(filter).length === 0 ? "" : JSON.stringify(filter),
    min: text(display.y_axis?.min),
    max: text(display.y_axis?.max),
    scale: display.y_axis?.scale ?? "linear",
    scheme: display.color_scheme ?? "",
    warn: threshold("warn"),
    crit: threshold("crit"),
    x: text(display.position?.x),
    y: text(display.position?.y),
    w: text(display.position?.w),
    h: text(display.position?.h),
  };
}

/** Fields after someone else's change: what was typed stays, what was not follows them. */
export function rebase(typed: WidgetFields, before: WidgetFields, after: WidgetFields): WidgetFields {
  const names = Object.keys(typed) as (keyof WidgetFields)[];
  return Object.fromEntries(names.map((name) => [name, typed[name] === before[name] ? after[name] : typed[name]])) as unknown as WidgetFields;
}

export type FormResult = { readonly ok: true; readonly document: JsonObject } | { readonly ok: false; readonly errors: FieldErrors };

/**
 * The document that the fields describe. Only what cannot be written as JSON at
 * all is refused here; the rules are the service's.
 */
export function documentOf(fields: WidgetFields): FormResult {
  const errors: { -readonly [K in keyof FieldErrors]: FieldErrors[K] } = {};
  const number = (name: keyof WidgetFields): number | null => {
    if (fields[name].trim() === "") return null;
    const value = Number(fields[name]);
    if (!Number.isFinite(value)) errors[name] = "This is not a number.";
    return value;
  };
  if (fields.metric.trim() === "") errors.metric = "Name the metric.";
  const window = number("window");
  if (window === null) errors.window = "Say how long the window is.";
  let filter: JsonObject = {};
  if (fields.filter.trim() !== "") {
    try {
      const parsed: unknown = JSON.parse(fields.filter);
      if (isObject(parsed)) filter = parsed;
      else errors.filter = 'This must be an object, like {"region":"eu"}.';
    } catch {
      errors.filter = 'This is not JSON. An example: {"region":"eu"}';
    }
  }
  const thresholds = [
    { at: number("warn"), level: "warn" },
    { at: number("crit"), level: "crit" },
  ].filter((t) => t.at !== null);
  const position = { x: number("x"), y: number("y"), w: number("w"), h: number("h") };
  const refresh = number("refresh");
  const document: Record<string, unknown> = {
    metric_name: fields.metric.trim(),
    aggregation: fields.aggregation,
    window_seconds: window,
    ...(refresh === null ? {} : { refresh_interval_seconds: refresh }),
    filter,
    group_by: fields.groupBy.split(/[\s,]+/).filter((tag) => tag !== ""),
    display_config: {
      chart: fields.chart,
      title: fields.title.trim(),
      unit: fields.unit.trim(),
      color_scheme: fields.scheme,
      y_axis: { scale: fields.scale, min: number("min"), max: number("max") },
      thresholds,
      ...(Object.values(position).some((part) => part === null) ? {} : { position }),
    },
  };
  return Object.keys(errors).length > 0 ? { ok: false, errors } : { ok: true, document };
}

/** What to send so that widget becomes document; members without a field in the form stay. */
export function patchOf(widget: Widget, document: JsonObject): JsonObject {
  const before: JsonObject = { ...widget };
  const display = isObject(document["display_config"]) ? document["display_config"] : {};
  const axis = isObject(display["y_axis"]) ? display["y_axis"] : {};
  const wanted = {
    ...before,
    ...document,
    display_config: { ...widget.display_config, ...display, y_axis: { ...widget.display_config?.y_axis, ...axis } },
  };
  return mergePatch(before, dropNulls(wanted, before));
}

/** A null that is already absent, or null, in the document says nothing. */
function dropNulls(to: JsonObject, from: JsonObject): JsonObject {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(to)) {
    const old = from[name];
    if (value === null && !(name in from)) continue;
    kept[name] = isObject(value) ? dropNulls(value, isObject(old) ? old : {}) : value;
  }
  return kept;
}

const POINTERS: readonly (readonly [prefix: string, field: keyof WidgetFields])[] = [
  ["metric_name", "metric"],
  ["aggregation", "aggregation"],
  ["window_seconds", "window"],
  ["refresh_interval_seconds", "refresh"],
  ["group_by", "groupBy"],
  ["filter", "filter"],
  ["display_config/chart", "chart"],
  ["display_config/title", "title"],
  ["display_config/unit", "unit"],
  ["display_config/color_scheme", "scheme"],
  ["display_config/y_axis/min", "min"],
  ["display_config/y_axis/max", "max"],
  ["display_config/y_axis/scale", "scale"],
  ["display_config/thresholds", "warn"],
  ["display_config/position/x", "x"],
  ["display_config/position/y", "y"],
  ["display_config/position/w", "w"],
  ["display_config/position/h", "h"],
];

/** Puts the service's errors at their fields; what has no field is told as a whole. */
export function placeErrors(errors: readonly ProblemDetail[], root: string): { readonly fields: FieldErrors; readonly rest: readonly string[] } {
  const fields: { -readonly [K in keyof FieldErrors]: FieldErrors[K] } = {};
  const rest: string[] = [];
  for (const error of errors) {
    const pointer = error.pointer ?? "";
    const detail = error.detail ?? error.code ?? "not accepted";
    const path = pointer.startsWith(`${root}/`) ? pointer.slice(root.length + 1) : null;
    const field = path === null ? undefined : POINTERS.find(([prefix]) => path === prefix || path.startsWith(`${prefix}/`))?.[1];
    if (field === undefined) rest.push(path === null ? detail : `${path}: ${detail}`);
    else fields[field] = detail;
  }
  return { fields, rest };
}
