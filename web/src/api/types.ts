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
  readonly variables?: readonly Variable[];
  readonly widget_count?: number;
  readonly updated_at?: string;
}

/** Lets a viewer choose among the values of a tag. */
export interface Variable {
  readonly name: string;
  readonly tag: string;
}

/** A metric that arrives. */
export interface Metric {
  readonly metric_name: string;
  readonly series: number;
  readonly last_value: number | null;
  readonly last_event: string;
  readonly events_last_minute: number;
  readonly stale: boolean;
  readonly tags: readonly { readonly key: string; readonly values: readonly string[] }[];
}

export interface MetricList {
  readonly metrics: readonly Metric[];
  readonly total: number;
}

export interface Dashboard extends DashboardSummary {
  readonly widgets: readonly Widget[];
}

export interface DashboardList {
  readonly dashboards: readonly DashboardSummary[];
  readonly next?: string | null;
}

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
