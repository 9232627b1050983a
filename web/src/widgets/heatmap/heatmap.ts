import "./heatmap.css";
import type { WidgetConfig } from "../../model/dashboard";
import { formatAxisTime, formatShare, formatTime } from "../../model/format";
import { formatAll, formatAxis, formatOne } from "../../model/number";
import { lookupTable } from "../../model/palette";
import { roundRange, TIME_STEPS, type Range } from "../../model/range";
import { FROM, LIMIT, TO } from "../fields";
import {
  append,
  canvasFont,
  fitCanvas,
  selectSeries,
  setText,
  show,
  visibleSlice,
  walkable,
  type Renderer,
  type Selection,
  type Slice,
  type WidgetType,
  type WidgetView,
} from "../widget";

const AXIS_HEIGHT = 22;
const TOP = 4;
const RIGHT = 16;
const MIN_CELL = 3;

/** Time to the right, a row per series, the value as colour. */
export const widgetType: WidgetType = {
  label: "Heat map",
  size: [6, 4],
  fields: [
    { path: "display_config/color_scheme", label: "Colours", width: "third", kind: [["viridis", "viridis"], ["cividis", "cividis"]], fallback: "viridis" },
    FROM,
    TO,
    LIMIT,
  ],
  make: (config, scale) => new Heatmap(config, scale),
};

class Heatmap implements Renderer {
  #canvas: HTMLCanvasElement | null = null;
  #legend: HTMLElement | null = null;
  #legendLow: HTMLElement | null = null;
  #legendHigh: HTMLElement | null = null;
  #tip: HTMLElement | null = null;
  #spoken: HTMLElement | null = null;
  #more: HTMLElement | null = null;
  readonly #cells = document.createElement("canvas");
  #image: ImageData | null = null;
  readonly #table: Uint32Array;
  #values = new Float64Array();
  #width = 0;
  #height = 0;
  #ends: Range | null = null;
  #selection: Selection = { series: [], total: 0, max: Number.NaN, min: Number.NaN };
  #left = 48;
  #cellMs = 1000;
  #columns = 0;
  #origin = 0;
  #slice: Slice = { from: 0, to: 1, first: 0, last: 0 };
  #pointer: { readonly x: number; readonly y: number } | null = null;

  readonly #config: WidgetConfig;
  readonly #scale: number;

  constructor(config: WidgetConfig, scale: number) {
    this.#config = config;
    this.#scale = scale;
    this.#table = lookupTable(config.scheme);
  }

