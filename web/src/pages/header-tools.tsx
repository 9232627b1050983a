import { useEffect, useState } from "preact/hooks";
import type { Dashboard, Variable } from "../api/types";
import type { LiveSession } from "../live/session";
import { DEFAULT_RANGE, RANGES, type RangeName } from "../model/dashboard";
import { valuesOf } from "../model/series";
import { Button } from "../ui/button";
import { copy } from "../ui/copy";
import { Icon } from "../ui/icon";
import { editPath, getQuery, setQuery } from "../ui/router";
import { toggleZone, utc } from "../ui/zone";

export function PauseButton({ session }: { readonly session: LiveSession }) {
  const paused = session.paused.value;
  const text = paused ? "Go on with live values" : "Pause";
  const toggle = (): void => {
    session.setPaused(!paused);
    setQuery("paused", paused ? null : "1");
  };
  return <Button icon={paused ? "play" : "pause"} label={text} onClick={toggle} />;
}

const RANGE_NAMES = Object.keys(RANGES) as RangeName[];

export function rangeName(): RangeName {
  return RANGE_NAMES.find((name) => name === getQuery("window")) ?? DEFAULT_RANGE;
}

export function Ranges({ session }: { readonly session: LiveSession }) {
  const [chosen, setChosen] = useState(rangeName);
  const choose = (name: RangeName): void => {
    setChosen(name);
    setQuery("window", name === DEFAULT_RANGE ? null : name);
    session.range.value = RANGES[name];
  };
  return (
    <div class="segments" role="group" aria-label="Time range">
      {RANGE_NAMES.map((name) => (
        <button key={name} type="button" class="segment" title={name === "all" ? "As far back as there is" : `The last ${name.replace("m", name === "1m" ? " minute" : " minutes")}`} aria-pressed={name === chosen} onClick={() => choose(name)}>
          {name}
        </button>
      ))}
    </div>
  );
}

/** Shown only while times are in UTC, which viewers may not expect; it turns that off. */
export function ZoneButton() {
  if (!utc.value) return null;
  return (
    <Button look="quiet" title="Times are in UTC; click for those of this device" onClick={toggleZone}>
      UTC
    </Button>
  );
}

export function EditLinks({ id }: { readonly id: string }) {
  return (
    <>
      <a class="button" href={editPath(id)} title="Edit">
        <Icon name="edit" />
        <span class="button-text">Edit</span>
      </a>
      <a class="button" href={editPath(id, "new")} title="Add a widget">
        <Icon name="plus" />
        <span class="button-text">Widget</span>
      </a>
    </>
  );
}

/** Takes the choices of variables from the address. */
export function useChoice(variables: readonly Variable[], session: LiveSession): void {
  useEffect(() => {
    session.choice.value = Object.fromEntries(variables.map(({ name, tag }) => [tag, getQuery(`var-${name}`) ?? ""]).filter(([, value]) => value !== ""));
  }, [session, JSON.stringify(variables)]);
}

/** One picker for each variable: which of the series that have its tag are shown. */
export function Variables({ variables, session }: { readonly variables: readonly Variable[]; readonly session: LiveSession }) {
  // Drawn again when there may be other series.
  void session.revision.value;
  const choice = session.choice.value;
  return (
    <div class="variables">
      {variables.map(({ name, tag }) => {
        const chosen = choice[tag] ?? "";
        const choose = (value: string): void => {
          const { [tag]: _, ...others } = choice;
          session.choice.value = value === "" ? others : { ...others, [tag]: value };
          setQuery(`var-${name}`, value || null);
        };
        return (
          <label key={name} class="variable">
            <span>{name}</span>
            <select class="input" value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
              <option value="">all</option>
              {valuesOf(tag, chosen, session.store.all()).map((value) => (
                <option key={value} value={value}>
                  {value}
                </option>
              ))}
            </select>
          </label>
        );
      })}
    </div>
  );
}

function download({ title, ...rest }: Dashboard): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify({ title, ...rest }, null, 2)], { type: "application/json" }));
  link.download = `${title.replace(/[^\p{L}\p{N}]+/gu, "-") || "dashboard"}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** The menu of what is not needed every day. */
export function More({ dashboard, onKiosk }: { readonly dashboard: Dashboard; onKiosk(): void }) {
  const item = (text: string, run: () => void) => (
    <Button look="quiet" popoverTarget="more" popoverTargetAction="hide" onClick={run}>
      {text}
    </Button>
  );
  return (
    <>
      <Button icon="more" label="More" popoverTarget="more" />
      <div class="menu" id="more" popover="auto">
        {item("Copy link", () => void copy(location.href, "Link copied. It opens the page as you see it."))}
        {item("Export as JSON", () => download(dashboard))}
        {item("Wall display", onKiosk)}
        {item(utc.value ? "Times of this device" : "Times in UTC", toggleZone)}
        <a class="button button-quiet" href="/status">
          Status
        </a>
      </div>
    </>
  );
}
