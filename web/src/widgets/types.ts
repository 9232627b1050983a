// Written by `go generate ./charts`: the type of widget that each folder here exports, in the order in which people are shown them.
import { widgetType as gauge } from "./gauge/gauge";
import { widgetType as heatmap } from "./heatmap/heatmap";
import { widgetType as line } from "./line/line";
import { widgetType as stat } from "./stat/stat";
import { widgetType as table } from "./table/table";
import type { WidgetType } from "./widget";

export const WIDGET_TYPES: ReadonlyMap<string, WidgetType> = new Map(Object.entries({ line, gauge, stat, table, heatmap }));

/** Those that draw distributions; the first one is what one is drawn as where a document names none. */
export const OF_DISTRIBUTIONS: readonly string[] = ["heatmap"];
