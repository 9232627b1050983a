import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import "./line.css";
import type { WidgetConfig } from "../../model/dashboard";
import { formatTime } from "../../model/format";
import { formatAll } from "../../model/number";
import type { ThemeColors } from "../../model/palette";
import { settle, valueRange, type Range } from "../../model/range";
import { levelWord } from "../../model/thresholds";
import { FROM, LIMIT, TIME_LABEL, TO, VALUE_LABEL } from "../fields";
import { append, canvasFont, GAP_REFRESHES, NOTHING, selectSeries, setText, show, visibleSlice, walkable, type Renderer, type Slice, type WidgetType, type WidgetView } from "../widget";
import { Legend } from "./legend";
import { hasRoomForLabel, plotOptions } from "./plot";

type Column = (number | null)[];

/** Lines over time, with thresholds, gaps and a legend that shows the newest values. */
export const widgetType: WidgetType = {
  label: "Line chart",
  size: [6, 4],
  fields: [
    TIME_LABEL,
    VALUE_LABEL,
    { path: "display_config/y_axis/scale", label: "Scale", width: "third", kind: [["linear", "linear"], ["log", "logarithmic"]], fallback: "linear" },
    FROM,
    TO,
    LIMIT,
  ],
  make: (element, config, scale) => new LineChart(element, config, scale),
};

/** Sets the cursor of this chart and of those that are synced. The third argument of setCursor is missing in uPlot's types. */
function publishCursor({ setCursor }: { setCursor(at: { left: number; top: number }, fire?: boolean, publish?: boolean): void }, at: { left: number; top: number }): void {
  setCursor(at, true, true);
}

class LineChart implements Renderer {
  readonly #config: WidgetConfig;
  readonly #scale: number;
  readonly #plotBox: HTMLElement;
  readonly #legend: Legend;
  readonly #spoken: HTMLElement;
  /** The time under the cursor, at the time axis. */
  readonly #timeLabel: HTMLElement;
  #plot: uPlot | null = null;
  #signature = "";
  #width = 0;
  #height = 0;
  #selection = NOTHING;
  #shown: Range | null = null;
  #axisWidth = 40;
  /** Reused from draw to draw; uPlot reads them until the next setData. */
  #times: number[] = [];
  #values: Column[] = [];
  /** The time of the keyboard's cursor, which stays while values move on. */
  #cursorTime: number | null = null;
  /** [from, to] of stretches whose windows were not complete. */
  #unsure: [number, number][] = [];

  constructor(element: HTMLElement, config: WidgetConfig, scale: number) {
    this.#config = config;
    this.#scale = scale;
    this.#plotBox = append(element, "div", "line-plot");
    this.#spoken = walkable(this.#plotBox, config.title, (event) => this.#key(event), () => this.#moveCursor(null));
    this.#timeLabel = append(this.#plotBox, "span", "line-time");
    this.#timeLabel.hidden = true;
    this.#legend = new Legend(element, () => this.#fit());
  }

  resize(width: number, height: number): void {
    this.#width = width;
    this.#height = height;
    this.#legend.resize(height);
    this.#fit();
  }

