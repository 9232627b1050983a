import type { Chart } from "../api/types";
import { gauge } from "./gauge/gauge";
import { heatmap } from "./heatmap/heatmap";
import { lineChart } from "./line/line";
import { stat } from "./stat/stat";
import { table } from "./table/table";
import type { RendererFactory } from "./widget";

const RENDERERS: Readonly<Record<Chart, RendererFactory>> = { line: lineChart, gauge, stat, table, heatmap };

export function rendererFor(chart: Chart): RendererFactory {
  return RENDERERS[chart];
}
