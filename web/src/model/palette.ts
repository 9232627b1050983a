import { compareSeries, seriesKey, type Tags } from "./series";

export type Theme = "light" | "dark";

/** The CSS variables (styles/tokens.css) whose colours are needed on canvases. */
export const COLORS = ["muted", "line", "panel", "accent", "ok", "warn", "crit"] as const;

/** The colours of the theme in use, for what is drawn on a canvas. */
export type ThemeColors = { readonly name: Theme } & Readonly<Record<(typeof COLORS)[number], string>>;

/**
 * Okabe and Ito's eight colours, which people with any colour vision can tell apart, darkened or lightened until each has a
 * contrast of 3:1 to the panel of its theme.
 */
const CATEGORICAL: Record<Theme, readonly string[]> = {
  light: ["#0059a8", "#d03a00", "#00845f", "#b0468c", "#bd7a00", "#2f97d0", "#6f7f00", "#5f6875"],
  dark: ["#4aa3f0", "#ff8a45", "#2cc79b", "#e394c2", "#e8ab2e", "#86cdf7", "#efe365", "#a9b2c0"],
};

/** Second cue beside the colour, once all colours are in use. In CSS pixels. */
const DASHES: readonly (readonly number[])[] = [[], [6, 3], [2, 3], [8, 3, 2, 3]];

export function seriesColor(index: number, theme: Theme): string {
  const colors = CATEGORICAL[theme];
  return colors[index % colors.length] ?? "#888888";
}

export function seriesDash(index: number): readonly number[] {
  return DASHES[Math.floor(index / CATEGORICAL.light.length) % DASHES.length] ?? [];
}

/**
 * Gives each series its place in the palette, the same one in every widget of the page: host=a is blue wherever it shows up.
 * Places are counted per set of tag names, so that cores and network interfaces both begin with the first.
 */
export class ColorRegistry {
  readonly #places = new Map<string, number>();
  readonly #counts = new Map<string, number>();

  /** Places of all series of a widget. New ones are counted in reading order. */
  placesOf(series: readonly Tags[]): number[] {
    const fresh = series.filter((tags) => !this.#places.has(seriesKey(tags))).sort(compareSeries);
    for (const tags of fresh) {
      const names = Object.keys(tags).sort().join(",");
      const count = this.#counts.get(names) ?? 0;
      this.#places.set(seriesKey(tags), count);
      this.#counts.set(names, count + 1);
    }
    return series.map((tags) => this.#places.get(seriesKey(tags)) ?? 0);
  }
}

export type Rgb = readonly [number, number, number];

const SEQUENTIAL: Record<string, readonly string[]> = {
  viridis: ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"],
  cividis: ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#fee838"],
};

export function parseHex(hex: string): Rgb {
  const n = Number.parseInt(hex.slice(1), 16);
  return [(n >> 16) & 255, (n >> 8) & 255, n & 255];
}

/** 256 colours as ImageData wants them (little-endian ABGR), from low to high, or from high to low. */
export function lookupTable(scheme: string, reversed = false): Uint32Array<ArrayBuffer> {
  const stops = (SEQUENTIAL[scheme] ?? SEQUENTIAL["viridis"] ?? []).map(parseHex);
  if (reversed) stops.reverse();
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const low = stops[Math.floor(at)] ?? [0, 0, 0];
    const high = stops[Math.ceil(at)] ?? low;
    const part = at - Math.floor(at);
    const channel = (c: 0 | 1 | 2): number => Math.round(low[c] + (high[c] - low[c]) * part);
    table[i] = ((255 << 24) | (channel(2) << 16) | (channel(1) << 8) | channel(0)) >>> 0;
  }
  return table;
}