  draw(view: WidgetView): void {
    const slice = visibleSlice(view);
    this.#selection = selectSeries(view, slice, this.#config);
    this.#copy(view, slice);
    const signature = `${view.theme.name}|${hasRoomForLabel(this.#height, this.#scale)}|${this.#selection.series.map((s) => `${s.label}:${s.place}`).join("|")}|${this.#selection.total}`;
    const plot = this.#plot !== null && signature === this.#signature ? this.#plot : this.#build(view.theme);
    this.#signature = signature;
    plot.batch(() => {
      plot.setData([this.#times, ...this.#values] as uPlot.AlignedData, false);
      plot.setScale("x", { min: slice.from, max: slice.to });
    });
    if (this.#cursorTime !== null) this.#moveCursor(this.#cursorTime);
    this.#writeLegend();
  }

  describe(): string {
    const { series, total } = this.#selection;
    if (series.length === 0) return "Line chart, no values in this time range.";
    const [lowest, highest] = formatAll([this.#selection.min, this.#selection.max], this.#config.unit);
    const newest = this.#texts(this.#times.length - 1);
    const parts = series.slice(0, 8).map((s, i) => `${s.label} ${newest[i]}`);
    const more = total > parts.length ? `, and ${total - parts.length} more` : "";
    const times = this.#times;
    return (
      `Line chart of ${total} series, ${formatTime(times[0] ?? Number.NaN)} to ${formatTime(times[times.length - 1] ?? Number.NaN)}, ` +
      `lowest ${lowest}, highest ${highest}. Newest: ${parts.join(", ")}${more}.`
    );
  }

  destroy(): void {
    this.#plot?.destroy();
    // The element that is taken away loses the focus, and that takes the cursor away.
    this.#plot = null;
    this.#legend.destroy();
  }

  #key(event: KeyboardEvent): void {
    const times = this.#times;
    const last = times.length - 1;
    const at = this.#cursorTime === null ? last : times.findIndex((time) => time >= (this.#cursorTime ?? 0));
    const steps: Readonly<Record<string, number>> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -last, End: last };
    const step = steps[event.key];
    if (event.key === "Escape") this.#moveCursor(null);
    if (step === undefined || last < 0) return;
    event.preventDefault();
    // The first key only shows where the cursor is.
    const row = this.#cursorTime === null && Math.abs(step) === 1 ? last : Math.min(last, Math.max(0, at + step));
    this.#moveCursor(times[row] ?? null);
    const texts = this.#texts(row);
    const values = this.#selection.series.map(({ label }, i) => `${label} ${texts[i]}`);
    this.#spoken.textContent = `${formatTime(times[row] ?? Number.NaN)}: ${values.join(", ")}`;
  }

  /** In all charts of the page, as a pointer would; null takes it away. */
  #moveCursor(time: number | null): void {
    const plot = this.#plot;
    if (plot === null || (time === null && this.#cursorTime === null)) return;
    this.#cursorTime = time;
    publishCursor(plot, time === null ? { left: -10, top: -10 } : { left: Math.max(0, plot.valToPos(time, "x")), top: 0 });
  }

  /** Copies the visible rows out of the typed ring: uPlot takes only null for a gap. */
  #copy({ stream }: WidgetView, slice: Slice): void {
    const ends = stream.ring.endsView();
    const complete = stream.ring.completeView();
    const columns = this.#selection.series.map((s) => stream.ring.columnView(s.column));
    const longest = GAP_REFRESHES * stream.refreshMs;
    this.#times.length = 0;
    this.#values.length = columns.length;
    for (let i = 0; i < columns.length; i++) this.#values[i] = [];
    this.#unsure.length = 0;
    const log = this.#config.y.log;
    for (let row = slice.first; row < slice.last; row++) {
      const end = ends[row] ?? 0;
      const before = row > slice.first ? (ends[row - 1] ?? end) : end;
      if (end - before > longest) {
        this.#times.push((before + end) / 2);
        for (const column of this.#values) column.push(null);
      }
      this.#times.push(end);
      columns.forEach((column, i) => {
        const value = column[row] ?? Number.NaN;
        this.#values[i]?.push(Number.isNaN(value) || (log && value <= 0) ? null : value);
      });
      if (complete[row] === 0) this.#addUnsure(end - Math.min(stream.refreshMs, end - before || stream.refreshMs), end);
    }
  }

  #addUnsure(from: number, to: number): void {
    const last = this.#unsure[this.#unsure.length - 1];
    if (last !== undefined && from <= last[1]) last[1] = to;
    else this.#unsure.push([from, to]);
  }

  #build(theme: ThemeColors): uPlot {
    this.#plot?.destroy();
    this.#legend.build(this.#selection, theme.name);
    const [width, height] = this.#plotSize();
    const options = plotOptions({
      config: this.#config,
      theme,
      selection: this.#selection,
      width,
      height,
      labelled: hasRoomForLabel(this.#height, this.#scale),
      scale: this.#scale,
      range: (low, high) => this.#range(low, high),
      axisWidth: (labels) => this.#measure(labels),
      onDraw: (plot) => {
        this.#drawUnsure(plot, theme);
        this.#drawThresholds(plot, theme);
      },
      onCursor: () => this.#writeLegend(),
    });
    const nothing = [[], ...this.#selection.series.map(() => [])] as unknown as uPlot.AlignedData;
    this.#plot = new uPlot(options, nothing, this.#plotBox);
    return this.#plot;
  }

  #fit(): void {
    const [width, height] = this.#plotSize();
    if (this.#plot !== null && (this.#plot.width !== width || this.#plot.height !== height)) this.#plot.setSize({ width, height });
  }

  #plotSize(): [number, number] {
    return [Math.max(80, this.#width), Math.max(60, this.#height - this.#legend.height)];
  }

  #range(low: number, high: number): [number, number] {
    const { y, steps } = this.#config;
    if (y.log) {
      const [min, max] = uPlot.rangeLog(y.min ?? (low > 0 ? low : 1), y.max ?? (high > 0 ? high : 10), 10, true);
      return [min ?? 1, max ?? 10];
    }
    // A threshold that is close belongs into the picture; a far one would squeeze the line.
    const close = steps.filter((step) => step.at > high && step.at <= high * 1.3).map((step) => step.at);
    let wanted = valueRange(low, Math.max(high, ...close));
    // No room above 100 %.
    if (this.#config.unit === "%" && high <= 100) wanted = { min: wanted.min, max: Math.min(100, wanted.max) };
    this.#shown = settle(this.#shown, wanted);
    const min = y.min ?? this.#shown.min;
    const max = y.max ?? this.#shown.max;
    return max > min ? [min, max] : [min, min + 1];
  }

  /** The axis only widens, in steps, so that charts do not jump sideways. */
  #measure(labels: readonly string[] | null): number {
    const longest = (labels ?? []).reduce((length, label) => Math.max(length, label.length), 0);
    this.#axisWidth = Math.max(this.#axisWidth, Math.ceil((longest * 6.4 * this.#scale + 12) / 8) * 8);
    return this.#axisWidth;
  }

  /** The values of a row, as they are written beside each other. */
  #texts(row: number): string[] {
    return formatAll(this.#selection.series.map((_, i) => this.#values[i]?.[row] ?? null), this.#config.unit);
  }

  /** Cuts all lines into dashes where windows are incomplete. */
  #drawUnsure(plot: uPlot, theme: ThemeColors): void {
    const { ctx, bbox } = plot;
    const dash = Math.round(4 * (window.devicePixelRatio || 1));
    ctx.fillStyle = theme.panel;
    for (const [from, to] of this.#unsure) {
      const right = Math.min(bbox.left + bbox.width, plot.valToPos(to, "x", true));
      // Dashes stay where they are when a stretch grows.
      for (let x = Math.max(bbox.left, plot.valToPos(from, "x", true)); x < right; x += 2 * dash) ctx.fillRect(x, bbox.top, Math.min(dash, right - x), bbox.height);
    }
  }

  #drawThresholds(plot: uPlot, theme: ThemeColors): void {
    const { min, max } = plot.scales["y"] ?? {};
    if (min == null || max == null) return;
    const { ctx, bbox } = plot;
    const ratio = window.devicePixelRatio || 1;
    ctx.save();
    ctx.lineWidth = ratio;
    ctx.setLineDash([4 * ratio, 4 * ratio]);
    ctx.font = canvasFont(this.#scale * ratio, 10);
    ctx.textAlign = "left"; // The newest values are on the right.
    ctx.textBaseline = "bottom";
    for (const step of this.#config.steps) {
      if (step.at <= min || step.at >= max) continue;
      const y = plot.valToPos(step.at, "y", true);
      ctx.strokeStyle = theme[step.level];
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      // The word is not crossed out by the lines behind it.
      const word = levelWord(step.level);
      const { width, actualBoundingBoxAscent: above, actualBoundingBoxDescent: below } = ctx.measureText(word);
      const [left, base] = [bbox.left + 4 * ratio, y - 2 * ratio];
      ctx.fillStyle = theme.panel;
      ctx.fillRect(left - 2, base - above - 2, width + 4, above + below + 4);
      ctx.fillStyle = theme[step.level];
      ctx.fillText(word, left, base);
    }
    ctx.restore();
  }

  /** The values under the cursor while there is one, else the newest. */
  #writeLegend(): void {
    const plot = this.#plot;
    const left = plot?.cursor.left ?? -1;
    const hovered = plot !== null && left >= 0 && this.#times.length > 0;
    const row = hovered ? plot.posToIdx(left) : this.#times.length - 1;
    this.#legend.write(this.#texts(row));
    show(this.#timeLabel, hovered);
    if (!hovered) return;
    setText(this.#timeLabel, formatTime(this.#times[row] ?? Number.NaN));
    this.#timeLabel.style.left = `${plot.bbox.left / (window.devicePixelRatio || 1) + left}px`;
  }
}
