import type { WidgetConfig } from "../model/dashboard";
import { formatMoment } from "../model/format";
import { formatOne } from "../model/number";
import { RowWindow } from "./rows";
import { append, selectSeries, setText, visibleSlice, type Renderer, type WidgetView } from "./widget";

const ROW_HEIGHT = 28;

/** The points of a widget in the time range as a table, the newest first. */
export function pointsTable(config: WidgetConfig): Renderer {
  let window: RowWindow | null = null;
  let root: HTMLElement | null = null;
  let head: HTMLTableRowElement | null = null;
  let signature: string | null = null;
  let columns = 0;
  let newest = Number.NaN;
  let text = "";
  const makeRow = (row: HTMLTableRowElement): void => {
    append(row, "th", "").scope = "row";
    append(row, "td", "");
    for (let i = 0; i < columns; i++) append(row, "td", "number");
  };
  return {
    mount(element) {
      root = append(element, "div", "table-scroll");
      root.tabIndex = 0;
      root.role = "region";
      root.ariaLabel = `${config.title}, points`;
      const table = append(root, "table", "table points");
      head = append(append(table, "thead", ""), "tr", "");
      window = new RowWindow(root, table, append(table, "tbody", ""), ROW_HEIGHT, makeRow);
    },
    resize(_, height) {
      window?.resize(height);
    },
    draw(view: WidgetView) {
      const { from, first, last } = visibleSlice(view);
      const { ring } = view.stream;
      const ends = ring.endsView();
      const complete = ring.completeView();
      const { series } = selectSeries(view, { from, to: 0, first, last }, config);
      const names = ["window end", "complete", ...series.map((one) => one.label)];
      if (signature !== names.join("\n")) {
        signature = names.join("\n");
        columns = series.length;
        window?.clear();
        head?.replaceChildren();
        names.forEach((name, i) => {
          const cell = append(head as HTMLTableRowElement, "th", i > 1 ? "number" : "");
          cell.scope = "col";
          cell.textContent = name;
        });
      }
      const values = series.map((one) => ring.columnView(one.column));
      text = `${last - first} points of ${series.length} series.`;
      // When it was scrolled, the rows in sight stay in sight.
      if (root !== null && root.scrollTop > 0) root.scrollTop += ROW_HEIGHT * ends.filter((end) => end > newest).length;
      newest = ring.lastEnd;
      window?.show(last - first, (row, i) => {
        const at = last - 1 - i;
        const { cells } = row;
        setText(cells[0] as Element, formatMoment(ends[at] ?? Number.NaN));
        setText(cells[1] as Element, complete[at] === 1 ? "yes" : "no");
        values.forEach((column, c) => setText(cells[c + 2] as Element, formatOne(column[at] ?? null, config.unit)));
      });
    },
    describe: () => text,
    destroy() {
      root?.remove();
    },
  };
}
