import type { Axis, Chart, DisplayConfig, Position, Widget } from "../api/types";
import { formatDuration } from "./format";
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
  readonly chart: Chart | null;
  readonly chartName: string;
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

export const CHARTS: readonly Chart[] = ["line", "gauge", "stat", "table", "heatmap"];

function isChart(name: string): name is Chart {
  return (CHARTS as readonly string[]).includes(name);
}

function valueAxis(axis: Axis | undefined): ValueAxis {
  return { label: axis?.label ?? "", log: axis?.scale === "log", min: axis?.min ?? null, max: axis?.max ?? null };
}

export function widgetConfig(widget: Widget): WidgetConfig {
  const display: DisplayConfig = widget.display_config ?? {};
  const name = display.chart ?? "line";
  return {
    id: widget.widget_id,
    chart: isChart(name) ? name : null,
    chartName: name,
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

/** Where a widget goes whose document does not say. */
export function widgetPosition(widget: Widget): Position {
  return widget.display_config?.position ?? { x: 0, y: 10_000, w: 6, h: 4 };
}

/** Time ranges of the header, in ms; 0 is everything there is. */
export const RANGES: readonly (readonly [name: string, ms: number])[] = [
  ["1m", 60_000],
  ["5m", 300_000],
  ["15m", 900_000],
  ["all", 0],
];

export const DEFAULT_RANGE = "5m";

export function rangeMs(name: string): number {
  return RANGES.find(([range]) => range === name)?.[1] ?? 300_000;
}
