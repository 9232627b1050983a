// The messages of WS /stream/{dashboard_id}, subprotocol pulseboard.v1.
// Times are epoch milliseconds of the server.

import type { Tags } from "../model/series";

export const SUBPROTOCOL = "pulseboard.v1";

export type Values = readonly (number | null)[];
export type ServerState = "waiting" | "live" | "late" | "stale" | "degraded" | "limited";

export interface SeriesInfo {
  readonly tags: Tags;
}

export interface StreamWidget {
  readonly index: number;
  readonly widget_id: string;
  readonly metric_key: string;
  /** Stands for the metric key where it would be too long. */
  readonly key_id: string;
  readonly refresh_ms: number;
}

/** A message that no frame holds goes on in the next: all of its parts but the last say so. */
interface Part {
  readonly more?: boolean;
}

export interface WelcomeMessage extends Part {
  readonly type: "welcome";
  readonly server_time: number;
  readonly heartbeat_ms: number;
  /** The page that the server has. */
  readonly build?: string;
  readonly dashboard: { readonly id: string; readonly version: number };
  readonly widgets: readonly StreamWidget[];
}

/** One window result: its end, the newest event in it, the values. */
export type Point = readonly [windowEnd: number, newestEvent: number | null, values: Values];

export interface SnapshotMessage extends Part {
  readonly type: "snapshot";
  readonly index: number;
  readonly state: ServerState;
  /** Why, when it is limited. */
  readonly detail?: string;
  readonly reset: boolean;
  readonly series_version: string;
  /** Null: the list of this version, as it was told last. */
  readonly series: readonly SeriesInfo[] | null;
  readonly covered_since: number | null;
  /** Series that did not leave the pipeline at the newest point: those with lower values. Absent = none. */
  readonly truncated?: number;
  readonly points: readonly Point[];
}

/** What differs from a window that is complete, has its usual length and all series. */
export interface UpdateExtra {
  readonly start?: number;
  readonly complete?: boolean;
  /** Series that did not leave the pipeline: those with lower values. Absent = none. */
  readonly truncated?: number;
}

/** values null: as at the widget's previous end on this connection. */
export type UpdateEntry = readonly [
  index: number,
  windowEnd: number,
  newestEvent: number | null,
  seriesVersion: string,
  values: Values | null,
  extra?: UpdateExtra,
];

export interface UpdateMessage extends Part {
  readonly type: "update";
  readonly server_time: number;
  readonly updates: readonly UpdateEntry[];
  readonly skipped?: number;
}

export interface SeriesMessage extends Part {
  readonly type: "series";
  readonly index: number;
  readonly series_version: string;
  /** The place of the first one in the list; absent = 0. */
  readonly from?: number;
  readonly series: readonly SeriesInfo[];
}

export interface StateMessage {
  readonly type: "state";
  readonly index: number;
  readonly state: ServerState;
  readonly detail?: string;
}

export interface DashboardMessage extends Part {
  readonly type: "dashboard";
  readonly version: number;
  readonly widgets: readonly StreamWidget[];
}

/** The rest of a welcome or dashboard. */
export interface WidgetsMessage extends Part {
  readonly type: "widgets";
  readonly widgets: readonly StreamWidget[];
}

export interface HeartbeatMessage {
  readonly type: "heartbeat";
  readonly server_time: number;
}

export interface CloseMessage {
  readonly type: "close";
  readonly code: number;
  readonly reason: string;
  readonly reconnect_after_ms?: number;
}

export type ServerMessage =
  | WelcomeMessage
  | SnapshotMessage
  | UpdateMessage
  | SeriesMessage
  | StateMessage
  | DashboardMessage
  | WidgetsMessage
  | HeartbeatMessage
  | CloseMessage;

export interface ResumePoint {
  /** The key_id of a widget. */
  readonly key: string;
  readonly window_end: number;
}

export interface HelloMessage {
  readonly type: "hello";
  readonly token?: string;
  readonly resume?: Readonly<Record<string, ResumePoint>>;
  readonly max_hz?: number;
  readonly vars?: Readonly<Record<string, string>>;
}

export type ClientMessage = HelloMessage | { readonly type: "pause" | "play" | "resync" };

const KNOWN: ReadonlySet<string> = new Set<ServerMessage["type"]>([
  "welcome",
  "snapshot",
  "update",
  "series",
  "state",
  "dashboard",
  "widgets",
  "heartbeat",
  "close",
]);

/**
 * Reads one text frame. A type that this page does not know is null, so that a
 * newer server may say more. Throws SyntaxError on text that is not JSON.
 */
export function parseServerMessage(text: string): ServerMessage | null {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || !("type" in value)) return null;
  return typeof value.type === "string" && KNOWN.has(value.type) ? (value as ServerMessage) : null;
}
