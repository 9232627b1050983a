import type { Position } from "../api/types";

export const COLUMNS = 12;

export interface Placed {
  readonly id: string;
  readonly position: Position;
}

function whole(value: number, low: number, high: number): number {
  return Number.isFinite(value) ? Math.min(high, Math.max(low, Math.round(value))) : low;
}

/** A position inside the grid, whatever the document says. */
export function clampPosition({ x, y, w, h }: Position): Position {
  const width = whole(w, 1, COLUMNS);
  return { x: whole(x, 0, COLUMNS - width), y: whole(y, 0, 10_000), w: width, h: whole(h, 1, 40) };
}

/**
 * Places without overlap, in reading order: what would cover another moves
 * down, and rows that nobody uses close up.
 */
export function arrange(widgets: readonly Placed[]): Placed[] {
  const sorted = widgets
    .map(({ id, position }) => ({ id, position: clampPosition(position) }))
    .sort((a, b) => a.position.y - b.position.y || a.position.x - b.position.x);
  const placed: Placed[] = [];
  for (const { id, position } of sorted) {
    // Straight up until something is in the way.
    const above = placed.filter((p) => position.x < p.position.x + p.position.w && p.position.x < position.x + position.w);
    const y = Math.max(0, ...above.map((p) => p.position.y + p.position.h));
    placed.push({ id, position: { ...position, y } });
  }
  return placed;
}

function overlap(a: Position, b: Position): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
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
