import { computed, signal } from "@preact/signals";
import type { Theme } from "../model/palette";
import type { ThemeColors } from "../widgets/widget";

export type ThemeChoice = "auto" | Theme;

const KEY = "pulseboard.theme";
const CHOICES: readonly ThemeChoice[] = ["auto", "light", "dark"];

function stored(): ThemeChoice {
  try {
    return CHOICES.find((choice) => choice === localStorage.getItem(KEY)) ?? "auto";
  } catch {
    return "auto"; // A browser may forbid storage; the page works without.
  }
}

const darkSystem = window.matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(darkSystem.matches);

export const themeChoice = signal<ThemeChoice>(stored());

export const theme = computed<Theme>(() => (themeChoice.value === "auto" ? (systemDark.value ? "dark" : "light") : themeChoice.value));

/** Follows the system from now on, and puts the theme on the page. */
export function startTheme(): void {
  darkSystem.addEventListener("change", (event) => {
    systemDark.value = event.matches;
  });
  theme.subscribe((name) => {
    document.documentElement.dataset["theme"] = name;
  });
}

export function nextTheme(): void {
  const next = CHOICES[(CHOICES.indexOf(themeChoice.value) + 1) % CHOICES.length] ?? "auto";
  themeChoice.value = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Not remembered, then.
  }
}

/** The colours of the page for canvases; read again when the theme changes. */
export function themeColors(name: Theme): ThemeColors {
  const style = getComputedStyle(document.documentElement);
  const read = (variable: string): string => style.getPropertyValue(variable).trim();
  return {
    name,
    text: read("--text"),
    muted: read("--muted"),
    grid: read("--line"),
    panel: read("--panel"),
    accent: read("--accent"),
    ok: read("--ok"),
    warn: read("--warn"),
    crit: read("--crit"),
  };
}
