import "./table.css";
import type { WidgetConfig } from "../../model/dashboard";
import { formatShare } from "../../model/format";
import { formatAll, formatOne } from "../../model/number";
import { fullScale } from "../../model/range";
import { compareSeries } from "../../model/series";
import { levelOf, levelWord } from "../../model/thresholds";
import { RowWindow } from "../rows";
import { LIMIT, TO } from "../fields";
import { append, extremes, newestValue, selectSeries, setText, show, visibleSlice, type Renderer, type ShownSeries, type WidgetType, type WidgetView } from "../widget";

interface Row {
  readonly series: ShownSeries;
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

/** A border lies below each. */
const ROW_HEIGHT = 32;

type SortKey = { readonly kind: "tag"; readonly tag: string } | { readonly kind: "value" | "low" | "high" };

/** The newest value of each series, with the lowest and highest of the time range. */
export const widgetType: WidgetType = {
  label: "Table",
  size: [4, 4],
  fields: [{ ...TO, label: "Bars are full at" }, LIMIT],
  make: (config, scale) => new Table(config, scale),
};

class Table implements Renderer {
  #root: HTMLElement | null = null;
  #head: HTMLTableRowElement | null = null;
  #foot: HTMLElement | null = null;
  #window: RowWindow | null = null;
  #tags: readonly string[] | null = null;
  #sort: SortKey = { kind: "value" };
  #descending = true;
  #last: WidgetView | null = null;
  #text = "Table, no values yet.";

  readonly #config: WidgetConfig;
  readonly #rowHeight: number;

  constructor(config: WidgetConfig, scale: number) {
    this.#config = config;
    this.#rowHeight = Math.round(ROW_HEIGHT * scale);
  }

