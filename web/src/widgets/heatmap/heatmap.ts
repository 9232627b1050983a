import "./heatmap.css";
import type { WidgetConfig } from "../../model/dashboard";
import { formatAxisTime, formatShare, formatTime } from "../../model/format";
import { formatAll, formatAxis, formatOne } from "../../model/number";
import { lookupTable } from "../../model/palette";
import { roundRange, TIME_STEPS, type Range } from "../../model/range";
import { FROM, LIMIT, TO } from "../fields";
import { ARROWS, append, canvasFont, fitCanvas, NOTHING, selectSeries, setText, show, visibleSlice, walkable, type Renderer, type Slice, type WidgetType, type WidgetView } from "../widget";

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
  make: (element, config, scale) => new Heatmap(element, config, scale),
};

class Heatmap implements Renderer {
  readonly #config: WidgetConfig;
  readonly #scale: number;
  readonly #canvas: HTMLCanvasElement;
  readonly #tip: HTMLElement;
  readonly #spoken: HTMLElement;
  readonly #legend: HTMLElement;
  readonly #more: HTMLElement;
  readonly #legendLow: HTMLElement;
  readonly #legendHigh: HTMLElement;
  readonly #cells = document.createElement("canvas");
  #image: ImageData | null = null;
  readonly #table: Uint32Array;
  #values = new Float64Array();
  #width = 0;
  #height = 0;
  #ends: Range | null = null;
  #selection = NOTHING;
  #left = 48;
  #cellMs = 1000;
  #columns = 0;
  #origin = 0;
  #slice: Slice = { from: 0, to: 1, first: 0, last: 0 };
  #pointer: { readonly x: number; readonly y: number } | null = null;

