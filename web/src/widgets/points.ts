import type { WidgetConfig } from "../model/dashboard";
import { formatMoment } from "../model/format";
import type { Distribution } from "../model/distribution";
import { formatAll, formatOne } from "../model/number";
import { RowTable } from "./rows";
import { selectSeries, setText, visibleSlice, type Renderer } from "./widget";

const ROW_HEIGHT = 28;

/** The points of a widget in the time range as a table, the newest first. */
export function pointsTable(element: HTMLElement, config: WidgetConfig): Renderer {
  const table = new RowTable(element, `${config.title}, points`, ROW_HEIGHT);
  let newest = Number.NaN;
  let text = "";
  return {
    resize: (_, height) => table.resize(height),
    draw(view) {
      const slice = visibleSlice(view);
      const { first, last } = slice;
      const { ring } = view.stream;
      const ends = ring.endsView();
      const complete = ring.completeView();
      const { series } = selectSeries(view, slice, config);
      const names = ["window end", "complete", ...series.map(({ label }) => label)];
      table.setColumns(names, 2, (cell, i) => setText(cell, names[i] ?? ""));
      const values = series.map(({ column }) => ({ column, numbers: ring.columnView(column) }));
      text = `${last - first} points of ${series.length} series.`;
      // When it was scrolled, the rows in sight stay in sight.
      if (table.scroller.scrollTop > 0) table.scroller.scrollTop += ROW_HEIGHT * ends.filter((end) => end > newest).length;
      newest = ring.lastEnd;
      table.show(last - first, ({ cells }, i) => {
        const at = last - 1 - i;
        const end = ends[at] ?? Number.NaN;
        const valueOf = (column: number, number: number | undefined): string => {
          const distribution = ring.distribution(end, column);
          return distribution === null ? formatOne(number ?? null, config.unit) : rangeText(distribution, config.unit);
        };
        const texts = [formatMoment(end), complete[at] === 1 ? "yes" : "no", ...values.map(({ column, numbers }) => valueOf(column, numbers[at]))];
        texts.forEach((one, c) => setText(cells[c] as Element, one));
      });
    },
    describe: () => text,
  };
}

/** How many values a distribution has, and between what. */
function rangeText({ count, lower, upper }: Distribution, unit: string): string {
  const [from, to] = formatAll([lower, upper], unit);
  return `${count.toLocaleString("en")} from ${from} to ${to}`;
}
