import { formatShare } from "../../model/format";
import { seriesColor, seriesDash, type Theme } from "../../model/palette";
import { append, setText, show, type Selection } from "../widget";

/** Below this height of the whole widget, in CSS pixels, the plot needs the room of the legend. */
const LEAST_HEIGHT = 120;

interface Entry {
  readonly value: HTMLElement;
  /** Characters of the longest text so far: a value that gets shorter moves nothing. */
  length: number;
}

/**
 * The names of the lines below the plot, each with a value. Its height changes only with the series and the size
 * of the widget, or when a value becomes longer than ever, and not with what the pointer is over.
 */
export class Legend {
  readonly #box: HTMLElement;
  readonly #observer: ResizeObserver;
  #entries: readonly Entry[] = [];

  /** onResize is called when the legend has another height. */
  constructor(parent: HTMLElement, onResize: () => void) {
    this.#box = append(parent, "div", "line-legend");
    this.#observer = new ResizeObserver(onResize);
    this.#observer.observe(this.#box);
  }

  /** height is that of the whole widget, in CSS pixels. */
  resize(height: number): void {
    show(this.#box, height >= LEAST_HEIGHT);
  }

  get height(): number {
    return this.#box.offsetHeight;
  }

  build({ series, total }: Selection, theme: Theme): void {
    this.#box.replaceChildren();
    const share = formatShare(series.length, total);
    // Before the names: a legend that scrolls would hide that lines are missing.
    if (share !== "") append(this.#box, "span", "line-legend-more").textContent = share;
    this.#entries = series.map(({ label, place }) => {
      const item = append(this.#box, "span", "line-legend-item");
      append(item, "span", "line-swatch").style.background = swatch(place, theme);
      const name = append(item, "span", "line-legend-name");
      name.textContent = label;
      name.title = label;
      return { value: append(item, "span", "line-legend-value"), length: 0 };
    });
    // A legend that scrolls must be reachable from the keyboard.
    if (this.#box.scrollHeight > this.#box.clientHeight + 1) this.#box.tabIndex = 0;
    else this.#box.removeAttribute("tabindex");
  }

  /** The values in the order of the series. */
  write(texts: readonly string[]): void {
    this.#entries.forEach((entry, i) => {
      const text = texts[i] ?? "";
      setText(entry.value, text);
      if (text.length <= entry.length) return;
      entry.length = text.length;
      entry.value.style.minWidth = `${text.length}ch`;
    });
  }

  destroy(): void {
    this.#observer.disconnect();
  }
}

/** A line's colour, cut into its dashes. */
function swatch(place: number, theme: Theme): string {
  const color = seriesColor(place, theme);
  const [on, off = 3] = seriesDash(place);
  return on === undefined ? color : `repeating-linear-gradient(90deg, ${color} 0 ${on}px, transparent 0 ${on + off}px)`;
}