  constructor(element: HTMLElement, config: WidgetConfig, scale: number) {
    this.#config = config;
    this.#scale = scale;
    this.#table = lookupTable(config.scheme);
    const box = append(element, "div", "heat-box");
    this.#canvas = append(box, "canvas", "heat-canvas");
    this.#tip = append(box, "div", "heat-tip");
    this.#tip.hidden = true;
    this.#spoken = walkable(box, config.title, (event) => this.#key(event), () => this.#pointAt(null));
    this.#legend = append(element, "div", "heat-legend");
    this.#more = append(this.#legend, "span", "heat-more");
    this.#legendLow = append(this.#legend, "span", "");
    drawStrip(append(this.#legend, "canvas", "heat-strip"), this.#table);
    this.#legendHigh = append(this.#legend, "span", "");
    this.#canvas.addEventListener("pointermove", (event) => this.#pointAt({ x: event.offsetX, y: event.offsetY }));
    this.#canvas.addEventListener("pointerleave", () => this.#pointAt(null));
  }

  resize(width: number, height: number): void {
    this.#width = width;
    this.#height = Math.max(40, height - this.#legend.offsetHeight);
  }

  draw(view: WidgetView): void {
    const { y, unit } = this.#config;
    this.#slice = visibleSlice(view);
    this.#selection = selectSeries(view, this.#slice, this.#config);
    this.#ends = roundRange(this.#ends, unit, this.#selection.min, this.#selection.max);
    const low = y.min ?? this.#ends.min;
    const high = y.max ?? this.#ends.max;
    const { series, total } = this.#selection;
    setText(this.#more, formatShare(series.length, total));
    const [first = "", last = ""] = formatAxis([low, high], unit);
    setText(this.#legendLow, first);
    setText(this.#legendHigh, last);
    this.#fillCells(view, low, high);
    this.#paint(view);
    this.#point();
  }

  describe(): string {
    const { series, total, max, min } = this.#selection;
    if (series.length === 0) return "Heat map, no values in this time range.";
    const { unit } = this.#config;
    const [lowest, highest] = formatAll([min, max], unit);
    const [hottest] = series.filter(({ newest }) => newest !== null).sort((a, b) => (b.newest ?? 0) - (a.newest ?? 0));
    const now = hottest === undefined ? "" : ` Highest now: ${hottest.label} at ${formatOne(hottest.newest, unit)}.`;
    return `Heat map of ${total} series, ${formatTime(this.#slice.from)} to ${formatTime(this.#slice.to)}, between ${lowest} and ${highest}.${now}`;
  }

  /** One pixel per cell; scaling it up is the graphics card's work. */
  #fillCells({ stream }: WidgetView, low: number, high: number): void {
    const rows = this.#selection.series.length;
    const most = Math.max(1, Math.floor((this.#width - this.#left - RIGHT) / MIN_CELL));
    this.#cellMs = Math.max(1, Math.ceil(this.#span / stream.refreshMs / most)) * stream.refreshMs;
    // Cells lie on multiples of their length, so that they move as a whole.
    this.#origin = Math.floor(this.#slice.from / this.#cellMs) * this.#cellMs;
    this.#columns = Math.max(1, Math.ceil((this.#slice.to - this.#origin) / this.#cellMs));
    if (rows === 0) return;
    if (this.#values.length !== rows * this.#columns) this.#values = new Float64Array(rows * this.#columns);
    this.#values.fill(Number.NaN);
    if (this.#image?.width !== this.#columns || this.#image.height !== rows) {
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

  /** Length of the time axis in ms. */
  get #span(): number {
    return this.#slice.to - this.#slice.from;
  }

  get #plotWidth(): number {
    return Math.max(10, this.#width - this.#left - RIGHT);
  }

  get #plotHeight(): number {
    return Math.max(10, this.#height - TOP - AXIS_HEIGHT * this.#scale);
  }

  #x(time: number): number {
    return this.#left + ((time - this.#slice.from) / this.#span) * this.#plotWidth;
  }

  #paint({ theme }: WidgetView): void {
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
    const step = TIME_STEPS.find((ms) => (ms / this.#span) * this.#plotWidth >= 72 * this.#scale) ?? 86_400_000;
    context.textAlign = "center";
    context.textBaseline = "top";
    for (let time = Math.ceil(this.#slice.from / step) * step; time <= this.#slice.to; time += step) {
      const x = this.#x(time);
      if (x < this.#left + 16 || x > this.#width - 20) continue;
      context.fillText(formatAxisTime(time, step), x, TOP + this.#plotHeight + 8);
    }
  }

  #pointAt(pointer: { readonly x: number; readonly y: number } | null): void {
    this.#pointer = pointer;
    this.#point();
  }

  /** From cell to cell, beginning with the newest of the first row. */
  #key(event: KeyboardEvent): void {
    if (event.key === "Escape") this.#pointAt(null);
    const rows = this.#selection.series.length;
    const arrow = ARROWS[event.key];
    if (arrow === undefined || rows === 0) return;
    event.preventDefault();
    const [dx, dy] = arrow;
    const width = (this.#cellMs / this.#span) * this.#plotWidth;
    const height = this.#plotHeight / rows;
    const at = this.#pointer ?? { x: this.#left + this.#plotWidth - width / 2 - dx * width, y: TOP + height / 2 - dy * height };
    const within = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));
    this.#pointAt({
      x: within(at.x + dx * width, this.#left + width / 2, this.#left + this.#plotWidth - width / 2),
      y: within(at.y + dy * height, TOP + height / 2, TOP + this.#plotHeight - height / 2),
    });
    this.#spoken.textContent = this.#tip.textContent;
  }

  /** Shows what lies under the pointer; called with each draw, so that it follows the values. */
  #point(): void {
    const tip = this.#tip;
    const { x, y } = this.#pointer ?? { x: -1, y: -1 };
    const row = Math.floor(((y - TOP) / this.#plotHeight) * this.#selection.series.length);
    const time = this.#slice.from + ((x - this.#left) / this.#plotWidth) * this.#span;
    const column = Math.floor((time - this.#origin) / this.#cellMs);
    const series = this.#selection.series[row];
    const isOver = series !== undefined && x >= this.#left && column >= 0 && column < this.#columns;
    show(tip, isOver);
    if (!isOver) return;
    const value = this.#values[row * this.#columns + column] ?? Number.NaN;
    setText(tip, `${series.label} · ${formatTime(this.#origin + (column + 1) * this.#cellMs)} · ${formatOne(value, this.#config.unit)}`);
    const right = x > this.#width / 2;
    tip.style.left = right ? "auto" : `${x + 12}px`;
    tip.style.right = right ? `${this.#width - x + 12}px` : "auto";
    tip.style.top = `${Math.max(0, y - 32)}px`;
  }
}

function drawStrip(strip: HTMLCanvasElement, colors: Uint32Array): void {
  strip.width = 256;
  strip.height = 1;
  const image = new ImageData(256, 1);
  new Uint32Array(image.data.buffer).set(colors);
  strip.getContext("2d")?.putImageData(image, 0, 0);
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
