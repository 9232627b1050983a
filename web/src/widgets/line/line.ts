import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import "./line.css";
import type { WidgetConfig } from "../../model/dashboard";
import { formatAxisTime, formatShare, formatTime, zoneDate } from "../../model/format";
import { formatAll, formatAxis, formatBound } from "../../model/number";
import { seriesColor, seriesDash, type ThemeColors } from "../../model/palette";
import { BYTE_STEPS, settle, TIME_STEPS, valueRange, type Range } from "../../model/range";
import { levelWord } from "../../model/thresholds";
import { FROM, LIMIT, TIME_LABEL, TO, VALUE_LABEL } from "../fields";
import {
  append,
  CANVAS_FONT,
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

/** A gap between two points longer than this many refresh intervals breaks the line. */
const GAP_REFRESHES = 2.5;

/** Below this height a label along the value axis does not fit. */
const LABEL_HEIGHT = 180;

type Column = (number | null)[];

interface LegendRow {
  readonly item: HTMLElement;
  readonly value: HTMLElement;
}

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
  make: (config) => new LineChart(config),
};

/** Sets the cursor, of the charts that follow too: setCursor takes that as its third argument, which its types do not say. */
function publishCursor({ setCursor }: { setCursor(at: { left: number; top: number }, fire?: boolean, publish?: boolean): void }, at: { left: number; top: number }): void {
  setCursor(at, true, true);
}

function isDecade(value: number): boolean {
  const power = Math.log10(value);
  return Math.abs(power - Math.round(power)) < 1e-9;
}

class LineChart implements Renderer {
  #plotBox: HTMLElement | null = null;
  #legendBox: HTMLElement | null = null;
  #legendTime: HTMLElement | null = null;
  #legend: LegendRow[] = [];
  #plot: uPlot | null = null;
  #signature = "";
  #width = 0;
  #height = 0;
  #selection: Selection = { series: [], total: 0, max: Number.NaN, min: Number.NaN };
  #theme: ThemeColors | null = null;
  #shown: Range | null = null;
  #axisWidth = 40;
  /** Reused from draw to draw; uPlot reads them until the next setData. */
  #times: number[] = [];
  #values: Column[] = [];
  #spoken: HTMLElement | null = null;
  /** Where the keyboard's cursor is, as a time: values move on below it. */
  #cursorTime: number | null = null;
  /** [from, to] of stretches whose windows were not complete. */
  #unsure: [number, number][] = [];

  readonly #config: WidgetConfig;

  constructor(config: WidgetConfig) {
    this.#config = config;
  }

  mount(element: HTMLElement): void {
    const box = append(element, "div", "line-plot");
    this.#spoken = walkable(box, this.#config.title, (event) => this.#key(event), () => this.#moveCursor(null));
    this.#plotBox = box;
    this.#legendBox = append(element, "div", "line-legend");
  }

  resize(width: number, height: number): void {
    this.#width = width;
    this.#height = height;
    this.#fit();
  }

