import { CLOSED_GONE, CLOSED_TOKEN } from "../live/backoff";
import type { Pulse } from "../live/pulse";
import type { LiveSession } from "../live/session";
import { formatTime } from "../model/format";
import { Button } from "./button";

function endedText(code: number, reason: string): string {
  if (code === CLOSED_TOKEN) return "Not signed in";
  if (code === CLOSED_GONE) return "This dashboard is gone";
  return reason === "" ? `Stream ended (${code})` : `Stream ended: ${reason}`;
}

function pillText(pulse: Pulse): string {
  switch (pulse.kind) {
    case "connecting":
      return "Connecting…";
    case "quiet":
      return "Live · waiting for values";
    case "live":
      return pulse.behind === "" ? "Live" : `Live · ${pulse.behind} s behind`;
    case "as-of":
      return Number.isFinite(pulse.time) ? `Data as of ${formatTime(pulse.time)}` : "No current data";
    case "late":
      return `Late · ${pulse.behind} s behind`;
    case "degraded":
      return "Results cannot be reached";
    case "paused":
      return Number.isFinite(pulse.time) ? `Paused at ${formatTime(pulse.time)}` : "Paused";
    case "reconnecting":
      return pulse.seconds > 0 ? `Reconnecting in ${pulse.seconds} s` : "Reconnecting…";
    case "ended":
      return endedText(pulse.code, pulse.reason);
  }
}

/** The text for screen readers: it changes with the kind of state, not with each tenth of a second. */
function spokenText(pulse: Pulse): string {
  if (pulse.kind === "live") return "Live";
  if (pulse.kind === "late") return "Late";
  return pulse.kind === "reconnecting" ? "Connection lost, reconnecting" : pillText(pulse);
}

interface LivePillProps {
  readonly session: LiveSession;
  /** Another session with values on the page, which counts while the first has none. */
  readonly preview?: LiveSession | null;
}

/** Shows whether the values on the page are live. */
export function LivePill({ session, preview = null }: LivePillProps) {
  const own = session.pulse.value;
  const other = preview?.pulse.value;
  const pulse = own.kind === "quiet" && (other?.kind === "live" || other?.kind === "late") ? other : own;
  const mayRetry = (pulse.kind === "reconnecting" && pulse.seconds > 0) || pulse.kind === "ended";
  return (
    <div class="pill" data-kind={pulse.kind}>
      <span class="pill-dot" />
      <span aria-hidden="true">{pillText(pulse)}</span>
      <span class="sr-only" role="status">
        {spokenText(pulse)}
      </span>
      {mayRetry && (
        <Button look="link" onClick={() => session.retryNow()}>
          Retry now
        </Button>
      )}
    </div>
  );
}
