import { computed, signal } from "@preact/signals";
import { device, keep, onOtherTab, recall } from "../api/storage";
import { COLORS, type Theme, type ThemeColors } from "../model/palette";
import { getQuery, setQuery } from "./router";

export type ThemeChoice = "auto" | Theme;

const KEY = "pulseboard.theme";
const CHOICES: readonly ThemeChoice[] = ["auto", "light", "dark"];

function choiceOf(name: string | null): ThemeChoice | undefined {
  return CHOICES.find((choice) => choice === name);
}

const darkSystem = window.matchMedia("(prefers-color-scheme: dark)");
/** The theme in the address, else the one that was chosen on this device. */
export const themeChoice = signal<ThemeChoice>(choiceOf(getQuery("theme")) ?? choiceOf(recall(device, KEY)) ?? "auto");

const isSystemDark = signal(darkSystem.matches);
export const theme = computed<Theme>(() => (themeChoice.value !== "auto" ? themeChoice.value : isSystemDark.value ? "dark" : "light"));

/** Follows the system from now on, and puts the theme on the page. */
export function startTheme(): void {
  darkSystem.addEventListener("change", ({ matches }) => {
    isSystemDark.value = matches;
  });
  onOtherTab(KEY, (name) => {
    themeChoice.value = choiceOf(name) ?? "auto";
  });
  theme.subscribe((name) => {
    document.documentElement.dataset["theme"] = name;
  });
}

export function nextTheme(): void {
  const next = CHOICES[(CHOICES.indexOf(themeChoice.value) + 1) % CHOICES.length] ?? "auto";
  themeChoice.value = next;
  setQuery("theme", null);
  keep(device, KEY, next);
}

/** How large the texts of widgets are, 1 = as usual. A wall display has larger ones. */
export const textScale = signal(1);

/** The colours of the theme for canvases; read again when it changes. */
export function themeColors(name: Theme): ThemeColors {
  const style = getComputedStyle(document.documentElement);
  const colors = Object.fromEntries(COLORS.map((color) => [color, style.getPropertyValue(`--${color}`).trim()]));
  return { name, ...(colors as Record<(typeof COLORS)[number], string>) };
}
