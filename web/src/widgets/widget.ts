import { lowerBound } from "../live/ring";
import type { WidgetStream } from "../live/store";
import type { WidgetConfig } from "../model/dashboard";
import { formatOne } from "../model/number";
import type { ColorRegistry, ThemeColors } from "../model/palette";
import { compareSeries, isChosen, seriesLabel, type Tags } from "../model/series";
import { levelOf, levelWord, type Level } from "../model/thresholds";
import type { FormField } from "./fields";

/** All that one drawing may depend on. */
export interface WidgetView {
  readonly stream: WidgetStream;
  /** Right end of the time axis, the same for all widgets; epoch ms, NaN before any value. */
  readonly edge: number;
  /** The oldest value of all widgets; epoch ms, NaN before any value. */
  readonly beginning: number;
  /** Longest length of the time axis in ms, 0 for all there is. */
  readonly rangeMs: number;
  readonly theme: ThemeColors;
  readonly colors: ColorRegistry;
  /** What the viewer chose among the values of tags. */
  readonly choice: Tags;
}

/** A widget's drawing. Everything is called on the page's one thread, draw at most once a frame. */
export interface Renderer {
  draw(view: WidgetView): void;
  /** Size of the element in CSS pixels; a draw follows. */
  resize?(width: number, height: number): void;
  /** What was drawn last, in words, for screen readers. */
  describe(): string;
  /** Ends what goes on beside the element, which is emptied by the frame. */
  destroy?(): void;
}

/** Puts a drawing into element. scale is how large texts are, 1 = as usual. */
export type RendererFactory = (element: HTMLElement, config: WidgetConfig, scale: number) => Renderer;

/** The description of a type of widget, which its folder exports. Its name in documents is that of the folder (see types.ts). */
export interface WidgetType {
  /** What people call it. */
  readonly label: string;
  /** The size of a new one, in columns and rows of the grid. */
  readonly size: readonly [w: number, h: number];
  /** The members of display_config that change its drawing, besides title and unit. */
  readonly fields: readonly FormField[];
  readonly make: RendererFactory;
}

/** A gap between two points longer than this many refresh intervals breaks a line. */
export const GAP_REFRESHES = 2.5;

/** The part of a stream that lies in the view's time range. */
export interface Slice {
  readonly from: number;
  readonly to: number;
  /** Rows [first, last) of the ring; one row before from is kept, so that lines enter from the left. */
  readonly first: number;
  readonly last: number;
}

/** A time axis is at least this long, in ms. */
const SHORTEST_MS = 60_000;

export function visibleSlice({ stream, edge, beginning, rangeMs }: WidgetView): Slice {
  const ends = stream.ring.endsView();
  const to = Number.isNaN(edge) ? stream.ring.lastEnd : edge;
  // All widgets begin where the first of them has values, so that their axes are alike.
  const first = Math.min(Number.isNaN(beginning) ? to : beginning, to - SHORTEST_MS);
  const from = rangeMs > 0 ? Math.max(to - rangeMs, first) : first;
  return { from, to, first: Math.max(0, lowerBound(ends, from) - 1), last: ends.length };
}

/** A series that is shown. */
export interface ShownSeries {
  readonly column: number;
  readonly label: string;
  readonly tags: Tags;
  /** Its place in the palette. */
  readonly place: number;
  /** null when the newest window had none. */
  readonly newest: number | null;
  /** The least and the greatest value in the range. */
  readonly low: number;
  readonly high: number;
}

export interface Selection {
  readonly series: readonly ShownSeries[];
  /** Series with values in the range, also those beyond the limit and those that do not leave the pipeline. */
  readonly total: number;
  readonly max: number;
  readonly min: number;
}

export const NOTHING: Selection = { series: [], total: 0, max: Number.NaN, min: Number.NaN };

/** The least and the greatest value in the slice; low is above high where there is none. */
export function extremes(values: Float64Array, { first, last }: Slice): { readonly low: number; readonly high: number } {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let row = first; row < last; row++) {
    const value = values[row] ?? Number.NaN;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, high };
}

