import type { Axis, DisplayConfig, Position, Widget } from "../api/types";
import { formatDuration } from "./format";
import { arrange, type Placed } from "./layout";
import { thresholdSteps, type Step } from "./thresholds";

export interface ValueAxis {
  readonly label: string;
  readonly log: boolean;
  readonly min: number | null;
  readonly max: number | null;
}

/** display_config with nothing left open: what a renderer is given. */
export interface WidgetConfig {
  readonly id: string;
  /** The name of a type of widget; a newer server may have types that this page has not. */
  readonly chart: string;
  readonly title: string;
  /** Aggregation and window: "avg · 1 min". */
  readonly subtitle: string;
  readonly unit: string;
  readonly scheme: string;
  readonly xLabel: string;
  readonly y: ValueAxis;
  readonly steps: readonly Step[];
  readonly limit: number;
  readonly groupBy: readonly string[];
  readonly metric: string;
  readonly aggregation: string;
  /** As JSON, empty when there is none. */
  readonly filter: string;
}

function valueAxis(axis: Axis | undefined): ValueAxis {
  return { label: axis?.label ?? "", log: axis?.scale === "log", min: axis?.min ?? null, max: axis?.max ?? null };
}

export function widgetConfig(widget: Widget): WidgetConfig {
  const display: DisplayConfig = widget.display_config ?? {};
  return {
    id: widget.widget_id,
    chart: display.chart ?? "line",
    title: display.title || widget.metric_name,
    subtitle: `${widget.aggregation} · ${formatDuration(widget.window_seconds)}`,
    unit: display.unit ?? "",
    scheme: display.color_scheme ?? "",
    xLabel: display.x_axis?.label ?? "",
    y: valueAxis(display.y_axis),
    steps: thresholdSteps(display.thresholds),
    limit: display.limit && display.limit > 0 ? display.limit : 20,
    groupBy: widget.group_by ?? [],
    metric: widget.metric_name,
    aggregation: widget.aggregation,
    filter: widget.filter === undefined || Object.keys(widget.filter).length === 0 ? "" : JSON.stringify(widget.filter),
  };
}

/** The position of a widget; below all others, and of the usual size, where its document has none. */
export function widgetPosition(widget: Widget): Position {
  return widget.display_config?.position ?? { x: 0, y: 10_000, w: 6, h: 4 };
}

/** Where all widgets are, with nothing that overlaps or floats. */
export function placedOf(widgets: readonly Widget[]): Placed[] {
  return arrange(widgets.map((widget) => ({ id: widget.widget_id, position: widgetPosition(widget) })));
}

/** Time ranges of the header, in ms; 0 is everything there is. */
export const RANGES = { "1m": 60_000, "5m": 300_000, "15m": 900_000, all: 0 } as const;
export type RangeName = keyof typeof RANGES;
export const DEFAULT_RANGE: RangeName = "5m";
