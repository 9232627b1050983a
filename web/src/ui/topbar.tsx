import type { ComponentChildren } from "preact";
import { Icon, Mark, type IconName } from "./icon";
import { nextTheme, themeChoice, type ThemeChoice } from "./theme";

const THEME_ICONS: Readonly<Record<ThemeChoice, IconName>> = { auto: "auto", light: "sun", dark: "moon" };

function ThemeButton() {
  const choice = themeChoice.value;
  const text = `Theme: ${choice === "auto" ? "as the system" : choice}`;
  return (
    <button type="button" class="button button-icon" onClick={nextTheme} aria-label={text} title={text}>
      <Icon name={THEME_ICONS[choice]} />
    </button>
  );
}

interface TopBarProps {
  /** Null on the page that is the top. */
  readonly title: string | null;
  readonly children?: ComponentChildren;
}

export function TopBar({ title, children }: TopBarProps) {
  return (
    <header class="topbar">
      <a class="skip" href="#main">
        Skip to content
      </a>
      <a class="brand" href="/" aria-label="Pulseboard, all dashboards">
        <Mark />
        <span class="brand-name">Pulseboard</span>
      </a>
      {title === null ? null : (
        <>
          <span class="crumb" aria-hidden="true">
            /
          </span>
          <h1 class="topbar-title" title={title}>
            {title}
          </h1>
        </>
      )}
      <span class="topbar-space" />
      <div class="topbar-tools">
        {children}
        <ThemeButton />
      </div>
    </header>
  );
}
