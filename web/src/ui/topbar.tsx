import type { ComponentChildren } from "preact";
import { keeper } from "../api/token";
import { Button } from "./button";
import { Mark, type IconName } from "./icon";
import { nextTheme, themeChoice, type ThemeChoice } from "./theme";

const THEME_ICONS: Readonly<Record<ThemeChoice, IconName>> = { auto: "auto", light: "sun", dark: "moon" };

function ThemeButton() {
  const choice = themeChoice.value;
  const text = `Theme: ${choice === "auto" ? "as the system" : choice}`;
  return <Button icon={THEME_ICONS[choice]} label={text} onClick={nextTheme} />;
}

/** Sign out where there is a token; sign in where the dialog for one was closed. */
function SignButton() {
  const isSigned = keeper.token.value !== "";
  if (!isSigned && !keeper.declined.value) return null;
  const out = (): void => {
    keeper.forget();
    location.reload(); // Nothing that the token brought stays on the page.
  };
  return (
    <Button look="quiet" onClick={isSigned ? out : () => keeper.signIn()}>
      {isSigned ? "Sign out" : "Sign in"}
    </Button>
  );
}

interface TopBarProps {
  /** Null on the list of dashboards. */
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
        <SignButton />
        <ThemeButton />
      </div>
    </header>
  );
}
