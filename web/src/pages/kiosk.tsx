import { useEffect, useState } from "preact/hooks";
import type { LiveSession } from "../live/session";
import { LivePill } from "../ui/pill";

const STILL_MS = 3000;

interface KioskProps {
  readonly title: string;
  readonly session: LiveSession;
  onLeave(): void;
}

/** A wall display: no header, no cursor, no pause when the browser takes itself for hidden. */
export function Kiosk({ title, session, onLeave }: KioskProps) {
  const [still, setStill] = useState(false);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const moved = (): void => {
      setStill(false);
      clearTimeout(timer);
      timer = setTimeout(() => setStill(true), STILL_MS);
    };
    const events = ["pointermove", "pointerdown", "keydown"] as const;
    for (const event of events) window.addEventListener(event, moved);
    moved();
    session.keepRunning = true;
    return () => {
      session.keepRunning = false;
      clearTimeout(timer);
      for (const event of events) window.removeEventListener(event, moved);
    };
  }, [session]);
  return (
    <header class="kiosk" data-still={still ? "yes" : "no"}>
      <h1 class="sr-only">{title}</h1>
      <button type="button" class="button" onClick={onLeave}>
        Leave the wall display
      </button>
      <LivePill session={session} />
    </header>
  );
}