  mount(element: HTMLElement): void {
    this.#root = append(element, "div", "table-scroll");
    this.#root.tabIndex = 0;
    this.#root.setAttribute("role", "region");
    this.#root.setAttribute("aria-label", `${this.#config.title}, table`);
    const table = append(this.#root, "table", "table");
    table.style.setProperty("--row-height", `${this.#rowHeight}px`);
    this.#head = append(append(table, "thead", ""), "tr", "");
    this.#window = new RowWindow(this.#root, table, append(table, "tbody", ""), this.#rowHeight, (row) => this.#makeRow(row));
    this.#foot = append(element, "div", "table-more");
  }

  resize(_: number, height: number): void {
    this.#window?.resize(height);
  }

  draw(view: WidgetView): void {
    this.#last = view;
    const slice = visibleSlice(view);
    const selection = selectSeries(view, slice, this.#config);
    this.#buildHead(this.#tagNames(selection.series));
    const { unit } = this.#config;
    const full = this.#config.y.max ?? fullScale(this.#config.unit, Math.max(0, selection.max));
    const rows = selection.series.map((series): Row => {
      const values = view.stream.ring.columnView(series.column);
      const { low, high } = extremes(values, slice);
      return { series, value: newestValue(view.stream, series.column), low: low > high ? null : low, high: low > high ? null : high };
    });
    this.#order(rows);
    const texts = formatAll(rows.map((row) => row.value), unit);
    const tags = this.#tags ?? [];
    this.#window?.show(rows.length, (element, i) => {
      const row = rows[i];
      const { cells } = element;
      const [bar, value] = cells[tags.length]?.children ?? [];
      if (row === undefined || !(bar instanceof HTMLElement) || !(value instanceof HTMLElement)) return;
      tags.forEach((tag, column) => setText(cells[column] ?? element, tag === "" ? row.series.label : row.series.tags[tag] || "–"));
      const level = levelOf(row.value, this.#config.steps);
      setText(value, texts[i] ?? "");
      element.dataset["level"] = level;
      value.title = level === "ok" ? "" : levelWord(level);
      bar.style.transform = `scaleX(${Math.min(1, Math.max(0, (row.value ?? 0) / full)).toFixed(4)})`;
      setText(cells[tags.length + 1] ?? element, formatOne(row.low, unit));
      setText(cells[tags.length + 2] ?? element, formatOne(row.high, unit));
    });
    if (this.#foot !== null) {
      show(this.#foot, selection.total > selection.series.length);
      setText(this.#foot, formatShare(selection.series.length, selection.total));
    }
    const first = rows[0];
    this.#text =
      first === undefined
        ? "Table, no values in this time range."
        : `Table of ${selection.total} series. First row: ${first.series.label} ${formatOne(first.value, unit)}.`;
  }

  describe(): string {
    return this.#text;
  }

  destroy(): void {
    this.#root?.remove();
    this.#foot?.remove();
    this.#root = null;
  }

  #tagNames(series: readonly ShownSeries[]): string[] {
    const names = new Set<string>(this.#config.groupBy);
    if (names.size === 0) for (const one of series) for (const name of Object.keys(one.tags)) names.add(name);
    return names.size === 0 ? [""] : [...names];
  }

  #buildHead(tags: readonly string[]): void {
    if (this.#head === null || (this.#tags !== null && this.#tags.join("\n") === tags.join("\n"))) return;
    this.#tags = tags;
    this.#window?.clear();
    this.#head.replaceChildren();
    for (const tag of tags) this.#addHead(tag === "" ? "series" : tag, { kind: "tag", tag }, false);
    this.#addHead(this.#config.aggregation, { kind: "value" }, true);
    this.#addHead("lowest", { kind: "low" }, true);
    this.#addHead("highest", { kind: "high" }, true);
    this.#markSort();
  }

  #addHead(text: string, key: SortKey, number: boolean): void {
    if (this.#head === null) return;
    const cell = append(this.#head, "th", number ? "number" : "");
    cell.scope = "col";
    cell.dataset["sort"] = key.kind === "tag" ? `tag ${key.tag}` : key.kind;
    const button = append(cell, "button", "table-sort");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => this.#sortBy(key));
  }

  #sortBy(key: SortKey): void {
    const same = sortName(this.#sort) === sortName(key);
    this.#descending = same ? !this.#descending : key.kind !== "tag";
    this.#sort = key;
    this.#markSort();
    if (this.#last !== null) this.draw(this.#last);
  }

  #markSort(): void {
    for (const cell of this.#head?.children ?? []) {
      const active = cell instanceof HTMLElement && cell.dataset["sort"] === sortName(this.#sort);
      cell.setAttribute("aria-sort", active ? (this.#descending ? "descending" : "ascending") : "none");
    }
  }

  #order(rows: Row[]): void {
    const sort = this.#sort;
    const direction = this.#descending ? -1 : 1;
    rows.sort((a, b) => {
      if (sort.kind === "tag") return direction * compareSeries(pickTag(a, sort.tag), pickTag(b, sort.tag)) || compareSeries(a.series.tags, b.series.tags);
      const [x, y] = [a[sort.kind], b[sort.kind]];
      // Series without a value stay at the end, whichever way the rest is sorted.
      if (x === null || y === null) return x === y ? compareSeries(a.series.tags, b.series.tags) : x === null ? 1 : -1;
      return direction * (x - y) || compareSeries(a.series.tags, b.series.tags);
    });
  }

  #makeRow(row: HTMLTableRowElement): void {
    this.#tags?.forEach((_, i) => {
      const cell = append(row, i === 0 ? "th" : "td", "table-tag");
      if (i === 0) cell.setAttribute("scope", "row");
    });
    const main = append(row, "td", "number table-value");
    append(main, "span", "table-bar");
    append(main, "span", "table-number");
    append(row, "td", "number table-side");
    append(row, "td", "number table-side");
  }
}

function sortName(key: SortKey): string {
  return key.kind === "tag" ? `tag ${key.tag}` : key.kind;
}

function pickTag(row: Row, tag: string): Readonly<Record<string, string>> {
  return { [tag]: row.series.tags[tag] ?? "" };
}
