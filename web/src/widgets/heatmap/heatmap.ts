import "./heatmap.css";
import { isDistribution } from "../../model/aggregations";
import type { WidgetConfig } from "../../model/dashboard";
import { formatAxisTime, formatTime } from "../../model/format";
import { lookupTable, type Theme } from "../../model/palette";
import { TIME_STEPS } from "../../model/range";
import { FROM, LIMIT, TO } from "../fields";
import { ARROWS, append, canvasFont, fitCanvas, setText, show, visibleSlice, walkable, type Renderer, type Slice, type WidgetType, type WidgetView } from "../widget";
import type { Rows, TimeCells } from "./rows";
import { SeriesRows } from "./series";

const AXIS_HEIGHT = 22;
const TOP = 4;
const RIGHT = 16;
const MIN_CELL = 3;

/** Time to the right, a row per series with the value as colour; of distributions a row per bin with the count as colour. */
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
  /** Those of distributions are loaded with the first of them, since few dashboards have any. */
  #rows: Rows | null;
  #loading = false;
  readonly #canvas: HTMLCanvasElement;
  readonly #tip: HTMLElement;
  readonly #spoken: HTMLElement;
  readonly #legend: HTMLElement;
  readonly #note: HTMLElement;
  readonly #ends: readonly HTMLElement[];
  readonly #strips: readonly HTMLCanvasElement[];
  readonly #cells = document.createElement("canvas");
  #image: ImageData | null = null;
  #table = new Uint32Array();
  #theme: Theme | null = null;
  #values = new Float64Array();
  #width = 0;
  #height = 0;
  #left = 48;
  #time: TimeCells = { origin: 0, cellMs: 1000, columns: 0 };
  #slice: Slice = { from: 0, to: 1, first: 0, last: 0 };
  #pointer: { readonly x: number; readonly y: number } | null = null;

  constructor(element: HTMLElement, config: WidgetConfig, scale: number) {
    const ofBins = isDistribution(config.aggregation);
    this.#config = config;
    this.#scale = scale;
    this.#rows = ofBins ? null : new SeriesRows(config);
    const box = append(element, "div", "heat-box");
    this.#canvas = append(box, "canvas", "heat-canvas");
    this.#tip = append(box, "div", "heat-tip");
    this.#tip.hidden = true;
    this.#spoken = walkable(box, config.title, (event) => this.#key(event), () => this.#pointAt(null));
    this.#legend = append(element, "div", "heat-legend");
    this.#note = append(this.#legend, "span", "heat-more");
    const ends = [append(this.#legend, "span", "")];
    const strips: HTMLCanvasElement[] = [];
    // A scale that is not even has a text in its middle too.
    for (let parts = ofBins ? 2 : 1; parts > 0; parts--) {
      strips.push(append(this.#legend, "canvas", ofBins ? "heat-strip heat-strip-half" : "heat-strip"));
      ends.push(append(this.#legend, "span", ""));
    }
    this.#ends = ends;
    this.#strips = strips;
    this.#canvas.addEventListener("pointermove", (event) => this.#pointAt({ x: event.offsetX, y: event.offsetY }));
    this.#canvas.addEventListener("pointerleave", () => this.#pointAt(null));
  }

  resize(width: number, height: number): void {
    this.#width = width;
    this.#height = Math.max(40, height - this.#legend.offsetHeight);
  }

  draw(view: WidgetView): void {
    const rows = this.#rows;
    if (rows === null) {
      this.#load(view);
      return;
    }
    this.#dress(view.theme.name);
    this.#slice = visibleSlice(view);
    rows.read(view, this.#slice, this.#plotHeight / this.#scale);
    const context = fitCanvas(this.#canvas, this.#width, this.#height);
    if (context !== null && rows.count > 0) {
      context.font = canvasFont(this.#scale);
      const widest = rows.labels.reduce((width, { text }) => Math.max(width, context.measureText(text).width), 0);
      this.#left = Math.min(this.#width / 3, Math.ceil((widest + 24) / 8) * 8);
      this.#fillCells(rows, view);
      this.#paint(rows, context, view);
    }
    setText(this.#note, rows.note);
    this.#ends.forEach((end, i) => setText(end, rows.scale[i] ?? ""));
    this.#point();
  }

  describe(): string {
    return this.#rows?.describe(this.#slice) ?? "";
  }

  /** Loads the rows of distributions and draws; where that fails the next drawing tries again. */
  #load(view: WidgetView): void {
    if (this.#loading) return;
    this.#loading = true;
    void import("./bins").then(
      ({ BinRows }) => {
        this.#rows = new BinRows(this.#config);
        this.draw(view);
      },
      () => {
        this.#loading = false;
      },
    );
  }

  /** Takes the colours of the theme. */
  #dress(theme: Theme): void {
    if (theme === this.#theme) return;
    this.#theme = theme;
    // No values at all are the panel: on a light one few are light, on a dark one dark.
    this.#table = lookupTable(this.#config.scheme, isDistribution(this.#config.aggregation) && theme === "light");
    const part = this.#table.length / this.#strips.length;
    this.#strips.forEach((strip, i) => drawStrip(strip, this.#table.subarray(i * part, (i + 1) * part)));
  }

  /** One pixel per cell; scaling it up is the graphics card's work. */
  #fillCells(by: Rows, view: WidgetView): void {
    const rows = by.count;
    const most = Math.max(1, Math.floor(this.#plotWidth / MIN_CELL));
    const { refreshMs } = view.stream;
    const cellMs = Math.max(1, Math.ceil(this.#span / refreshMs / most)) * refreshMs;
    // Cells lie on multiples of their length, so that they move as a whole.
    const origin = Math.floor(this.#slice.from / cellMs) * cellMs;
    const columns = Math.max(1, Math.ceil((this.#slice.to - origin) / cellMs));
    this.#time = { origin, cellMs, columns };
    if (this.#values.length !== rows * columns) this.#values = new Float64Array(rows * columns);
    this.#values.fill(Number.NaN);
    by.fill(view, this.#slice, this.#time, this.#values);
    if (this.#image?.width !== columns || this.#image.height !== rows) {
      this.#cells.width = columns;
      this.#cells.height = rows;
      this.#image = new ImageData(columns, rows);
    }
    const pixels = new Uint32Array(this.#image.data.buffer);
    for (let cell = 0; cell < pixels.length; cell++) {
      const value = this.#values[cell] ?? Number.NaN;
      pixels[cell] = Number.isNaN(value) ? 0 : (this.#table[Math.round(255 * Math.min(1, Math.max(0, by.part(value))))] ?? 0);
    }
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

  /** The upper edge of a row. */
  #y(rows: Rows, row: number): number {
    return TOP + rows.edge(row) * this.#plotHeight;
  }

  #paint(rows: Rows, context: CanvasRenderingContext2D, { theme }: WidgetView): void {
    const { count, even, apart, labels } = rows;
    const { origin, cellMs, columns } = this.#time;
    context.save();
    context.beginPath();
    context.rect(this.#left, TOP, this.#plotWidth, this.#plotHeight);
    context.clip();
    context.imageSmoothingEnabled = false;
    const from = this.#x(origin);
    const to = this.#x(origin + columns * cellMs);
    if (even) context.drawImage(this.#cells, from, TOP, to - from, this.#plotHeight);
    else for (let row = 0; row < count; row++) context.drawImage(this.#cells, 0, row, columns, 1, from, this.#y(rows, row), to - from, this.#y(rows, row + 1) - this.#y(rows, row));
    if (apart && this.#plotHeight / count >= 8) {
      context.fillStyle = theme.panel;
      for (let row = 1; row < count; row++) context.fillRect(this.#left, Math.round(this.#y(rows, row)) - 1, this.#plotWidth, 2);
    }
    context.restore();

    context.fillStyle = theme.muted;
    context.textAlign = "right";
    context.textBaseline = "middle";
    let free = Number.NEGATIVE_INFINITY;
    for (const { text, at } of labels) {
      const y = TOP + at * this.#plotHeight;
      if (y < free) continue;
      free = y + 12 * this.#scale;
      context.fillText(cut(context, text, this.#left - 16), this.#left - 8, Math.min(this.#height - 6, Math.max(6, y)));
    }
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

  /** The row at a height, -1 above the first. */
  #rowAt(rows: Rows, y: number): number {
    let row = -1;
    while (row + 1 <= rows.count && this.#y(rows, row + 1) <= y) row++;
    return row;
  }

  /** From cell to cell, beginning with the newest of the first row. */
  #key(event: KeyboardEvent): void {
    if (event.key === "Escape") this.#pointAt(null);
    const rows = this.#rows;
    const arrow = ARROWS[event.key];
    if (arrow === undefined || rows === null || rows.count === 0) return;
    event.preventDefault();
    const [dx, dy] = arrow;
    const width = (this.#time.cellMs / this.#span) * this.#plotWidth;
    const within = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));
    const right = this.#left + this.#plotWidth - width / 2;
    const x = this.#pointer === null ? right : within(this.#pointer.x + dx * width, this.#left + width / 2, right);
    const row = this.#pointer === null ? 0 : within(this.#rowAt(rows, this.#pointer.y) + dy, 0, rows.count - 1);
    this.#pointAt({ x, y: (this.#y(rows, row) + this.#y(rows, row + 1)) / 2 });
    this.#spoken.textContent = this.#tip.textContent;
  }

  /** Shows what lies under the pointer; called with each draw, so that it follows the values. */
  #point(): void {
    const tip = this.#tip;
    const rows = this.#rows;
    if (rows === null) return;
    const { x, y } = this.#pointer ?? { x: -1, y: -1 };
    const { origin, cellMs, columns } = this.#time;
    const row = this.#rowAt(rows, y);
    const time = this.#slice.from + ((x - this.#left) / this.#plotWidth) * this.#span;
    const column = Math.floor((time - origin) / cellMs);
    const isOver = row >= 0 && row < rows.count && x >= this.#left && column >= 0 && column < columns;
    show(tip, isOver);
    if (!isOver) return;
    const value = this.#values[row * columns + column] ?? Number.NaN;
    setText(tip, `${rows.name(row)} · ${formatTime(origin + (column + 1) * cellMs)} · ${rows.value(value)}`);
    const right = x > this.#width / 2;
    tip.style.left = right ? "auto" : `${x + 12}px`;
    tip.style.right = right ? `${this.#width - x + 12}px` : "auto";
    tip.style.top = `${Math.max(0, y - 32)}px`;
  }
}

function drawStrip(strip: HTMLCanvasElement, colors: Uint32Array): void {
  strip.width = colors.length;
  strip.height = 1;
  const image = new ImageData(colors.length, 1);
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
