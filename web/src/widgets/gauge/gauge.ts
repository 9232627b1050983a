import "./gauge.css";
import type { WidgetConfig } from "../../model/dashboard";
import { formatAxis, formatNumber, formatOne, scaleFor } from "../../model/number";
import { fullScale } from "../../model/range";
import { levelOf, levelWord, type Level } from "../../model/thresholds";
import { FROM, TO } from "../fields";
import { headline, setText, type Renderer, type WidgetType, type WidgetView } from "../widget";

const SVG = "http://www.w3.org/2000/svg";
const CENTER = 100;
const RADIUS = 78;
/** Degrees from straight up to each end of the arc. */
const SPAN = 120;

/** One value on an arc, with its thresholds around it. */
export const widgetType: WidgetType = {
  label: "Gauge",
  size: [3, 3],
  fields: [FROM, TO],
  make: (config) => new Gauge(config),
};

function svg<K extends keyof SVGElementTagNameMap>(parent: Element, tag: K, attributes: Record<string, string>): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

/** The arc between two parts (0 to 1) of the gauge. */
function arc(radius: number, from: number, to: number): string {
  const at = (part: number): [string, string] => {
    const angle = ((-SPAN + 2 * SPAN * part) * Math.PI) / 180;
    return [(CENTER + radius * Math.sin(angle)).toFixed(2), (CENTER - radius * Math.cos(angle)).toFixed(2)];
  };
  const [x0, y0] = at(from);
  const [x1, y1] = at(to);
  const large = (to - from) * 2 * SPAN > 180 ? 1 : 0;
  return `M${x0} ${y0}A${radius} ${radius} 0 ${large} 1 ${x1} ${y1}`;
}

class Gauge implements Renderer {
  #root: SVGSVGElement | null = null;
  #fill: SVGPathElement | null = null;
  #bands: SVGGElement | null = null;
  #number: SVGTextElement | null = null;
  #unit: SVGTextElement | null = null;
  #note: SVGTextElement | null = null;
  #lowLabel: SVGTextElement | null = null;
  #highLabel: SVGTextElement | null = null;
  #low = 0;
  #high = 0;
  #drawnScale = "";
  #text = "Gauge, no value yet.";

  readonly #config: WidgetConfig;

  constructor(config: WidgetConfig) {
    this.#config = config;
  }

  mount(element: HTMLElement): void {
    const root = svg(element, "svg", { class: "gauge", viewBox: "0 6 200 156", role: "meter", "aria-label": this.#config.title });
    this.#root = root;
    svg(root, "path", { class: "gauge-track", d: arc(RADIUS, 0, 1) });
    this.#fill = svg(root, "path", { class: "gauge-fill", d: arc(RADIUS, 0, 1), pathLength: "100", "stroke-dasharray": "0 200", "data-empty": "yes" });
    this.#bands = svg(root, "g", { class: "gauge-bands" });
    this.#number = svg(root, "text", { class: "gauge-number", x: "100", y: "108" });
    this.#unit = svg(root, "text", { class: "gauge-unit", x: "100", y: "126" });
    this.#note = svg(root, "text", { class: "gauge-note", x: "100", y: "148" });
    this.#lowLabel = svg(root, "text", { class: "gauge-end", x: "30", y: "158", "text-anchor": "middle" });
    this.#highLabel = svg(root, "text", { class: "gauge-end", x: "170", y: "158", "text-anchor": "middle" });
  }

  resize(): void {
    // The SVG fits itself into its box.
  }

  draw(view: WidgetView): void {
    const { y, unit, steps } = this.#config;
    const { value, label } = headline(view, this.#config);
    // Without fixed ends the scale only grows, so that the same arc keeps its meaning. It begins at 0 until a value is below.
    const lowest = Math.min(value ?? 0, ...steps.map((step) => step.at));
    this.#low = y.min ?? Math.min(this.#low, lowest < 0 ? -fullScale("", -lowest) : 0);
    const low = this.#low;
    const highest = Math.max(value ?? 0, ...steps.map((step) => step.at));
    this.#high = y.max ?? Math.max(this.#high, highest > 0 || low === 0 ? fullScale(unit, highest) : 0);
    const high = this.#high > low ? this.#high : low + 1;
    const level = levelOf(value, steps);
    this.#drawScale(low, high);

    const part = value === null ? 0 : Math.min(1, Math.max(0, (value - low) / (high - low)));
    const drawn = part <= 0 ? "0 200" : `${(100 * part).toFixed(2)} 200`;
    if (this.#fill?.getAttribute("stroke-dasharray") !== drawn) this.#fill?.setAttribute("stroke-dasharray", drawn);
    if (this.#fill !== null) this.#fill.dataset["level"] = steps.length > 0 ? level : "none";
    if (this.#fill !== null) this.#fill.dataset["empty"] = part <= 0 ? "yes" : "no";

    const scale = scaleFor(unit, value ?? high);
    const note = [label, level === "ok" ? "" : levelWord(level)].filter((word) => word !== "").join(" · ");
    if (this.#number !== null) setText(this.#number, formatNumber(value, scale));
    if (this.#unit !== null) setText(this.#unit, scale.suffix.trim());
    if (this.#note !== null) {
      setText(this.#note, note);
      this.#note.dataset["level"] = level;
    }
    this.#announce(value, low, high, formatOne(value, unit), level, label);
  }

  describe(): string {
    return this.#text;
  }

  destroy(): void {
    this.#root?.remove();
    this.#root = null;
  }

  #drawScale(low: number, high: number): void {
    const signature = `${low}|${high}`;
    if (signature === this.#drawnScale || this.#bands === null) return;
    this.#drawnScale = signature;
    const { unit, steps } = this.#config;
    const [first = "", last = ""] = formatAxis([low, high], unit);
    if (this.#lowLabel !== null) setText(this.#lowLabel, first);
    if (this.#highLabel !== null) setText(this.#highLabel, last);
    this.#bands.replaceChildren();
    const part = (at: number): number => Math.min(1, Math.max(0, (at - low) / (high - low)));
    steps.forEach((step, i) => {
      const from = part(step.at);
      const to = part(steps[i + 1]?.at ?? high);
      if (to <= from || this.#bands === null) return;
      svg(this.#bands, "path", { class: "gauge-band", d: arc(RADIUS + 13, from + (from > 0 ? 0.006 : 0), to), "data-level": step.level });
    });
  }

  #announce(value: number | null, low: number, high: number, text: string, level: Level, label: string): void {
    this.#root?.setAttribute("aria-valuemin", String(low));
    this.#root?.setAttribute("aria-valuemax", String(high));
    this.#root?.setAttribute("aria-valuenow", String(value ?? low));
    const words = `${label === "" ? "" : `${label}: `}${value === null ? "no value" : text}${level === "ok" ? "" : `, ${levelWord(level)}`}`;
    this.#root?.setAttribute("aria-valuetext", words);
    const [first, last] = formatAxis([low, high], this.#config.unit);
    this.#text = `Gauge from ${first} to ${last}: ${words}.`;
  }
}
