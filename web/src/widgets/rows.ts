import { append } from "./widget";

/**
 * A table that keeps only the rows in sight in the page, however many there are: rows of one height, reused while
 * only their text changes, and an empty one above and below them for the rest. Texts are in its first columns,
 * numbers in the others.
 */
export class RowTable {
  readonly scroller: HTMLElement;
  readonly #table: HTMLTableElement;
  readonly #head: HTMLTableRowElement;
  readonly #above: HTMLTableRowElement;
  readonly #below: HTMLTableRowElement;
  readonly #rowHeight: number;
  readonly #dress: (cells: readonly HTMLElement[]) => void;
  #rows: HTMLTableRowElement[] = [];
  #columns: readonly string[] = [];
  #texts = 0;
  #count = 0;
  #top = 0;
  #height = 0;
  #fill: (row: HTMLTableRowElement, index: number) => void = () => {};

  /** rowHeight is in CSS pixels, the border included; dress is called with the cells of each row that is made. */
  constructor(element: HTMLElement, name: string, rowHeight: number, dress: (cells: readonly HTMLElement[]) => void = () => {}) {
    this.#rowHeight = rowHeight;
    this.#dress = dress;
    this.scroller = append(element, "div", "table-scroll");
    this.scroller.tabIndex = 0;
    this.scroller.role = "region";
    this.scroller.ariaLabel = name;
    this.#table = append(this.scroller, "table", "table");
    this.#table.style.setProperty("--row-height", `${rowHeight}px`);
    this.#head = append(append(this.#table, "thead", ""), "tr", "");
    const body = append(this.#table, "tbody", "");
    this.#above = append(body, "tr", "rows-rest");
    this.#below = append(body, "tr", "rows-rest");
    for (const rest of [this.#above, this.#below]) rest.ariaHidden = "true";
    this.scroller.addEventListener("scroll", () => {
      this.#top = this.scroller.scrollTop;
      this.#draw();
    });
  }

  /** Height of the part that is seen; asking the page for it in each drawing would lay it out each time. */
  resize(height: number): void {
    this.#height = height;
  }

  /** Names the columns, of which the first hold texts. Other ones than before begin anew: head fills their header cells. */
  setColumns(names: readonly string[], texts: number, head: (cell: HTMLTableCellElement, i: number) => void): void {
    if (names.join("\n") === this.#columns.join("\n")) return;
    this.#columns = names;
    this.#texts = texts;
    for (const row of this.#rows) row.remove();
    this.#rows = [];
    this.#head.replaceChildren();
    names.forEach((_, i) => {
      const cell = append(this.#head, "th", i < texts ? "" : "number");
      cell.scope = "col";
      head(cell, i);
    });
  }

  show(count: number, fill: (row: HTMLTableRowElement, index: number) => void): void {
    this.#count = count;
    this.#fill = fill;
    this.#table.ariaRowCount = String(count + 1);
    this.#draw();
  }

  #draw(): void {
    const rows = this.#rows;
    const count = this.#count;
    const most = Math.ceil(this.#height / this.#rowHeight) + 2;
    const first = Math.max(0, Math.min(count - most, Math.floor(this.#top / this.#rowHeight) - 1));
    const shown = Math.min(count - first, most);
    while (rows.length > shown) rows.pop()?.remove();
    while (rows.length < shown) rows.push(this.#makeRow());
    this.#above.style.height = `${first * this.#rowHeight}px`;
    this.#below.style.height = `${(count - first - shown) * this.#rowHeight}px`;
    rows.forEach((row, i) => {
      const index = String(first + i + 2);
      if (row.ariaRowIndex !== index) row.ariaRowIndex = index;
      this.#fill(row, first + i);
    });
  }

  #makeRow(): HTMLTableRowElement {
    const row = document.createElement("tr");
    this.#below.before(row);
    const cells = this.#columns.map((_, i) => append(row, i === 0 ? "th" : "td", i < this.#texts ? "" : "number"));
    cells[0]?.setAttribute("scope", "row");
    this.#dress(cells);
    return row;
  }
}