  mount(element: HTMLElement): void {
    const box = append(element, "div", "heat-box");
    this.#canvas = append(box, "canvas", "heat-canvas");
    this.#tip = append(box, "div", "heat-tip");
    this.#tip.hidden = true;
    this.#spoken = walkable(box, this.#config.title, (event) => this.#key(event), () => this.#pointAt(null));
    this.#legend = append(element, "div", "heat-legend");
    this.#more = append(this.#legend, "span", "heat-more");
    this.#legendLow = append(this.#legend, "span", "");
    const strip = append(this.#legend, "canvas", "heat-strip");
    this.#legendHigh = append(this.#legend, "span", "");
    this.#drawStrip(strip);
    this.#canvas.addEventListener("pointermove", (event) => {
      this.#pointAt({ x: event.offsetX, y: event.offsetY });
    });
    this.#canvas.addEventListener("pointerleave", () => this.#pointAt(null));
  }

  resize(width: number, height: number): void {
    this.#width = width;
    this.#height = Math.max(40, height - (this.#legend?.offsetHeight ?? 0));
  }

  draw(view: WidgetView): void {
    const { y, unit } = this.#config;
    this.#slice = visibleSlice(view);
    this.#selection = selectSeries(view, this.#slice, this.#config);
    this.#ends = roundRange(this.#ends, unit, this.#selection.min, this.#selection.max);
    const low = y.min ?? this.#ends.min;
    const high = y.max ?? this.#ends.max;
    const { series, total } = this.#selection;
    if (this.#more !== null) setText(this.#more, formatShare(series.length, total));
    const [first = "", last = ""] = formatAxis([low, high], unit);
    if (this.#legendLow !== null) setText(this.#legendLow, first);
    if (this.#legendHigh !== null) setText(this.#legendHigh, last);
    this.#fillCells(view, low, high);
    this.#paint(view);
    this.#point();
  }

  describe(): string {
    const { series, total, max, min } = this.#selection;
    if (series.length === 0) return "Heat map, no values in this time range.";
    const { unit } = this.#config;
    const [lowest, highest] = formatAll([min, max], unit);
    const newest = series.map((s, row) => ({ label: s.label, value: this.#values[row * this.#columns + this.#columns - 1] ?? Number.NaN }));
    const hottest = newest.filter((s) => !Number.isNaN(s.value)).sort((a, b) => b.value - a.value)[0];
    const now = hottest === undefined ? "" : ` Highest now: ${hottest.label} at ${formatOne(hottest.value, unit)}.`;
    return `Heat map of ${total} series, ${formatTime(this.#slice.from)} to ${formatTime(this.#slice.to)}, between ${lowest} and ${highest}.${now}`;
  }

  destroy(): void {
    this.#canvas?.parentElement?.remove();
    this.#legend?.remove();
    this.#canvas = null;
  }

  /** One pixel per cell; scaling it up is the graphics card's work. */
  #fillCells({ stream }: WidgetView, low: number, high: number): void {
    const rows = this.#selection.series.length;
    const span = this.#slice.to - this.#slice.from;
    const most = Math.max(1, Math.floor((this.#width - this.#left - RIGHT) / MIN_CELL));
    const per = Math.max(1, Math.ceil(span / stream.refreshMs / most));
    this.#cellMs = per * stream.refreshMs;
    // Cells lie on multiples of their length, so that they move as a whole.
    this.#origin = Math.floor(this.#slice.from / this.#cellMs) * this.#cellMs;
    this.#columns = Math.max(1, Math.ceil((this.#slice.to - this.#origin) / this.#cellMs));
    if (rows === 0) return;
    if (this.#values.length !== rows * this.#columns) this.#values = new Float64Array(rows * this.#columns);
    this.#values.fill(Number.NaN);
    if (this.#image === null || this.#image.width !== this.#columns || this.#image.height !== rows) {
      this.#cells.width = this.#columns;
      this.#cells.height = rows;
      this.#image = new ImageData(this.#columns, rows);
    }
    const pixels = new Uint32Array(this.#image.data.buffer);
    pixels.fill(0);
    const ends = stream.ring.endsView();
    this.#selection.series.forEach((series, row) => {
      const values = stream.ring.columnView(series.column);
      for (let at = this.#slice.first; at < this.#slice.last; at++) {
        const value = values[at] ?? Number.NaN;
        // A result stands for the refresh interval that ends with it.
        const column = Math.ceil(((ends[at] ?? 0) - this.#origin) / this.#cellMs) - 1;
        if (Number.isNaN(value) || column < 0 || column >= this.#columns) continue;
        const cell = row * this.#columns + column;
        this.#values[cell] = value;
        const part = Math.min(1, Math.max(0, (value - low) / (high - low || 1)));
        pixels[cell] = this.#table[Math.round(part * 255)] ?? 0;
      }
    });
    this.#cells.getContext("2d")?.putImageData(this.#image, 0, 0);
  }

  get #plotWidth(): number {
    return Math.max(10, this.#width - this.#left - RIGHT);
  }

  get #plotHeight(): number {
    return Math.max(10, this.#height - TOP - AXIS_HEIGHT * this.#scale);
  }

  #x(time: number): number {
    return this.#left + ((time - this.#slice.from) / (this.#slice.to - this.#slice.from)) * this.#plotWidth;
  }

  #paint({ theme }: WidgetView): void {
    if (this.#canvas === null) return;
    const context = fitCanvas(this.#canvas, this.#width, this.#height);
    if (context === null) return;
    const rows = this.#selection.series.length;
    context.font = canvasFont(this.#scale);
    context.fillStyle = theme.muted;
    if (rows === 0) return;
    const widest = this.#selection.series.reduce((width, s) => Math.max(width, context.measureText(s.label).width), 0);
    this.#left = Math.min(this.#width / 3, Math.ceil((widest + 24) / 8) * 8);

    const rowHeight = this.#plotHeight / rows;
    context.save();
    context.beginPath();
    context.rect(this.#left, TOP, this.#plotWidth, this.#plotHeight);
    context.clip();
    context.imageSmoothingEnabled = false;
    const from = this.#x(this.#origin);
    const to = this.#x(this.#origin + this.#columns * this.#cellMs);
    context.drawImage(this.#cells, from, TOP, to - from, this.#plotHeight);
    if (rowHeight >= 8) {
      context.fillStyle = theme.panel;
      for (let row = 1; row < rows; row++) context.fillRect(this.#left, Math.round(TOP + row * rowHeight) - 1, this.#plotWidth, 2);
    }
    context.restore();

    context.fillStyle = theme.muted;
    context.textAlign = "right";
    context.textBaseline = "middle";
    const every = Math.ceil((12 * this.#scale) / rowHeight);
    this.#selection.series.forEach((series, row) => {
      if (row % every === 0) context.fillText(cut(context, series.label, this.#left - 16), this.#left - 8, TOP + (row + 0.5) * rowHeight);
    });
    this.#paintTimes(context);
  }

  #paintTimes(context: CanvasRenderingContext2D): void {
    const span = this.#slice.to - this.#slice.from;
    const step = TIME_STEPS.find((ms) => (ms / span) * this.#plotWidth >= 72 * this.#scale) ?? 86_400_000;
    context.textAlign = "center";
    context.textBaseline = "top";
    for (let time = Math.ceil(this.#slice.from / step) * step; time <= this.#slice.to; time += step) {
      const x = this.#x(time);
      if (x < this.#left + 16 || x > this.#width - 20) continue;
      context.fillText(formatAxisTime(time, step), x, TOP + this.#plotHeight + 8);
    }
  }

  #drawStrip(strip: HTMLCanvasElement): void {
    strip.width = 256;
    strip.height = 1;
    const image = new ImageData(256, 1);
    new Uint32Array(image.data.buffer).set(this.#table);
    strip.getContext("2d")?.putImageData(image, 0, 0);
  }

  #pointAt(pointer: { readonly x: number; readonly y: number } | null): void {
    this.#pointer = pointer;
    this.#point();
  }

  /** From cell to cell, beginning with the newest of the first row. */
  #key(event: KeyboardEvent): void {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") this.#pointAt(null);
    const rows = this.#selection.series.length;
    if (step === undefined || rows === 0) return;
    event.preventDefault();
    const width = (this.#cellMs / (this.#slice.to - this.#slice.from)) * this.#plotWidth;
    const height = this.#plotHeight / rows;
    const at = this.#pointer ?? { x: this.#left + this.#plotWidth - width / 2 - (step[0] ?? 0) * width, y: TOP + height / 2 - (step[1] ?? 0) * height };
    const within = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));
    this.#pointAt({
      x: within(at.x + (step[0] ?? 0) * width, this.#left + width / 2, this.#left + this.#plotWidth - width / 2),
      y: within(at.y + (step[1] ?? 0) * height, TOP + height / 2, TOP + this.#plotHeight - height / 2),
    });
    if (this.#spoken !== null) this.#spoken.textContent = this.#tip?.textContent ?? "";
  }

  /** Shows what lies under the pointer; called with each draw, so that it follows the values. */
  #point(): void {
    const tip = this.#tip;
    const pointer = this.#pointer;
    if (tip === null) return;
    const rows = this.#selection.series.length;
    const row = pointer === null ? -1 : Math.floor(((pointer.y - TOP) / this.#plotHeight) * rows);
    const time = pointer === null ? 0 : this.#slice.from + ((pointer.x - this.#left) / this.#plotWidth) * (this.#slice.to - this.#slice.from);
    const column = Math.floor((time - this.#origin) / this.#cellMs);
    const series = this.#selection.series[row];
    if (pointer === null || series === undefined || pointer.x < this.#left || column >= this.#columns || column < 0) {
      show(tip, false);
      return;
    }
    const value = this.#values[row * this.#columns + column] ?? Number.NaN;
    setText(tip, `${series.label} · ${formatTime(this.#origin + (column + 1) * this.#cellMs)} · ${formatOne(value, this.#config.unit)}`);
    show(tip, true);
    const right = pointer.x > this.#width / 2;
    tip.style.left = right ? "auto" : `${pointer.x + 12}px`;
    tip.style.right = right ? `${this.#width - pointer.x + 12}px` : "auto";
    tip.style.top = `${Math.max(0, pointer.y - 32)}px`;
  }
}

/** As much of a text as has room, and "…" where it was cut: squeezed letters cannot be read. */
function cut(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text;
  let [fits, not] = [0, text.length];
  while (not - fits > 1) {
    const middle = (fits + not) >> 1;
    if (context.measureText(`${text.slice(0, middle)}…`).width <= width) fits = middle;
    else not = middle;
  }
  return `${text.slice(0, fits)}…`;
}
