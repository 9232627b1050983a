import type { Position } from "../api/types";

export const COLUMNS = 12;

export interface Placed {
  readonly id: string;
  readonly position: Position;
}

function whole(value: number, low: number, high: number): number {
  return Number.isFinite(value) ? Math.min(high, Math.max(low, Math.round(value))) : low;
}

/** The position, moved and cut so that it lies inside the grid. */
export function clampPosition({ x, y, w, h }: Position): Position {
  const width = whole(w, 1, COLUMNS);
  return { x: whole(x, 0, COLUMNS - width), y: whole(y, 0, 10_000), w: width, h: whole(h, 1, 40) };
}

function shareColumns(a: Position, b: Position): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w;
}

/** Lets each fall straight up until something that came before is in the way. */
function stack(ordered: readonly Placed[]): Placed[] {
  const placed: Placed[] = [];
  for (const { id, position } of ordered) {
    const above = placed.filter((p) => shareColumns(position, p.position));
    const y = Math.max(0, ...above.map((p) => p.position.y + p.position.h));
    placed.push({ id, position: { ...position, y } });
  }
  return placed;
}

/** Places without overlap, in reading order: what would cover another moves down, and rows without a widget close up. */
export function arrange(widgets: readonly Placed[]): Placed[] {
  return stack(
    widgets
      .map(({ id, position }) => ({ id, position: clampPosition(position) }))
      .sort((a, b) => a.position.y - b.position.y || a.position.x - b.position.x),
  );
}

/**
 * The arrangement once the widget id has been put at position: the others close up without it, and those in its columns whose
 * middle is below its upper edge make room.
 */
export function moveTo(widgets: readonly Placed[], id: string, position: Position): Placed[] {
  const place = clampPosition(position);
  const others = arrange(widgets.filter((one) => one.id !== id));
  const before = others.findLastIndex(({ position: p }) => shareColumns(p, place) && p.y + p.h / 2 <= place.y) + 1;
  return arrange(stack([...others.slice(0, before), { id, position: place }, ...others.slice(before)]));
}

/** The arrangement with the widget id in another size; its upper left corner stays. */
export function resizeTo(widgets: readonly Placed[], id: string, w: number, h: number): Placed[] {
  return arrange(
    widgets.map((one) => {
      const { x, y } = one.position;
      return one.id === id ? { id, position: { x, y, w: Math.min(w, COLUMNS - x), h } } : one;
    }),
  );
}

/**
 * One step with an arrow key: a column to the side, or up or down as far as it takes to change places with something. The same
 * arrangement when there is no way.
 */
export function nudge(widgets: readonly Placed[], id: string, dx: number, dy: number): readonly Placed[] {
  const from = widgets.find((one) => one.id === id)?.position;
  if (from === undefined) return widgets;
  const bottom = widgets.reduce((y, p) => Math.max(y, p.position.y + p.position.h), 0);
  for (let y = from.y + dy; y >= 0 && y <= bottom; y += dy) {
    const next = moveTo(widgets, id, { ...from, x: from.x + dx, y });
    if (dy === 0 || next.some((one) => one.id === id && one.position.y !== from.y)) return next;
  }
  return widgets;
}

function overlap(a: Position, b: Position): boolean {
  return shareColumns(a, b) && a.y < b.y + b.h && b.y < a.y + a.h;
}

/** The first place, in reading order, where a widget of this size covers nothing. */
export function freePosition(taken: readonly Position[], w: number, h: number): Position {
  const size = clampPosition({ x: 0, y: 0, w, h });
  const bottom = taken.reduce((y, p) => Math.max(y, p.y + p.h), 0);
  for (let y = 0; y < bottom; y++) {
    for (let x = 0; x + size.w <= COLUMNS; x++) {
      const place = { ...size, x, y };
      if (!taken.some((p) => overlap(place, p))) return place;
    }
  }
  return { ...size, x: 0, y: bottom };
}

/** Rows of the grid that the widgets take. */
export function heightOf(placed: readonly Placed[]): number {
  return placed.reduce((rows, { position }) => Math.max(rows, position.y + position.h), 1);
}

/** Widths of screens, and heights of a row on them, that texts of the usual size suit; in CSS pixels. */
const USUAL_WIDTH = 1440;
const USUAL_ROW = 64;

/** How large texts are on a wall display of this size in CSS pixels, whose rows fill it: 1 = as usual, in steps of a tenth. */
export function wallScale(width: number, height: number, rows: number): number {
  const scale = Math.min(width / USUAL_WIDTH, height / rows / USUAL_ROW, 3);
  return Math.max(1, Math.floor(scale * 10) / 10);
}
