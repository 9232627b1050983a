import type uPlot from "uplot";
import type { WidgetConfig } from "../../model/dashboard";
import { formatAxisTime, zoneDate } from "../../model/format";
import { formatAxis, formatBound } from "../../model/number";
import { seriesColor, seriesDash, type ThemeColors } from "../../model/palette";
import { BYTE_STEPS, TIME_STEPS } from "../../model/range";
import { canvasFont, type Selection } from "../widget";

/** Below this height, in CSS pixels, a label along the value axis does not fit. */
const LABEL_HEIGHT = 180;

export interface PlotOptions {
  readonly config: WidgetConfig;
  readonly theme: ThemeColors;
  readonly selection: Selection;
  readonly width: number;
  readonly height: number;
  /** Whether there is room for a label along the value axis. */
  readonly labelled: boolean;
  /** How large texts are, 1 = as usual. */
  readonly scale: number;
  range(low: number, high: number): [number, number];
  /** Width of the value axis for these labels, in CSS pixels. */
  axisWidth(labels: readonly string[] | null): number;
  onDraw(plot: uPlot): void;
  onCursor(): void;
}

export function hasRoomForLabel(height: number, scale: number): boolean {
  return height >= LABEL_HEIGHT * scale;
}

export function plotOptions(options: PlotOptions): uPlot.Options {
  const { config, width, height, scale, range, onDraw, onCursor } = options;
  return {
    width,
    height,
    ms: 1,
    tzDate: zoneDate,
    padding: [8 * scale, 26 * scale, 0, 4],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: false, y: false, setScale: false },
      sync: { key: "pulseboard", scales: ["x", null] },
      points: { size: 7, width: 2 },
    },
    scales: {
      x: { time: true },
      y: { distr: config.y.log ? 3 : 1, range: (_, low, high) => range(low, high) },
    },
    axes: [timeAxis(options), valueAxis(options)],
    series: [{}, ...lines(options)],
    hooks: { draw: [onDraw], setCursor: [onCursor] },
  };
}

function axis({ theme, scale }: PlotOptions): uPlot.Axis {
  const font = canvasFont(scale);
  return { stroke: theme.muted, font, ticks: { show: false }, labelFont: font, labelSize: 18 * scale, labelGap: 2, gap: 6 };
}

function timeAxis(options: PlotOptions): uPlot.Axis {
  const { config, scale } = options;
  return {
    ...axis(options),
    ...(config.xLabel === "" ? {} : { label: config.xLabel }),
    grid: { show: false },
    size: 26 * scale,
    incrs: [...TIME_STEPS],
    space: 68 * scale,
    values: (_, splits) => splits.map((at) => formatAxisTime(at, (splits[1] ?? 0) - (splits[0] ?? 0))),
  };
}

function valueAxis(options: PlotOptions): uPlot.Axis {
  const { config, theme, labelled, scale, axisWidth } = options;
  const { log, label } = config.y;
  return {
    ...axis(options),
    ...(label === "" || !labelled ? {} : { label }),
    grid: {
      stroke: theme.line,
      width: 1,
      // A line for each decade is enough of a logarithmic axis.
      ...(log ? { filter: (_: uPlot, splits: number[]) => splits.map((at) => (isDecade(at) ? at : null)) } : {}),
    },
    ...(config.unit === "B" && !log ? { incrs: [...BYTE_STEPS] } : {}),
    space: 34 * scale,
    size: (_, labels) => axisWidth(labels),
    values: (_, splits) => (log ? splits.map((at) => (isDecade(at) ? formatBound(at, config.unit) : "")) : formatAxis(splits, config.unit)),
  };
}

function lines({ config, theme, selection, scale }: PlotOptions): uPlot.Series[] {
  const single = selection.series.length === 1;
  return selection.series.map(({ label, place }) => {
    const color = seriesColor(place, theme.name);
    return {
      label,
      stroke: color,
      width: 1.5 * scale,
      dash: [...seriesDash(place)],
      points: { show: false },
      spanGaps: false,
      ...(single && !config.y.log ? { fill: `${color}1f` } : {}),
    };
  });
}

function isDecade(value: number): boolean {
  const power = Math.log10(value);
  return Math.abs(power - Math.round(power)) < 1e-9;
}
