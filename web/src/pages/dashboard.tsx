import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, getDashboard, streamAddress, type Versioned } from "../api/client";
import type { Dashboard, Widget } from "../api/types";
import { LiveSession } from "../live/session";
import { browserWorld } from "../live/socket";
import { DEFAULT_RANGE, RANGES, rangeMs, widgetPosition } from "../model/dashboard";
import { arrange } from "../model/layout";
import { ColorRegistry } from "../model/palette";
import { getQuery, setQuery } from "../router";
import { Icon } from "../ui/icon";
import { LivePill } from "../ui/pill";
import { theme, themeColors } from "../ui/theme";
import { TopBar } from "../ui/topbar";
import { WidgetFrame, type SharedView } from "../widgets/frame";
import { NotFoundPage } from "./not-found";
import { RemoveWidgetDialog, WidgetDialog } from "./widget-dialog";

const RETRY_MS = 3000;

type Open = { readonly kind: "edit"; readonly widget: Widget | null } | { readonly kind: "remove"; readonly widget: Widget };

export function DashboardPage({ id }: { readonly id: string }) {
  const session = useMemo(() => new LiveSession(streamAddress(id, location), browserWorld(), rangeMs(rangeName())), [id]);
  useEffect(() => {
    session.start();
    return () => session.stop();
  }, [session]);
  const { dashboard, missing, problem, reload, set } = useDashboard(id, session);
  const [open, setOpen] = useState<Open | null>(null);

  const title = dashboard?.value.title ?? "";
  useEffect(() => {
    document.title = title === "" ? "Pulseboard" : `${title} · Pulseboard`;
  }, [title]);

  if (missing) return <NotFoundPage title="No such dashboard" detail="It may have been deleted, or the address is wrong." />;
  const close = (): void => setOpen(null);
  const saved = (next: Versioned<Dashboard>): void => {
    set(next);
    close();
  };
  return (
    <>
      <TopBar title={dashboard === null ? "…" : title}>
        <LivePill session={session} />
        <PauseButton session={session} />
        <Ranges session={session} />
        <button type="button" class="button" disabled={dashboard === null} onClick={() => setOpen({ kind: "edit", widget: null })}>
          <Icon name="plus" />
          Widget
        </button>
      </TopBar>
      <main id="main">
        {problem === "" ? null : (
          <div class="page">
            <p class="notice" role="alert">
              {problem} Trying again…
            </p>
          </div>
        )}
        {dashboard === null ? null : (
          <Grid
            dashboard={dashboard.value}
            session={session}
            onAdd={() => setOpen({ kind: "edit", widget: null })}
            onEdit={(widget) => setOpen({ kind: "edit", widget })}
            onRemove={(widget) => setOpen({ kind: "remove", widget })}
          />
        )}
      </main>
      {open?.kind === "edit" && dashboard !== null ? (
        <WidgetDialog dashboard={dashboard} widget={open.widget} onSaved={saved} onConflict={reload} onClose={close} />
      ) : null}
      {open?.kind === "remove" && dashboard !== null ? (
        <RemoveWidgetDialog dashboard={dashboard} widget={open.widget} onSaved={saved} onConflict={reload} onClose={close} />
      ) : null}
    </>
  );
}

interface Loaded {
  readonly dashboard: Versioned<Dashboard> | null;
  readonly missing: boolean;
  readonly problem: string;
  reload(): Promise<Versioned<Dashboard> | null>;
  set(dashboard: Versioned<Dashboard>): void;
}