  draw(view: WidgetView): void {
    const slice = visibleSlice(view);
    this.#theme = view.theme;
    this.#selection = selectSeries(view, slice, this.#config);
    this.#copy(view, slice);
    const signature = `${view.theme.name}|${this.#height >= LABEL_HEIGHT}|${this.#selection.series.map((s) => `${s.label}:${s.place}`).join("|")}|${this.#selection.total}`;
    if (this.#plot === null || signature !== this.#signature) {
      this.#signature = signature;
      this.#build(view.theme);
    }
    const plot = this.#plot;
    if (plot === null) return;
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
    this.#plot = null;
    this.#plotBox?.remove();
    this.#legendBox?.remove();
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
    if (this.#spoken !== null) this.#spoken.textContent = `${formatTime(times[row] ?? Number.NaN)}: ${values.join(", ")}`;
  }

  /** In all charts of the page, as a pointer would; null takes it away. */
  #moveCursor(time: number | null): void {
    const plot = this.#plot;
    if (plot === null || (time === null && this.#cursorTime === null)) return;
    this.#cursorTime = time;
    const left = time === null ? -10 : plot.valToPos(time, "x");
    publishCursor(plot, { left: time === null ? left : Math.max(0, left), top: time === null ? -10 : 0 });
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

  #build(theme: ThemeColors): void {
    this.#plot?.destroy();
    this.#plot = null;
    if (this.#plotBox === null) return;
    this.#buildLegend(theme);
    const [width, height] = this.#plotSize();
    const single = this.#selection.series.length === 1;
    const config = this.#config;
    const axis: uPlot.Axis = { stroke: theme.muted, font: CANVAS_FONT, ticks: { show: false }, labelFont: CANVAS_FONT, labelSize: 18, labelGap: 2 };
    this.#plot = new uPlot(
      {
        width,
        height,
        ms: 1,
        tzDate: zoneDate,
        padding: [8, 18, 0, 4],
        legend: { show: false },
        cursor: {
          y: false,
          drag: { x: false, y: false, setScale: false },
          sync: { key: "pulseboard", scales: ["x", null] },
          points: { size: 7, width: 2 },
        },
        scales: {
          x: { time: true },
          y: { distr: config.y.log ? 3 : 1, range: (_, low, high) => this.#range(low, high) },
        },
        axes: [
          {
            ...axis,
            ...(config.xLabel === "" ? {} : { label: config.xLabel }),
            grid: { show: false },
            size: 26,
            incrs: [...TIME_STEPS],
            gap: 6,
            space: 68,
            values: (_, splits) => splits.map((at) => formatAxisTime(at, (splits[1] ?? 0) - (splits[0] ?? 0))),
          },
          {
            ...axis,
            ...(config.y.label === "" || this.#height < LABEL_HEIGHT ? {} : { label: config.y.label }),
            grid: {
              stroke: theme.grid,
              width: 1,
              // A line for each decade is enough of a logarithmic axis.
              ...(config.y.log ? { filter: (_: uPlot, splits: number[]) => splits.map((at) => (isDecade(at) ? at : null)) } : {}),
            },
            ...(config.unit === "B" && !config.y.log ? { incrs: [...BYTE_STEPS] } : {}),
            gap: 6,
            space: 34,
            size: (_, labels) => this.#measure(labels),
            values: (_, splits) => this.#axisLabels(splits),
          },
        ],
        series: [
          {},
          ...this.#selection.series.map(({ label, place }): uPlot.Series => {
            const color = seriesColor(place, theme.name);
            return {
              label,
              stroke: color,
              width: 1.5,
              dash: [...seriesDash(place)],
              points: { show: false },
              spanGaps: false,
              ...(single && !config.y.log ? { fill: `${color}1f` } : {}),
            };
          }),
        ],
        hooks: {
          draw: [
            (plot) => {
              this.#drawUnsure(plot);
              this.#drawThresholds(plot);
            },
          ],
          setCursor: [() => this.#writeLegend()],
        },
      },
      [[], ...this.#selection.series.map(() => [])] as unknown as uPlot.AlignedData,
      this.#plotBox,
    );
  }

  #fit(): void {
    const [width, height] = this.#plotSize();
    if (this.#plot !== null && (this.#plot.width !== width || this.#plot.height !== height)) this.#plot.setSize({ width, height });
  }

  #plotSize(): [number, number] {
    const legend = this.#legendBox?.offsetHeight ?? 0;
    return [Math.max(80, this.#width), Math.max(60, this.#height - legend)];
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
    // No air above all that there can be.
    if (this.#config.unit === "%" && high <= 100) wanted = { min: wanted.min, max: Math.min(100, wanted.max) };
    this.#shown = settle(this.#shown, wanted);
    const min = y.min ?? this.#shown.min;
    const max = y.max ?? this.#shown.max;
    return max > min ? [min, max] : [min, min + 1];
  }

  /** The axis only widens, in steps, so that charts do not jump sideways. */
  #measure(labels: readonly string[] | null): number {
    const longest = (labels ?? []).reduce((length, label) => Math.max(length, label.length), 0);
    this.#axisWidth = Math.max(this.#axisWidth, Math.ceil((longest * 6.4 + 12) / 8) * 8);
    return this.#axisWidth;
  }

  #axisLabels(splits: readonly number[]): string[] {
    const { unit, y } = this.#config;
    return y.log ? splits.map((at) => (isDecade(at) ? formatBound(at, unit) : "")) : formatAxis(splits, unit);
  }

  /** The values of a row, as they are written beside each other. */
  #texts(row: number): string[] {
    return formatAll(this.#selection.series.map((_, i) => this.#values[i]?.[row] ?? null), this.#config.unit);
  }

  /** Cuts all lines into dashes where the pipeline had not read the windows in full. */
  #drawUnsure(plot: uPlot): void {
    if (this.#theme === null) return;
    const { ctx, bbox } = plot;
    const dash = Math.round(4 * (window.devicePixelRatio || 1));
    ctx.fillStyle = this.#theme.panel;
    for (const [from, to] of this.#unsure) {
      const right = Math.min(bbox.left + bbox.width, plot.valToPos(to, "x", true));
      // Dashes stay where they are when a stretch grows.
      for (let x = Math.max(bbox.left, plot.valToPos(from, "x", true)); x < right; x += 2 * dash) ctx.fillRect(x, bbox.top, Math.min(dash, right - x), bbox.height);
    }
  }

  #drawThresholds(plot: uPlot): void {
    const theme = this.#theme;
    const { min, max } = plot.scales["y"] ?? {};
    if (theme === null || min == null || max == null) return;
    const { ctx, bbox } = plot;
    const ratio = window.devicePixelRatio || 1;
    ctx.save();
    ctx.lineWidth = ratio;
    ctx.setLineDash([4 * ratio, 4 * ratio]);
    ctx.font = CANVAS_FONT.replace("11px", `${10 * ratio}px`);
    ctx.textAlign = "left"; // The newest values are on the right.
    ctx.textBaseline = "bottom";
    for (const step of this.#config.steps) {
      if (step.at <= min || step.at >= max) continue;
      const y = plot.valToPos(step.at, "y", true);
      ctx.strokeStyle = theme[step.level];
      ctx.fillStyle = theme[step.level];
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.fillText(levelWord(step.level), bbox.left + 4 * ratio, y - 2 * ratio);
    }
    ctx.restore();
  }

  #buildLegend(theme: ThemeColors): void {
    const box = this.#legendBox;
    if (box === null) return;
    box.replaceChildren();
    const share = formatShare(this.#selection.series.length, this.#selection.total);
    // Before them: a legend that scrolls would hide that lines are missing.
    if (share !== "") append(box, "span", "line-legend-more").textContent = share;
    this.#legendTime = append(box, "span", "line-legend-time");
    this.#legend = this.#selection.series.map(({ label, place }) => {
      const item = append(box, "span", "line-legend-item");
      const swatch = append(item, "span", "line-swatch");
      const color = seriesColor(place, theme.name);
      const dash = seriesDash(place);
      swatch.style.background =
        dash.length === 0 ? color : `repeating-linear-gradient(90deg, ${color} 0 ${dash[0] ?? 4}px, transparent 0 ${(dash[0] ?? 4) + (dash[1] ?? 3)}px)`;
      const name = append(item, "span", "line-legend-name");
      name.textContent = label;
      name.title = label;
      return { item, value: append(item, "span", "line-legend-value") };
    });
    // A legend that scrolls must be reachable from the keyboard.
    if (box.scrollHeight > box.clientHeight + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }

  /** The values under the cursor while there is one, else the newest. */
  #writeLegend(): void {
    const left = this.#plot?.cursor.left ?? -1;
    const hovered = left >= 0 && this.#times.length > 0;
    const row = hovered ? (this.#plot?.posToIdx(left) ?? 0) : this.#times.length - 1;
    if (this.#legendTime !== null) {
      setText(this.#legendTime, hovered ? formatTime(this.#times[row] ?? Number.NaN) : "");
      show(this.#legendTime, hovered);
    }
    const texts = this.#texts(row);
    this.#legend.forEach(({ value }, i) => setText(value, texts[i] ?? ""));
  }
}