/** The series with a value in the slice, in reading order; those with the largest newest values when there are more than limit. */
export function selectSeries({ stream, colors, choice }: WidgetView, slice: Slice, config: WidgetConfig): Selection {
  const places = colors.placesOf(stream.columns);
  let shown: ShownSeries[] = [];
  stream.columns.forEach((tags, column) => {
    if (!isChosen(tags, choice)) return;
    const { low, high } = extremes(stream.ring.columnView(column), slice);
    if (low > high) return;
    shown.push({ column, label: seriesLabel(tags, config.aggregation), tags, place: places[column] ?? 0, newest: newestValue(stream, column), low, high });
  });
  const here = shown.length;
  // Of series that do not leave the pipeline it is not known whether they are chosen.
  const total = stream.truncated > 0 && here > 1 ? Math.max(here, stream.total) : here;
  if (here > config.limit) {
    const rank = ({ newest }: ShownSeries): number => newest ?? Number.NEGATIVE_INFINITY;
    shown.sort((a, b) => rank(b) - rank(a));
    shown = shown.slice(0, config.limit);
  }
  shown.sort((a, b) => compareSeries(a.tags, b.tags));
  return { series: shown, total, min: Math.min(...shown.map(({ low }) => low)), max: Math.max(...shown.map(({ high }) => high)) };
}

function newestValue(stream: WidgetStream, column: number): number | null {
  const value = stream.ring.columnView(column).at(-1);
  return value === undefined || Number.isNaN(value) ? null : value;
}

/** The one value of a widget that shows one: its only series, or the one with the largest value. */
export interface Headline {
  readonly value: number | null;
  readonly column: number;
  readonly level: Level;
  /** Which of several series it is, and its level unless that is ok. */
  readonly note: string;
  /** The same with its value, for screen readers. */
  readonly words: string;
}

export function headline({ stream, choice }: WidgetView, { aggregation, unit, steps }: WidgetConfig): Headline {
  let value: number | null = null;
  let column = 0;
  let chosen = 0;
  for (const [i, tags] of stream.columns.entries()) {
    if (!isChosen(tags, choice)) continue;
    chosen++;
    const newest = newestValue(stream, i);
    if (newest === null || (value !== null && newest <= value)) continue;
    value = newest;
    column = i;
  }
  const level = levelOf(value, steps);
  const label = value !== null && chosen > 1 ? seriesLabel(stream.columns[column] ?? {}, aggregation) : "";
  const word = level === "ok" ? "" : levelWord(level);
  const text = value === null ? "no value" : formatOne(value, unit);
  return {
    value,
    column,
    level,
    note: [label, word].filter(Boolean).join(" · "),
    words: (label && `${label}: `) + text + (word && `, ${word}`),
  };
}

/** A canvas with as many pixels as the screen has, and coordinates in CSS pixels. */
export function fitCanvas(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D | null {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  context?.clearRect(0, 0, width, height);
  return context;
}

/** An element with a class, made and put into parent. */
export function append<K extends keyof HTMLElementTagNameMap>(parent: Element, tag: K, className: string): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  parent.append(element);
  return element;
}

/** Where each arrow key leads. */
export const ARROWS: Readonly<Record<string, readonly [dx: number, dy: number]>> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Makes a drawing usable with the arrow keys. Screen readers speak what is written into the element that is returned. */
export function walkable(box: HTMLElement, title: string, key: (event: KeyboardEvent) => void, leave: () => void): HTMLElement {
  box.tabIndex = 0;
  box.role = "application";
  box.ariaLabel = `${title}, chart: arrow keys read its values`;
  box.addEventListener("keydown", key);
  box.addEventListener("blur", leave);
  const spoken = append(box, "p", "sr-only");
  spoken.ariaLive = "polite";
  return spoken;
}

/** Writes only what differs, and into the text node that is there: a new node would make the browser compute styles again. */
export function setText(element: Element, text: string): void {
  if (element.textContent === text) return;
  const { firstChild } = element;
  if (firstChild === null) element.textContent = text;
  else firstChild.nodeValue = text;
}

export function show(element: HTMLElement, shown: boolean): void {
  if (element.hidden === shown) element.hidden = !shown;
}

/** The font of texts on a canvas, of a size in pixels before it is scaled. */
export function canvasFont(scale: number, size = 11): string {
  return `${size * scale}px Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif`;
}
