import "./stat.css";
import type { WidgetConfig } from "../../model/dashboard";
import { formatAll, formatNumber, scaleFor } from "../../model/number";
import { valueRange } from "../../model/range";
import { append, extremes, fitCanvas, GAP_REFRESHES, headline, setText, visibleSlice, type Renderer, type Slice, type WidgetType } from "../widget";

/** One large number and its recent course. */
export const widgetType: WidgetType = {
  label: "Number",
  size: [3, 2],
  fields: [],
  make: stat,
};

function stat(element: HTMLElement, config: WidgetConfig, textScale: number): Renderer {
  const root = append(element, "div", "stat");
  const line = append(root, "div", "stat-line");
  const number = append(line, "span", "stat-number");
  const suffix = append(line, "span", "stat-unit");
  const note = append(line, "span", "stat-note");
  const canvas = append(root, "canvas", "stat-spark");
  let width = 0;
  let height = 0;
  let text = "";
  return {
    resize(w, h) {
      width = w;
      height = Math.max(0, h - 48 * textScale);
    },
    draw(view) {
      const { stream, theme } = view;
      const now = headline(view, config);
      const scale = scaleFor(config.unit, now.value ?? 0);
      setText(number, formatNumber(now.value, scale));
      setText(suffix, scale.suffix.trim());
      setText(note, now.note);
      root.dataset["level"] = now.level;

      const slice = visibleSlice(view);
      const values = stream.columns.length > 0 ? stream.ring.columnView(now.column) : new Float64Array();
      const { low, high } = extremes(values, slice);
      const [lowest, highest] = formatAll([low, high], config.unit);
      text = `${now.words}.${low <= high ? ` In this time range between ${lowest} and ${highest}.` : ""}`;

      canvas.hidden = height < 20;
      if (canvas.hidden) return;
      const context = fitCanvas(canvas, width, height);
      if (context === null || !(low <= high)) return;
      const range = valueRange(low, high);
      const color = now.level === "ok" ? theme.accent : theme[now.level];
      context.lineWidth = 1.5 * textScale;
      context.lineJoin = "round";
      context.strokeStyle = color;
      context.fillStyle = `${color}1f`;
      const ends = stream.ring.endsView();
      const x = (row: number): number => (((ends[row] ?? 0) - slice.from) / (slice.to - slice.from)) * width;
      const y = (row: number): number => height - 2 - (((values[row] ?? 0) - range.min) / (range.max - range.min)) * (height - 6);
      for (const [start, stop] of unbroken(ends, values, slice, GAP_REFRESHES * stream.refreshMs)) {
        context.beginPath();
        for (let row = start; row < stop; row++) context.lineTo(x(row), y(row));
        context.stroke();
        context.lineTo(x(stop - 1), height);
        context.lineTo(x(start), height);
        context.fill();
      }
    },
    describe: () => text,
  };
}

/** The rows [start, stop) between gaps: values that are absent, or ends that are further apart than gap, in ms. */
function* unbroken(ends: Float64Array, values: Float64Array, { first, last }: Slice, gap: number): Generator<readonly [start: number, stop: number]> {
  let start = -1;
  for (let row = first; row < last; row++) {
    const missing = Number.isNaN(values[row] ?? Number.NaN);
    if (start >= 0 && (missing || (ends[row] ?? 0) - (ends[row - 1] ?? 0) > gap)) {
      yield [start, row];
      start = -1;
    }
    if (!missing && start < 0) start = row;
  }
  if (start >= 0) yield [start, last];
}
