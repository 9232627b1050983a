import "./gauge.css";
import type { WidgetConfig } from "../../model/dashboard";
import { formatAxis, formatNumber, scaleFor } from "../../model/number";
import { fullScale } from "../../model/range";
import { FROM, TO } from "../fields";
import { headline, setText, type Renderer, type WidgetType } from "../widget";

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
  make: gauge,
};

function svg<K extends keyof SVGElementTagNameMap>(parent: Element, tag: K, attributes: Record<string, string>): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag);
  setAttributes(element, attributes);
  parent.append(element);
  return element;
}

/** Writes only what differs: an attribute that is written makes the browser compute styles again. */
function setAttributes(element: Element, attributes: Record<string, string>): void {
  for (const [name, value] of Object.entries(attributes)) if (element.getAttribute(name) !== value) element.setAttribute(name, value);
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

function gauge(element: HTMLElement, config: WidgetConfig): Renderer {
  const { title, y, unit, steps } = config;
  const root = svg(element, "svg", { class: "gauge", viewBox: "0 6 200 156", role: "meter", "aria-label": title });
  svg(root, "path", { class: "gauge-track", d: arc(RADIUS, 0, 1) });
  const fill = svg(root, "path", { class: "gauge-fill", d: arc(RADIUS, 0, 1), pathLength: "100", "data-empty": "yes" });
  const bands = svg(root, "g", {});
  const number = svg(root, "text", { class: "gauge-number", x: "100", y: "108" });
  const suffix = svg(root, "text", { class: "gauge-unit", x: "100", y: "126" });
  const note = svg(root, "text", { class: "gauge-note", x: "100", y: "148" });
  const lowLabel = svg(root, "text", { class: "gauge-end", x: "30", y: "158" });
  const highLabel = svg(root, "text", { class: "gauge-end", x: "170", y: "158" });
  let low = 0;
  let high = 0;
  let drawnScale = "";
  let text = "";

  const part = (value: number): number => Math.min(1, Math.max(0, (value - low) / (high - low)));
  const drawBands = (): void => {
    if (drawnScale === `${low}|${high}`) return;
    drawnScale = `${low}|${high}`;
    bands.replaceChildren();
    steps.forEach(({ at, level }, i) => {
      const from = part(at);
      const to = part(steps[i + 1]?.at ?? high);
      if (to > from) svg(bands, "path", { class: "gauge-band", d: arc(RADIUS + 13, from + (from > 0 ? 0.006 : 0), to), "data-level": level });
    });
  };
  return {
    draw(view) {
      const now = headline(view, config);
      // Without fixed ends the scale only grows, so that the same arc keeps its meaning. It begins at 0 until a value is below.
      const values = [now.value ?? 0, ...steps.map(({ at }) => at)];
      const lowest = Math.min(...values);
      low = y.min ?? Math.min(low, lowest < 0 ? -fullScale("", -lowest) : 0);
      const highest = Math.max(...values);
      high = y.max ?? Math.max(high, highest > 0 || low === 0 ? fullScale(unit, highest) : 0);
      if (high <= low) high = low + 1;
      drawBands();

      const filled = now.value === null ? 0 : part(now.value);
      setAttributes(fill, {
        "stroke-dasharray": `${(100 * filled).toFixed(2)} 200`,
        "data-level": steps.length > 0 ? now.level : "none",
        "data-empty": filled === 0 ? "yes" : "no",
      });
      const scale = scaleFor(unit, now.value ?? high);
      const [first = "", last = ""] = formatAxis([low, high], unit);
      const digits = formatNumber(now.value, scale);
      setText(number, digits);
      // A long number is smaller, to stay within the arc.
      setAttributes(number, { "font-size": `${Math.min(36, 190 / digits.length)}` });
      setText(suffix, scale.suffix.trim());
      setText(note, now.note);
      setAttributes(note, { "data-level": now.level });
      setText(lowLabel, first);
      setText(highLabel, last);
      setAttributes(root, { "aria-valuemin": `${low}`, "aria-valuemax": `${high}`, "aria-valuenow": `${now.value ?? low}`, "aria-valuetext": now.words });
      text = `Gauge from ${first} to ${last}: ${now.words}.`;
    },
    describe: () => text,
  };
}
