import type { Position, Widget } from "../api/types";
import { isGrowth } from "./aggregation-texts";
import { isDistribution } from "./aggregations";
import { isObject, type JsonObject } from "./merge-patch";

export function newWidget(widget_id: string, chart: string, position: Position): Widget {
  return {
    widget_id,
    metric_name: "",
    aggregation: "avg",
    window_seconds: 60,
    refresh_interval_seconds: 1,
    delay_seconds: 0,
    filter: {},
    group_by: [],
    display_config: { chart, title: "", unit: "", position, thresholds: [] },
  };
}

/** The member at a path such as display_config/y_axis/min. */
export function getAt(value: unknown, path: string): unknown {
  return path.split("/").reduce((part, name) => (isObject(part) ? part[name] : undefined), value);
}

/** A copy with the member at path set; undefined takes it out. */
export function setAt(object: JsonObject, path: string, value: unknown): JsonObject {
  const [name = "", ...deeper] = path.split("/");
  if (deeper.length > 0) {
    const old = object[name];
    return { ...object, [name]: setAt(isObject(old) ? old : {}, deeper.join("/"), value) };
  }
  const { [name]: _, ...others } = object;
  return value === undefined ? others : { ...object, [name]: value };
}

/**
 * A copy with the member at path set. With another aggregation goes what only the old one may have: where distributions are asked for it is drawn as the first of
 * these charts unless it is one of them, and only of growth it says what a first sample counts.
 */
export function setMember(object: JsonObject, path: string, value: unknown, ofDistributions: readonly string[]): JsonObject {
  const changed = setAt(object, path, value);
  if (path !== "aggregation" || typeof value !== "string") return changed;
  const fit = isGrowth(value) ? changed : setAt(changed, "first", undefined);
  const chart = getAt(fit, "display_config/chart");
  const isDrawn = !isDistribution(value) || (typeof chart === "string" && ofDistributions.includes(chart));
  return isDrawn ? fit : setAt(fit, "display_config/chart", ofDistributions[0]);
}

const SHAPES: readonly (readonly [path: string, kind: string])[] = [
  ["metric_name", "string"],
  ["aggregation", "string"],
  ["filter", "object"],
  ["group_by", "list"],
  ["display_config", "object"],
  ["display_config/title", "string"],
  ["display_config/unit", "string"],
  ["display_config/position", "object"],
  ["display_config/x_axis", "object"],
  ["display_config/y_axis", "object"],
  ["display_config/thresholds", "list"],
];

function kindOf(value: unknown): string {
  return Array.isArray(value) ? "list" : value === null ? "null" : typeof value;
}

/** Why a document cannot even be drawn, empty when it can; the rules beyond that are the service's. */
export function shapeFault(document: unknown): string {
  if (!isObject(document)) return "a widget is an object, in braces";
  for (const [path, kind] of SHAPES) {
    const found = kindOf(getAt(document, path));
    if (found !== kind && (found !== "undefined" || (kind === "string" && !path.includes("/")))) return `/${path} must be ${kind === "object" ? "an object" : `a ${kind}`}`;
  }
  const steps = getAt(document, "display_config/thresholds");
  return Array.isArray(steps) && !steps.every(isObject) ? "/display_config/thresholds must hold objects" : "";
}

export const TABS = ["Query", "Display", "Thresholds", "JSON"] as const;
export type Tab = (typeof TABS)[number];

/** The tab that a member is edited on. */
export function tabOf(path: string): Tab {
  if (path.startsWith("display_config/thresholds")) return "Thresholds";
  return path.startsWith("display_config") ? "Display" : "Query";
}

export const OPERATORS = [
  ["is", "is one of"],
  ["not", "is none of"],
  ["prefix", "begins with"],
  ["regex", "matches the regular expression"],
  ["not_regex", "does not match the regular expression"],
  ["exists", "is present"],
  ["absent", "is absent"],
] as const;

export type Operator = (typeof OPERATORS)[number][0];

/** Those that take one value. */
const OF_ONE: readonly string[] = ["prefix", "regex", "not_regex"];

export function takesOne(op: Operator): boolean {
  return OF_ONE.includes(op);
}

/** A line of the filter's form. Some take one value, exists and absent none. */
export interface FilterRow {
  readonly tag: string;
  readonly op: Operator;
  readonly values: readonly string[];
}

function listOf(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).filter((one): one is string => typeof one === "string");
}

/** The lines that a document's filter is made of. */
export function rowsOf(filter: JsonObject): FilterRow[] {
  return Object.entries(filter).flatMap(([tag, term]): FilterRow[] => {
    if (!isObject(term)) return [{ tag, op: "is", values: listOf(term) }];
    return Object.entries(term).flatMap(([name, value]): FilterRow[] => {
      if (name === "exists") return [{ tag, op: value === false ? "absent" : "exists", values: [] }];
      const op = OPERATORS.find(([known]) => known === name)?.[0];
      return op === undefined || op === "absent" ? [] : [{ tag, op, values: listOf(value) }];
    });
  });
}

/** The filter of these lines. Lines that are not finished are left out. */
export function filterOf(rows: readonly FilterRow[]): JsonObject {
  const terms = new Map<string, Record<string, unknown>>();
  for (const { tag, op, values } of rows) {
    if (tag === "") continue;
    const term = terms.get(tag) ?? {};
    if (op === "exists" || op === "absent") term["exists"] = op === "exists";
    else if (values.length === 0) continue;
    else if (takesOne(op)) term[op] = values[0];
    else {
      const all = [...new Set([...listOf(term[op]), ...values])];
      term[op] = all.length === 1 ? all[0] : all;
    }
    terms.set(tag, term);
  }
  return Object.fromEntries(
    [...terms].map(([tag, term]) => {
      const only = Object.keys(term).length === 1 ? term["is"] : undefined;
      return [tag, only ?? term];
    }),
  );
}
