import { append } from "./widget";

/**
 * Keeps only the rows in sight in the page, however many there are: rows of
 * one height, reused while only their text changes, and an empty one above and
 * below them for the rest.
 */
export class RowWindow {
  readonly #rows: HTMLTableRowElement[] = [];
  readonly #above: HTMLTableRowElement;
  readonly #below: HTMLTableRowElement;
  #count = 0;
  #top = 0;
  #height = 0;
  #fill: (row: HTMLTableRowElement, index: number) => void = () => {};

  readonly #table: HTMLTableElement;
  readonly #rowHeight: number;
  readonly #make: (row: HTMLTableRowElement) => void;

  constructor(
    scroller: HTMLElement,
    table: HTMLTableElement,
    body: HTMLTableSectionElement,
    /** In CSS pixels, the border included. */
    rowHeight: number,
    make: (row: HTMLTableRowElement) => void,
  ) {
    this.#table = table;
    this.#rowHeight = rowHeight;
    this.#make = make;
    this.#above = append(body, "tr", "rows-rest");
    this.#below = append(body, "tr", "rows-rest");
    for (const rest of [this.#above, this.#below]) rest.ariaHidden = "true";
    scroller.addEventListener("scroll", () => {
      this.#top = scroller.scrollTop;
      this.#draw();
    });
  }

  /** Of the part that is seen; asking the page for it in each drawing would lay it out each time. */
  resize(height: number): void {
    this.#height = height;
  }

  show(count: number, fill: (row: HTMLTableRowElement, index: number) => void): void {
    this.#count = count;
    this.#fill = fill;
    this.#table.ariaRowCount = String(count + 1);
    this.#draw();
  }

  /** Other columns: the rows are made anew. */
  clear(): void {
    for (const row of this.#rows) row.remove();
    this.#rows.length = 0;
  }

  #draw(): void {
    const rowHeight = this.#rowHeight;
    const rows = this.#rows;
    const count = this.#count;
    const most = Math.ceil(this.#height / rowHeight) + 2;
    const first = Math.max(0, Math.min(count - most, Math.floor(this.#top / rowHeight) - 1));
    const shown = Math.min(count - first, most);
    while (rows.length > shown) rows.pop()?.remove();
    while (rows.length < shown) {
      const row = document.createElement("tr");
      this.#below.before(row);
      this.#make(row);
      rows.push(row);
    }
    this.#above.style.height = `${first * rowHeight}px`;
    this.#below.style.height = `${(count - first - shown) * rowHeight}px`;
    rows.forEach((row, i) => {
      const index = String(first + i + 2);
      if (row.ariaRowIndex !== index) row.ariaRowIndex = index;
      this.#fill(row, first + i);
    });
  }
}
