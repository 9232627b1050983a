import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, getDashboard, streamAddress, type Versioned } from "../api/client";
import type { Dashboard } from "../api/types";
import { LiveSession } from "../live/session";
import { browserWorld } from "../live/socket";
import { DEFAULT_RANGE, RANGES, rangeMs, widgetPosition } from "../model/dashboard";
import { arrange } from "../model/layout";
import { ColorRegistry } from "../model/palette";
import { getQuery, navigate, setQuery } from "../router";
import { Icon } from "../ui/icon";
import { LivePill } from "../ui/pill";
import { theme, themeColors } from "../ui/theme";
import { TopBar } from "../ui/topbar";
import { WidgetFrame, type SharedView } from "../widgets/frame";
import { NotFoundPage } from "./not-found";
import type { EditMode } from "./edit/edit";

const RETRY_MS = 3000;

/** Address of the page's view or edit mode, where widget is an id, or "new". What else the address says stays. */
function address(id: string, edit: boolean, widget: string | null = null): string {
  const query = new URLSearchParams(location.search);
  if (widget === null) query.delete("widget");
  else query.set("widget", widget);
  const text = query.toString();
  return `/d/${encodeURIComponent(id)}${edit ? "/edit" : ""}${text === "" ? "" : `?${text}`}`;
}

/** The editor, loaded when it is first wanted. */
function useEditor(wanted: boolean): { readonly Editor: typeof EditMode | null; readonly failure: string } {
  const [Editor, setEditor] = useState<typeof EditMode | null>(null);
  const [failure, setFailure] = useState("");
  useEffect(() => {
    if (!wanted || Editor !== null) return;
    import("./edit/edit").then(
      (loaded) => setEditor(() => loaded.EditMode),
      () => setFailure("The editor cannot be loaded: the server is away, or has a newer page. Load this page again."),
    );
  }, [wanted]);
  return { Editor: wanted ? Editor : null, failure: wanted ? failure : "" };
}

export function DashboardPage({ id, edit }: { readonly id: string; readonly edit: boolean }) {
  const session = useMemo(() => new LiveSession(streamAddress(id, location), browserWorld(), rangeMs(rangeName())), [id]);
  useEffect(() => {
    session.start();
    return () => session.stop();
  }, [session]);
  const { dashboard, missing, problem, set } = useDashboard(id, session);
  const { Editor, failure } = useEditor(edit);

  const title = dashboard?.value.title ?? "";
  useEffect(() => {
    document.title = title === "" ? "Pulseboard" : `${title} · Pulseboard`;
  }, [title]);

  if (missing) return <NotFoundPage title="No such dashboard" detail="It may have been deleted, or the address is wrong." />;
  return (
    <>
      <TopBar title={dashboard === null ? "…" : title}>
        <LivePill session={session} />
        <PauseButton session={session} />
        <Ranges session={session} />
        {edit ? null : (
          <>
            <a class="button" href={address(id, true)}>
              <Icon name="edit" />
              Edit
            </a>
            <a class="button" href={address(id, true, "new")}>
              <Icon name="plus" />
              Widget
            </a>
          </>
        )}
      </TopBar>
      <main id="main">
        {problem === "" ? null : (
          <div class="page">
            <p class="notice" role="alert">
              {problem} Trying again…
            </p>
          </div>
        )}
        {failure === "" ? null : (
          <div class="page">
            <p class="notice" role="alert">
              {failure}
            </p>
          </div>
        )}
        {dashboard === null || edit ? null : <Grid dashboard={dashboard.value} session={session} onEdit={(widget) => navigate(address(id, true, widget))} />}
        {dashboard === null || Editor === null ? null : (
          <Editor session={session} dashboard={dashboard} onSaved={set} onLeave={() => navigate(address(id, false))} />
        )}
      </main>
    </>
  );
}

interface Loaded {
  readonly dashboard: Versioned<Dashboard> | null;
  readonly missing: boolean;
  readonly problem: string;
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
  /** An id, or "new". */
  onEdit(widget: string): void;
}

function Grid({ dashboard, session, onEdit }: GridProps) {
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
        <button type="button" class="button button-primary" onClick={() => onEdit("new")}>
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
          <WidgetFrame key={id} widget={widget} position={position} session={session} view={view} onEdit={() => onEdit(id)} />
        );
      })}
    </div>
  );
}