/** The document, read again whenever the stream shows a newer version of it. */
function useDashboard(id: string, session: LiveSession): Loaded {
  const [dashboard, setDashboard] = useState<Versioned<Dashboard> | null>(null);
  const [missing, setMissing] = useState(false);
  const [problem, setProblem] = useState("");
  const [attempt, setAttempt] = useState(0);
  const streamed = session.version.value;
  const known = dashboard?.value.version ?? 0;

  const adopt = (next: Versioned<Dashboard>): void => {
    // Two answers may overtake each other; a version never goes back.
    setDashboard((old) => (old !== null && old.value.version > next.value.version ? old : next));
    setProblem("");
  };

  useEffect(() => {
    if (dashboard !== null && streamed <= known) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | null = null;
    getDashboard(id, abort.signal).then(adopt, (error: unknown) => {
      if (abort.signal.aborted) return;
      if (error instanceof ApiError && error.status === 404) {
        setMissing(true);
        return;
      }
      setProblem(error instanceof Error ? error.message : String(error));
      timer = setTimeout(() => setAttempt(attempt + 1), RETRY_MS);
    });
    return () => {
      abort.abort();
      if (timer !== null) clearTimeout(timer);
    };
  }, [id, streamed > known, attempt]);

  return {
    dashboard,
    missing,
    problem,
    reload: async () => {
      try {
        const next = await getDashboard(id);
        adopt(next);
        return next;
      } catch (error) {
        setProblem(error instanceof Error ? error.message : String(error));
        return null;
      }
    },
    set: adopt,
  };
}

function PauseButton({ session }: { readonly session: LiveSession }) {
  const paused = session.paused.value;
  const text = paused ? "Go on with live values" : "Pause";
  return (
    <button type="button" class="button button-icon" aria-label={text} title={text} onClick={() => session.setPaused(!paused)}>
      <Icon name={paused ? "play" : "pause"} />
    </button>
  );
}

function rangeName(): string {
  const name = getQuery("range");
  return RANGES.some(([range]) => range === name) && name !== null ? name : DEFAULT_RANGE;
}

function Ranges({ session }: { readonly session: LiveSession }) {
  const [chosen, setChosen] = useState(rangeName);
  const choose = (name: string): void => {
    setChosen(name);
    setQuery("range", name === DEFAULT_RANGE ? null : name);
    session.range.value = rangeMs(name);
  };
  return (
    <div class="segments" role="group" aria-label="Time range">
      {RANGES.map(([name]) => (
        <button key={name} type="button" class="segment" aria-pressed={name === chosen} onClick={() => choose(name)}>
          {name}
        </button>
      ))}
    </div>
  );
}

interface GridProps {
  readonly dashboard: Dashboard;
  readonly session: LiveSession;
  onAdd(): void;
  onEdit(widget: Widget): void;
  onRemove(widget: Widget): void;
}

function Grid({ dashboard, session, onAdd, onEdit, onRemove }: GridProps) {
  const range = session.range.value;
  const name = theme.value;
  const colors = useMemo(() => new ColorRegistry(), [session]);
  const view = useRef<SharedView | null>(null);
  view.current = useMemo(() => ({ rangeMs: range, theme: themeColors(name), colors }), [range, name, colors]);
  useEffect(() => session.scheduler.invalidateAll(), [session, range, name]);

  const byId = new Map(dashboard.widgets.map((widget) => [widget.widget_id, widget]));
  const placed = arrange(dashboard.widgets.map((widget) => ({ id: widget.widget_id, position: widgetPosition(widget) })));
  if (placed.length === 0) {
    return (
      <div class="empty">
        <h2>This dashboard is empty</h2>
        <p>A widget shows one metric as a line, a number, a gauge, a table or a heat map.</p>
        <button type="button" class="button button-primary" onClick={onAdd}>
          <Icon name="plus" />
          Add a widget
        </button>
      </div>
    );
  }
  const kind = session.pulse.value.kind;
  return (
    <div class="grid" data-lost={kind === "reconnecting" || kind === "ended" ? "yes" : "no"}>
      {placed.map(({ id, position }) => {
        const widget = byId.get(id);
        return widget === undefined ? null : (
          <WidgetFrame key={id} widget={widget} position={position} session={session} view={view} onEdit={onEdit} onRemove={onRemove} />
        );
      })}
    </div>
  );
}
