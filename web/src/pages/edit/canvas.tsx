import type { RefObject } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Position, Widget } from "../../api/types";
import type { LiveSession } from "../../live/session";
import { widgetPosition } from "../../model/dashboard";
import { nameOf } from "../../model/draft";
import { arrange, moveTo, nudge, resizeTo, type Placed } from "../../model/layout";
import { placement, WidgetFrame, type SharedView } from "../../widgets/frame";

/** Pixels that a pointer moves before a press becomes a drag. */
const SLACK = 4;
/** Near this edge of the window, in pixels, a drag scrolls. */
const EDGE = 48;
const STEPS: Readonly<Record<string, readonly [dx: number, dy: number]>> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

interface CanvasProps {
  readonly widgets: readonly Widget[];
  readonly selected: string | null;
  readonly view: RefObject<SharedView | null>;
  sessionOf(widget: Widget): LiveSession;
  /** Why it cannot have values. */
  faultOf(widget: Widget): string | undefined;
  onSelect(id: string): void;
  onRemove(widget: Widget): void;
  onArrange(placed: readonly Placed[]): void;
  say(text: string): void;
}

export function placedOf(widgets: readonly Widget[]): Placed[] {
  return arrange(widgets.map((widget) => ({ id: widget.widget_id, position: widgetPosition(widget) })));
}

/** The widget on the page, or the button of what else has a drawer. */
function slotOf(id: string | null): HTMLElement | null {
  return document.querySelector<HTMLElement>(`[data-id="${CSS.escape(id ?? "")}"]`);
}

function words({ x, y, w, h }: Position): string {
  return `column ${x + 1}, row ${y + 1}, ${w} wide, ${h} high`;
}

/** A widget on its way: where it started, and, for a pointer, from which point and how large a cell is there. */
interface Trip {
  readonly id: string;
  readonly from: Position;
  readonly resize: boolean;
  readonly left: number;
  readonly top: number;
  readonly column: number;
  readonly row: number;
  moved: boolean;
  /** The cells that it is away from home, as text. */
  away: string;
}

