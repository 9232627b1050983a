// The config API's documents. Their types are generated from those of the service; what
// the editor works on may leave out what the service adds.

import type * as schemas from "./schemas";

export type { Metric, Position, Threshold, Validation, Variable, VersionEntry, WidgetCost } from "./schemas";
export type { MetricPage as MetricList } from "./schemas";

type Needed<T, K extends keyof T> = Pick<T, K> & Partial<Omit<T, K>>;

export type Axis = Partial<schemas.YAxis>;

export type DisplayConfig = Partial<Omit<schemas.Display, "x_axis" | "y_axis">> & {
  readonly x_axis?: Axis;
  readonly y_axis?: Axis;
};

export type Widget = Needed<Omit<schemas.Widget, "display_config">, "widget_id" | "metric_name" | "aggregation" | "window_seconds"> & {
  readonly display_config?: DisplayConfig;
};

/** One fault of a request; a proxy may leave out what it likes. */
export type ProblemDetail = Partial<schemas.ProblemError>;

/** RFC 9457. */
export type Problem = Partial<Omit<schemas.Problem, "errors">> & { readonly errors?: readonly ProblemDetail[] };

export type DashboardSummary = Needed<schemas.Summary, "dashboard_id" | "title" | "version">;

export type Dashboard = DashboardSummary & { readonly widgets: readonly Widget[] };

export interface DashboardList {
  readonly dashboards: readonly DashboardSummary[];
  readonly next?: string | null;
}

/** An event that ingest took, or a refusal; texts are cut where they are long. */
export interface SeenEvent {
  readonly time: number;
  readonly format: string;
  readonly metric_name?: string;
  readonly kind?: string;
  /** Absent of histograms, and of the end of a series. */
  readonly value?: number;
  readonly tags?: Readonly<Record<string, string>>;
  /** How many of its request were accepted. */
  readonly events?: number;
  readonly code?: string;
  readonly detail?: string;
  readonly times?: number;
}

export interface RecentEvents {
  readonly now: number;
  readonly formats: readonly string[];
  /** host:port. */
  readonly statsd?: string;
  readonly accepted: readonly SeenEvent[];
  readonly refused: readonly SeenEvent[];
}
