import "./table.css";
import type { WidgetConfig } from "../../model/dashboard";
import { formatShare } from "../../model/format";
import { ABSENT, formatAll, formatOne } from "../../model/number";
import { fullScale } from "../../model/range";
import { compareSeries } from "../../model/series";
import { levelOf, levelWord } from "../../model/thresholds";
import { LIMIT, TO } from "../fields";
import { RowTable } from "../rows";
import { append, selectSeries, setText, show, visibleSlice, type Renderer, type ShownSeries, type WidgetType, type WidgetView } from "../widget";

/** A border lies below each row. */
const ROW_HEIGHT = 32;

/** The newest value of each series, with the lowest and highest of the time range. */
export const widgetType: WidgetType = {
  label: "Table",
  size: [4, 4],
  fields: [{ ...TO, label: "Bars are full at" }, LIMIT],
  make: (element, config, scale) => new Table(element, config, scale),
};

/** The columns after those of the tags. */
const NUMBERS = ["newest", "low", "high"] as const;

class Table implements Renderer {
  readonly #config: WidgetConfig;
  /** Those of the first columns; "" for the name of the only series. */
  readonly #tags: readonly string[];
  readonly #table: RowTable;
  readonly #heads: HTMLElement[] = [];
  readonly #foot: HTMLElement;
  /** The column that rows are sorted by. */
  #sorted: number;
  #descending = true;
  #last: WidgetView | null = null;
  #text = "";

  constructor(element: HTMLElement, config: WidgetConfig, scale: number) {
    this.#config = config;
    this.#tags = config.groupBy.length > 0 ? config.groupBy : [""];
    this.#sorted = this.#tags.length;
    this.#table = new RowTable(element, `${config.title}, table`, Math.round(ROW_HEIGHT * scale), (cells) => this.#dress(cells));
    const names = [...this.#tags.map((tag) => tag || "series"), config.aggregation, "lowest", "highest"];
    this.#table.setColumns(names, this.#tags.length, (cell, i) => {
      this.#heads.push(cell);
      const button = append(cell, "button", "table-sort");
      button.type = "button";
      button.textContent = names[i] ?? "";
      button.addEventListener("click", () => this.#sortBy(i));
    });
    this.#foot = append(element, "div", "table-more");
    this.#markSort();
  }

  resize(_: number, height: number): void {
    this.#table.resize(height);
  }

  draw(view: WidgetView): void {
    this.#last = view;
    const { unit, y, steps } = this.#config;
    const { series, total, max } = selectSeries(view, visibleSlice(view), this.#config);
    const full = y.max ?? fullScale(unit, Math.max(0, max));
    const rows = this.#order(series);
    const texts = formatAll(rows.map(({ newest }) => newest), unit);
    const tags = this.#tags;
    this.#table.show(rows.length, (element, i) => {
      const row = rows[i];
      const { cells } = element;
      const [bar, value] = cells[tags.length]?.children ?? [];
      if (row === undefined || !(bar instanceof HTMLElement) || !(value instanceof HTMLElement)) return;
      tags.forEach((tag, column) => setText(cells[column] ?? element, tag === "" ? row.label : row.tags[tag] || ABSENT));
      const level = levelOf(row.newest, steps);
      setText(value, texts[i] ?? "");
      element.dataset["level"] = level;
      value.title = level === "ok" ? "" : levelWord(level);
      bar.style.transform = `scaleX(${Math.min(1, Math.max(0, (row.newest ?? 0) / full)).toFixed(4)})`;
      setText(cells[tags.length + 1] ?? element, formatOne(row.low, unit));
      setText(cells[tags.length + 2] ?? element, formatOne(row.high, unit));
    });
    show(this.#foot, total > series.length);
    setText(this.#foot, formatShare(series.length, total));
    const [first] = rows;
    this.#text = first === undefined ? "Table, no values in this time range." : `Table of ${total} series. First row: ${first.label} ${formatOne(first.newest, unit)}.`;
  }

  describe(): string {
    return this.#text;
  }

  #sortBy(column: number): void {
    this.#descending = column === this.#sorted ? !this.#descending : column >= this.#tags.length;
    this.#sorted = column;
    this.#markSort();
    if (this.#last !== null) this.draw(this.#last);
  }

  #markSort(): void {
    for (const [i, head] of this.#heads.entries()) head.ariaSort = i !== this.#sorted ? "none" : this.#descending ? "descending" : "ascending";
  }

  #order(series: readonly ShownSeries[]): ShownSeries[] {
    const tag = this.#tags[this.#sorted] ?? "";
    const number = NUMBERS[this.#sorted - this.#tags.length];
    const direction = this.#descending ? -1 : 1;
    const compare = (a: ShownSeries, b: ShownSeries): number => {
      if (number === undefined) return direction * compareSeries({ [tag]: a.tags[tag] ?? "" }, { [tag]: b.tags[tag] ?? "" });
      const [x, y] = [a[number], b[number]];
      // Series without a value stay at the end, whichever way the rest is sorted.
      return x === null || y === null ? Number(x === null) - Number(y === null) : direction * (x - y);
    };
    return [...series].sort((a, b) => compare(a, b) || compareSeries(a.tags, b.tags));
  }

  #dress(cells: readonly HTMLElement[]): void {
    cells.forEach((cell, i) => {
      if (i < this.#tags.length) cell.classList.add("table-tag");
    });
    const value = cells[this.#tags.length];
    if (value === undefined) return;
    value.classList.add("table-value");
    append(value, "span", "table-bar");
    append(value, "span", "table-number");
  }
}