/** The grid while it is edited: widgets are dragged and resized, or lifted and moved with the keyboard. */
export function Canvas({ widgets, selected, view, sessionOf, faultOf, onSelect, onRemove, onArrange, say }: CanvasProps) {
  const hint = useId();
  const settled = placedOf(widgets);
  const [trial, setTrial] = useState<readonly Placed[] | null>(null);
  const [lifted, setLifted] = useState<string | null>(null);
  const trip = useRef<Trip | null>(null);
  const [dragged, setDragged] = useState<string | null>(null);
  const grid = useRef<HTMLDivElement>(null);
  const refocus = useRef<string | null>(null);
  const before = useRef(selected);
  // Widgets that changed places changed them in the page too, which loses the focus.
  useEffect(() => {
    slotOf(refocus.current)?.focus();
    refocus.current = null;
  }, [widgets]);
  useEffect(() => {
    slotOf(selected)?.scrollIntoView({ block: "nearest" });
    // Who closes the drawer goes on where it was opened.
    if (selected === null) slotOf(before.current)?.focus();
    before.current = selected;
  }, [selected]);

  const places = new Map((trial ?? settled).map(({ id, position }) => [id, position]));
  const end = (keep: boolean): void => {
    if (keep && trial !== null) onArrange(trial);
    setTrial(null);
    setLifted(null);
    setDragged(null);
    trip.current = null;
  };

  const press = (event: PointerEvent, id: string, from: Position): void => {
    const slot = event.currentTarget as HTMLElement;
    const target = event.target as HTMLElement;
    if (event.button !== 0 || target.closest("button, a") !== null) return;
    const style = getComputedStyle(grid.current ?? slot);
    trip.current = {
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
  const drag = (event: PointerEvent): void => {
    const slot = event.currentTarget as HTMLElement;
    const at = trip.current;
    if (at === null || !slot.hasPointerCapture(event.pointerId)) return;
    const [dx, dy] = [event.pageX - at.left, event.pageY - at.top];
    if (!at.moved && Math.hypot(dx, dy) < SLACK) return;
    at.moved = true;
    setDragged(at.id);
    const [columns, rows] = [Math.round(dx / at.column), Math.round(dy / at.row)];
    const { x, y, w, h } = at.from;
    if (!at.resize) slot.style.transform = `translate(${dx}px, ${dy}px)`;
    if (event.clientY < EDGE) window.scrollBy(0, -EDGE / 2);
    if (event.clientY > innerHeight - EDGE) window.scrollBy(0, EDGE / 2);
    // All the page is drawn anew; not for each pixel.
    const away = `${columns},${rows}`;
    if (away === at.away) return;
    at.away = away;
    if (at.resize) setTrial(resizeTo(settled, at.id, Math.max(1, w + columns), Math.max(1, h + rows)));
    else setTrial(moveTo(settled, at.id, { ...at.from, x: x + columns, y: y + rows }));
  };
  const release = (event: PointerEvent): void => {
    const at = trip.current;
    if (at === null) return;
    (event.currentTarget as HTMLElement).style.transform = "";
    end(event.type === "pointerup" && at.moved);
    if (event.type === "pointerup" && !at.moved) onSelect(at.id);
  };

  const key = (event: KeyboardEvent, widget: Widget): void => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const id = widget.widget_id;
    const step = STEPS[event.key];
    const name = nameOf(widget);
    if (event.key === "Escape" && (lifted !== null || trip.current !== null)) {
      (event.currentTarget as HTMLElement).style.transform = "";
      end(false);
      say(`${name} is back where it was`);
    } else if (event.key === "Enter" || (event.key === " " && lifted !== null)) {
      if (lifted === null) {
        setLifted(id);
        setTrial(settled);
        say(`${name} is lifted. Arrow keys move it, Shift and arrow keys change its size, Enter drops it, Escape puts it back.`);
      } else {
        refocus.current = id;
        end(true);
        say(`${name} is dropped`);
      }
    } else if (step !== undefined && lifted !== null && trial !== null) {
      const at = places.get(id);
      const next = event.shiftKey && at ? resizeTo(trial, id, Math.max(1, at.w + step[0]), Math.max(1, at.h + step[1])) : nudge(trial, id, ...step);
      setTrial(next);
      const now = next.find((one) => one.id === id)?.position;
      if (now !== undefined) say(words(now));
    } else if (event.key === "Delete" && lifted === null) remove(widget);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const remove = (widget: Widget): void => {
    const at = settled.findIndex(({ id }) => id === widget.widget_id);
    refocus.current = (settled[at + 1] ?? settled[at - 1])?.id ?? null;
    onRemove(widget);
  };

  const byId = new Map(widgets.map((widget) => [widget.widget_id, widget]));
  const ghost = dragged !== null && trip.current?.resize === false ? places.get(dragged) : undefined;
  return (
    <div class="grid grid-edit" ref={grid}>
      <p class="sr-only" id={hint}>
        Enter lifts the widget, to be moved with the arrow keys.
      </p>
      {ghost === undefined ? null : <div class="widget-ghost" style={placement(ghost)} />}
      {settled.map(({ id, position: home }) => {
        const widget = byId.get(id);
        if (widget === undefined) return null;
        const position = (ghost !== undefined && id === dragged ? undefined : places.get(id)) ?? home;
        return (
          <div
            key={id}
            class="slot"
            data-id={id}
            data-lifted={id === lifted || id === dragged ? "yes" : "no"}
            data-selected={id === selected ? "yes" : "no"}
            style={placement(position)}
            tabIndex={0}
            role="group"
            aria-label={`${nameOf(widget)}, ${words(position)}`}
            aria-describedby={hint}
            onPointerDown={(event) => press(event, id, home)}
            onPointerMove={drag}
            onPointerUp={release}
            onPointerCancel={release}
            onKeyDown={(event) => key(event, widget)}
            onBlur={(event) => {
              if (event.target === event.currentTarget && lifted === id) end(true);
            }}
          >
            <WidgetFrame
              widget={widget}
              position={position}
              session={sessionOf(widget)}
              view={view}
              onEdit={() => onSelect(id)}
              onRemove={remove}
            />
            <p class="slot-fault">{faultOf(widget)}</p>
            <span class="slot-resize" data-resize="" />
          </div>
        );
      })}
    </div>
  );
}
