import type { Tags } from "../live/protocol";

export type Chart = "line" | "gauge" | "stat" | "table" | "heatmap";

export interface Position {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

export interface Threshold {
  readonly at: number;
  readonly level: string;
}

export interface Axis {
  readonly label?: string;
  readonly scale?: string;
  readonly min?: number | null;
  readonly max?: number | null;
}

export interface DisplayConfig {
  readonly chart?: string;
  readonly title?: string;
  readonly unit?: string;
  readonly position?: Position;
  readonly color_scheme?: string;
  readonly x_axis?: Axis;
  readonly y_axis?: Axis;
  readonly thresholds?: readonly Threshold[];
  readonly limit?: number;
}

export interface Widget {
  readonly widget_id: string;
  readonly dashboard_id?: string;
  readonly metric_name: string;
  readonly aggregation: string;
  readonly window_seconds: number;
  readonly refresh_interval_seconds?: number;
  readonly delay_seconds?: number;
  readonly filter?: Readonly<Record<string, unknown>>;
  readonly group_by?: readonly string[];
  readonly display_config?: DisplayConfig;
}

export interface DashboardSummary {
  readonly dashboard_id: string;
  readonly title: string;
  readonly version: number;
  readonly tags?: readonly string[];
  readonly updated_at?: string;
}

export interface Dashboard extends DashboardSummary {
  readonly variables?: readonly { readonly name: string; readonly tag: string }[];
  readonly widgets: readonly Widget[];
}

export interface DashboardList {
  readonly dashboards: readonly DashboardSummary[];
  readonly next?: string | null;
}

/** A widget before the service has given it an id, or the fields to change. */
export interface WidgetPatch {
  readonly metric_name?: string;
  readonly aggregation?: string;
  readonly window_seconds?: number;
  readonly refresh_interval_seconds?: number | null;
  readonly delay_seconds?: number | null;
  readonly filter?: Readonly<Record<string, unknown>> | null;
  readonly group_by?: readonly string[] | null;
  readonly display_config?: Readonly<Record<string, unknown>>;
}

/** Body of PATCH /dashboards/{id}/widgets. */
export type WidgetsPatch = Readonly<Record<string, WidgetPatch | null | readonly WidgetPatch[]>>;

export interface ProblemDetail {
  readonly pointer?: string;
  readonly code?: string;
  readonly detail?: string;
}

/** RFC 9457. */
export interface Problem {
  readonly title?: string;
  readonly status?: number;
  readonly detail?: string;
  readonly errors?: readonly ProblemDetail[];
}

/** A metric of the catalogue. */
export interface Metric {
  readonly metric_name: string;
  readonly series: number;
  readonly tags: readonly { readonly key: string; readonly values: readonly string[] }[];
  readonly last_value: number | null;
}

export interface MetricPage {
  readonly metrics: readonly Metric[];
  readonly total: number;
}

export interface WidgetCost {
  readonly widget_id: string;
  readonly metric_key: string;
  readonly new: boolean;
  readonly series: number | null;
  readonly groups: number | null;
}

/** Answer of POST /dashboards/validate. */
export interface Validation {
  readonly warnings: readonly ProblemDetail[];
  readonly cost: { readonly series: number; readonly results_per_second: number; readonly widgets: readonly WidgetCost[] };
}

export interface VersionEntry {
  readonly version: number;
  readonly action: string;
  readonly restored_from?: number;
  readonly at: string;
  readonly by: string;
  readonly title: string;
  readonly widget_count: number;
}

export type { Tags };
