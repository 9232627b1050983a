// How widgets are moved and resized: dragged by a pointer, or lifted and moved with the keyboard.
import type { RefObject } from "preact";
import { useRef, useState } from "preact/hooks";
import type { Position, Widget } from "../../api/types";
import { nameOf } from "../../model/draft";
import { moveTo, nudge, resizeTo, type Placed } from "../../model/layout";
import { ARROWS } from "../../widgets/widget";

/** Pixels that a pointer moves before a press becomes a drag. */
const SLACK = 4;
/** Near this edge of the window, in pixels, a drag scrolls. */
const EDGE = 48;

/** A press of the pointer on a widget, and the drag that it may become. */
interface Press {
  readonly id: string;
  readonly from: Position;
  readonly resize: boolean;
  /** Where the pointer was, in pixels of the page. */
  readonly left: number;
  readonly top: number;
  /** Size of a cell of the grid, its gap included, in pixels. */
  readonly column: number;
  readonly row: number;
  moved: boolean;
  /** The cells that the widget is away from where it was, as text. */
  away: string;
}

/** The arrangement while widgets are moved: a trial is shown until it is kept or given up. */
export function useArranging(settled: readonly Placed[], onArrange: (placed: readonly Placed[]) => void) {
  const [trial, setTrial] = useState<readonly Placed[] | null>(null);
  const [lifted, setLifted] = useState<string | null>(null);
  const [dragged, setDragged] = useState<string | null>(null);
  const press = useRef<Press | null>(null);
  const end = (keep: boolean): void => {
    if (keep && trial !== null) onArrange(trial);
    setTrial(null);
    setLifted(null);
    setDragged(null);
    press.current = null;
  };
  const places = new Map((trial ?? settled).map(({ id, position }) => [id, position]));
  return { settled, trial, setTrial, lifted, setLifted, dragged, setDragged, press, end, places };
}

export type Arranging = ReturnType<typeof useArranging>;

export function words({ x, y, w, h }: Position): string {
  return `column ${x + 1}, row ${y + 1}, ${w} wide, ${h} high`;
}

export function pointerHandlers({ settled, setTrial, setDragged, press, end }: Arranging, grid: RefObject<HTMLElement | null>, onSelect: (id: string) => void) {
  const down = (event: PointerEvent, id: string, from: Position): void => {
    const slot = event.currentTarget as HTMLElement;
    const target = event.target as HTMLElement;
    if (event.button !== 0 || target.closest("button, a") !== null) return;
    const style = getComputedStyle(grid.current ?? slot);
    press.current = {
      id,
      from,
      resize: target.dataset["resize"] !== undefined,
      left: event.pageX,
      top: event.pageY,
      column: (slot.offsetWidth + Number.parseFloat(style.columnGap)) / from.w,
      row: (slot.offsetHeight + Number.parseFloat(style.rowGap)) / from.h,
      moved: false,
      away: "",
    };
    // On a narrow page the widgets stand in a column: there is nowhere to drag to.
    if (style.display === "grid") slot.setPointerCapture(event.pointerId);
  };
  const move = (event: PointerEvent): void => {
    const slot = event.currentTarget as HTMLElement;
    const at = press.current;
    if (at === null || !slot.hasPointerCapture(event.pointerId)) return;
    const [dx, dy] = [event.pageX - at.left, event.pageY - at.top];
    if (!at.moved && Math.hypot(dx, dy) < SLACK) return;
    at.moved = true;
    setDragged(at.id);
    if (!at.resize) slot.style.transform = `translate(${dx}px, ${dy}px)`;
    if (event.clientY < EDGE) window.scrollBy(0, -EDGE / 2);
    if (event.clientY > innerHeight - EDGE) window.scrollBy(0, EDGE / 2);
    const [columns, rows] = [Math.round(dx / at.column), Math.round(dy / at.row)];
    // A trial draws the whole page anew: only when another cell is reached.
    const away = `${columns},${rows}`;
    if (away === at.away) return;
    at.away = away;
    const { x, y, w, h } = at.from;
    if (at.resize) setTrial(resizeTo(settled, at.id, Math.max(1, w + columns), Math.max(1, h + rows)));
    else setTrial(moveTo(settled, at.id, { ...at.from, x: x + columns, y: y + rows }));
  };
  const up = (event: PointerEvent): void => {
    const at = press.current;
    if (at === null) return;
    (event.currentTarget as HTMLElement).style.transform = "";
    end(event.type === "pointerup" && at.moved);
    if (event.type === "pointerup" && !at.moved) onSelect(at.id);
  };
  return { down, move, up };
}

interface KeyActions {
  onDrop(id: string): void;
  onRemove(widget: Widget): void;
  say(text: string): void;
}

/** Enter lifts a widget and drops it, arrow keys move it, with Shift resize it, Escape puts it back, Delete removes it. */
export function keyHandler(arranging: Arranging, { onDrop, onRemove, say }: KeyActions) {
  const { settled, trial, setTrial, lifted, setLifted, press, end, places } = arranging;
  const toggle = (id: string, name: string): void => {
    if (lifted === null) {
      setLifted(id);
      setTrial(settled);
      say(`${name} is lifted. Arrow keys move it, Shift and arrow keys change its size, Enter drops it, Escape puts it back.`);
      return;
    }
    onDrop(id);
    end(true);
    say(`${name} is dropped`);
  };
  const step = (from: readonly Placed[], id: string, [dx, dy]: readonly [number, number], resize: boolean): void => {
    const at = places.get(id);
    const next = resize && at ? resizeTo(from, id, Math.max(1, at.w + dx), Math.max(1, at.h + dy)) : nudge(from, id, dx, dy);
    setTrial(next);
    const now = next.find((one) => one.id === id)?.position;
    if (now !== undefined) say(words(now));
  };
  return (event: KeyboardEvent, widget: Widget): void => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const id = widget.widget_id;
    const name = nameOf(widget);
    const arrow = ARROWS[event.key];
    if (event.key === "Escape" && (lifted !== null || press.current !== null)) {
      (event.currentTarget as HTMLElement).style.transform = "";
      end(false);
      say(`${name} is back where it was`);
    } else if (event.key === "Enter" || (event.key === " " && lifted !== null)) toggle(id, name);
    else if (arrow !== undefined && lifted !== null && trial !== null) step(trial, id, arrow, event.shiftKey);
    else if (event.key === "Delete" && lifted === null) onRemove(widget);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
}
