import "./stat.css";
import type { WidgetConfig } from "../../model/dashboard";
import { formatAll, formatNumber, formatOne, scaleFor } from "../../model/number";
import { valueRange } from "../../model/range";
import { levelOf, levelWord } from "../../model/thresholds";
import { append, extremes, fitCanvas, headline, setText, visibleSlice, type Renderer, type Slice, type WidgetType, type WidgetView } from "../widget";

/** One large number and its recent course. */
export const widgetType: WidgetType = {
  label: "Number",
  size: [3, 2],
  fields: [],
  make: (config, scale) => new Stat(config, scale),
};

class Stat implements Renderer {
  #root: HTMLElement | null = null;
  #number: HTMLElement | null = null;
  #unit: HTMLElement | null = null;
  #note: HTMLElement | null = null;
  #canvas: HTMLCanvasElement | null = null;
  #width = 0;
  #height = 0;
  #text = "No value yet.";

  readonly #config: WidgetConfig;
  readonly #scale: number;

  constructor(config: WidgetConfig, scale: number) {
    this.#config = config;
    this.#scale = scale;
  }

  mount(element: HTMLElement): void {
    this.#root = append(element, "div", "stat");
    const line = append(this.#root, "div", "stat-line");
    this.#number = append(line, "span", "stat-number");
    this.#unit = append(line, "span", "stat-unit");
    this.#note = append(line, "span", "stat-note");
    this.#canvas = append(this.#root, "canvas", "stat-spark");
  }

  resize(width: number, height: number): void {
    this.#width = width;
    this.#height = height;
  }

  draw(view: WidgetView): void {
    const slice = visibleSlice(view);
    const { value, column, label } = headline(view, this.#config);
    const values = view.stream.columns.length > 0 ? view.stream.ring.columnView(column) : new Float64Array();
    const { low, high } = extremes(values, slice);
    const { unit } = this.#config;
    const scale = scaleFor(unit, value ?? 0);
    const [lowest, highest] = formatAll([low, high], unit);
    const level = levelOf(value, this.#config.steps);
    if (this.#number !== null) setText(this.#number, formatNumber(value, scale));
    if (this.#unit !== null) setText(this.#unit, scale.suffix.trim());
    if (this.#note !== null) setText(this.#note, [label, level === "ok" ? "" : levelWord(level)].filter((word) => word !== "").join(" · "));
    if (this.#root !== null) this.#root.dataset["level"] = level;
    this.#text =
      `${label === "" ? "" : `${label}: `}${formatOne(value, unit)}${level === "ok" ? "" : `, ${levelWord(level)}`}` +
      (low <= high ? `. In this time range between ${lowest} and ${highest}.` : ".");
    this.#drawSpark(view, slice, values, low, high);
  }

  describe(): string {
    return this.#text;
  }

  destroy(): void {
    this.#root?.remove();
    this.#root = null;
  }

  #drawSpark(view: WidgetView, slice: Slice, values: Float64Array, low: number, high: number): void {
    if (this.#canvas === null) return;
    const height = Math.max(0, this.#height - 48 * this.#scale);
    this.#canvas.hidden = height < 20;
    if (this.#canvas.hidden) return;
    const context = fitCanvas(this.#canvas, this.#width, height);
    if (context === null || !(low <= high)) return;
    const ends = view.stream.ring.endsView();
    const range = valueRange(low, high);
    const x = (end: number): number => ((end - slice.from) / (slice.to - slice.from)) * this.#width;
    const y = (value: number): number => height - 2 - ((value - range.min) / (range.max - range.min)) * (height - 6);
    const level = levelOf(values[values.length - 1] ?? null, this.#config.steps);
    const color = level === "ok" ? view.theme.accent : view.theme[level];
    const gap = 2.5 * view.stream.refreshMs;
    context.lineWidth = 1.5 * this.#scale;
    context.lineJoin = "round";
    context.strokeStyle = color;
    let start = -1;
    const finish = (stop: number): void => {
      if (start < 0) return;
      context.beginPath();
      for (let row = start; row < stop; row++) context.lineTo(x(ends[row] ?? 0), y(values[row] ?? 0));
      context.stroke();
      context.lineTo(x(ends[stop - 1] ?? 0), height);
      context.lineTo(x(ends[start] ?? 0), height);
      context.fillStyle = `${color}1f`;
      context.fill();
      start = -1;
    };
    for (let row = slice.first; row < slice.last; row++) {
      const missing = Number.isNaN(values[row] ?? Number.NaN);
      if (missing || (start >= 0 && (ends[row] ?? 0) - (ends[row - 1] ?? 0) > gap)) finish(row);
      if (!missing && start < 0) start = row;
    }
    finish(slice.last);
  }
}
