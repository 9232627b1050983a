import { useEffect, useState } from "preact/hooks";
import type { LiveSession } from "../live/session";
import { formatTime } from "../model/format";
import { wallScale } from "../model/layout";
import { Button } from "../ui/button";
import { LivePill } from "../ui/pill";
import { textScale } from "../ui/theme";

const STILL_MS = 3000;
const CLOCK_MS = 1000;

interface KioskProps {
  readonly title: string;
  /** Rows of the grid. */
  readonly rows: number;
  readonly session: LiveSession;
  onLeave(): void;
}

/** The head of a wall display: what it shows, whether that is live, and the server's time. */
export function Kiosk({ title, rows, session, onLeave }: KioskProps) {
  const still = useStill();
  useWallScale(rows);
  useEffect(() => {
    session.keepRunning = true;
    return () => {
      session.keepRunning = false;
    };
  }, [session]);
  return (
    <header class="kiosk" data-still={still ? "yes" : "no"}>
      <h1 class="kiosk-title">{title}</h1>
      <Button onClick={onLeave}>Leave the wall display</Button>
      <LivePill session={session} />
      <Clock session={session} />
    </header>
  );
}

/** The server's time: while it moves, the page is alive. */
function Clock({ session }: { readonly session: LiveSession }) {
  const [time, setTime] = useState(Number.NaN);
  useEffect(() => {
    const look = (): void => setTime(session.serverNow());
    look();
    const timer = setInterval(look, CLOCK_MS);
    return () => clearInterval(timer);
  }, [session]);
  return <time class="kiosk-clock">{formatTime(time)}</time>;
}

/** Whether nothing was moved or pressed for a while. */
function useStill(): boolean {
  const [still, setStill] = useState(false);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const moved = (): void => {
      setStill(false);
      clearTimeout(timer);
      timer = setTimeout(() => setStill(true), STILL_MS);
    };
    const listeners = new AbortController();
    for (const event of ["pointermove", "pointerdown", "keydown"]) window.addEventListener(event, moved, { signal: listeners.signal });
    moved();
    return () => {
      clearTimeout(timer);
      listeners.abort();
    };
  }, []);
  return still;
}

/** Makes texts as large as the screen allows. */
function useWallScale(rows: number): void {
  useEffect(() => {
    const { style } = document.documentElement;
    const fit = (): void => {
      textScale.value = wallScale(innerWidth, innerHeight, rows);
      style.setProperty("--scale", String(textScale.value));
    };
    fit();
    window.addEventListener("resize", fit);
    return () => {
      window.removeEventListener("resize", fit);
      textScale.value = 1;
      style.removeProperty("--scale");
    };
  }, [rows]);
}
