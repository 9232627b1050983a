import { freshness, isOnTime, type Flow } from "./freshness";
import type { SocketStatus } from "./socket";
import type { DashboardStore, WidgetStream } from "./store";

/** The state of the page as a whole, for the pill in the header. */
export type Pulse =
  | { readonly kind: "connecting" }
  /** Windows come, without values. */
  | { readonly kind: "quiet" }
  /** behind in seconds as text, empty until it has been measured. */
  | { readonly kind: "live" | "late"; readonly behind: string }
  | { readonly kind: "as-of"; readonly time: number }
  | { readonly kind: "degraded" }
  | { readonly kind: "reconnecting"; readonly seconds: number }
  | { readonly kind: "paused"; readonly time: number }
  | { readonly kind: "ended"; readonly code: number; readonly reason: string };

/** The gateway's limit for widgets that are late. */
const LATE_MS = 5000;

export interface Moment {
  readonly store: DashboardStore;
  readonly link: SocketStatus;
  readonly flow: Flow;
  /** A welcome has come since the page was opened. */
  readonly connectedOnce: boolean;
  readonly serverNow: number;
  readonly monotonic: number;
  /** How late results came lately, in ms; NaN before it was measured. */
  readonly lag: number;
}

export function measurePulse(moment: Moment): Pulse {
  const { store, link, flow, monotonic } = moment;
  if (link.kind === "ended") return link;
  if (link.kind === "waiting") return { kind: "reconnecting", seconds: Math.max(1, Math.ceil((link.until - monotonic) / 1000)) };
  if (flow === "lost") return moment.connectedOnce ? { kind: "reconnecting", seconds: 0 } : { kind: "connecting" };
  if (flow === "paused") return { kind: "paused", time: store.edge };
  const streams = [...store.all()];
  // Windows end before the first event too, without values.
  return streams.every(({ columns }) => columns.length === 0) ? withoutValues(streams, moment) : withValues(streams, moment);
}

function withoutValues(streams: readonly WidgetStream[], { store, serverNow, monotonic }: Moment): Pulse {
  if (streams.some(({ state }) => state === "degraded")) return { kind: "degraded" };
  if (!streams.every(({ known }) => known)) return { kind: "connecting" };
  // Also windows without values must be on time; else nothing computes them.
  const ended = streams.filter(({ ring }) => ring.length > 0);
  const moves = ended.length === 0 || ended.some((stream) => stream.state !== "stale" && isOnTime(stream, serverNow, monotonic));
  return moves ? { kind: "quiet" } : { kind: "as-of", time: store.edge };
}

function withValues(streams: readonly WidgetStream[], { store, serverNow, monotonic, flow, lag }: Moment): Pulse {
  let waited = Number.POSITIVE_INFINITY;
  for (const stream of streams) {
    const state = freshness(stream, serverNow, monotonic, flow);
    if (state === "live" || state === "late") waited = Math.min(waited, serverNow - stream.ring.lastEnd - stream.refreshMs - stream.delayMs);
  }
  if (waited === Number.POSITIVE_INFINITY) return { kind: "as-of", time: store.edge };
  if (Number.isNaN(lag) && waited < 1000) return { kind: "live", behind: "" };
  const behind = Math.max(Number.isNaN(lag) ? 0 : lag, waited);
  return { kind: behind > LATE_MS ? "late" : "live", behind: (behind / 1000).toFixed(behind < 9950 ? 1 : 0) };
}
