import type { RefObject } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import type { Widget } from "../../api/types";
import type { LiveSession } from "../../live/session";
import { placedOf } from "../../model/dashboard";
import { nameOf } from "../../model/draft";
import type { Placed } from "../../model/layout";
import { placement, WidgetFrame, type SharedView } from "../../widgets/frame";
import { keyHandler, pointerHandlers, useArranging, words } from "./arranging";

interface CanvasProps {
  readonly widgets: readonly Widget[];
  readonly selected: string | null;
  readonly view: RefObject<SharedView | null>;
  sessionOf(widget: Widget): LiveSession;
  /** Why it cannot have values. */
  faultOf(widget: Widget): string | undefined;
  onSelect(id: string): void;
  onDuplicate(widget: Widget): void;
  onRemove(widget: Widget): void;
  onArrange(placed: readonly Placed[]): void;
  say(text: string): void;
}

/** The grid while it is edited. */
export function Canvas({ widgets, selected, view, sessionOf, faultOf, onSelect, onDuplicate, onRemove, onArrange, say }: CanvasProps) {
  const hint = useId();
  const grid = useRef<HTMLDivElement>(null);
  const focusNext = useFocus(widgets, selected);
  const settled = placedOf(widgets);
  const arranging = useArranging(settled, onArrange);
  const { lifted, dragged, press, end, places } = arranging;
  const remove = (widget: Widget): void => {
    const at = settled.findIndex(({ id }) => id === widget.widget_id);
    focusNext((settled[at + 1] ?? settled[at - 1])?.id ?? null);
    onRemove(widget);
  };
  const pointer = pointerHandlers(arranging, grid, onSelect);
  const key = keyHandler(arranging, { onDrop: focusNext, onRemove: remove, say });

  const byId = new Map(widgets.map((widget) => [widget.widget_id, widget]));
  const ghost = dragged !== null && press.current?.resize === false ? places.get(dragged) : undefined;
  return (
    <div class="grid grid-edit" ref={grid}>
      <p class="sr-only" id={hint}>
        Enter lifts the widget, to be moved with the arrow keys.
      </p>
      {ghost === undefined ? null : <div class="widget-ghost" style={placement(ghost)} />}
      {/* In the order of what is settled: an element that is moved in the page loses the focus. */}
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
            onPointerDown={(event) => pointer.down(event, id, home)}
            onPointerMove={pointer.move}
            onPointerUp={pointer.up}
            onPointerCancel={pointer.up}
            onKeyDown={(event) => key(event, widget)}
            onBlur={(event) => {
              if (event.target === event.currentTarget && lifted === id) end(true);
            }}
          >
            <WidgetFrame widget={widget} position={position} session={sessionOf(widget)} view={view} onEdit={() => onSelect(id)} onDuplicate={onDuplicate} onRemove={remove} />
            <p class="slot-fault">{faultOf(widget)}</p>
            <span class="slot-resize" data-resize="" />
          </div>
        );
      })}
    </div>
  );
}

/** The element of a widget, or of another button that opens the drawer. */
function slotOf(id: string | null): HTMLElement | null {
  return document.querySelector<HTMLElement>(`[data-id="${CSS.escape(id ?? "")}"]`);
}

/** Keeps the focus on the widget that is worked on. The function that is returned sets the widget that gets it after the next change. */
function useFocus(widgets: readonly Widget[], selected: string | null): (id: string | null) => void {
  const next = useRef<string | null>(null);
  const before = useRef(selected);
  // Widgets that changed places were moved in the page too, and lost the focus.
  useEffect(() => {
    slotOf(next.current)?.focus();
    next.current = null;
  }, [widgets]);
  useEffect(() => {
    slotOf(selected)?.scrollIntoView({ block: "nearest" });
    // When the drawer is closed, the focus goes back to where it was opened.
    if (selected === null) slotOf(before.current)?.focus();
    before.current = selected;
  }, [selected]);
  return (id) => {
    next.current = id;
  };
}
