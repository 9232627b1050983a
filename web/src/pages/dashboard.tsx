import type { RefObject } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { getDashboard, isStatus, messageOf, newerDashboard } from "../api/client";
import type { Dashboard } from "../api/types";
import { dashboardSession, type LiveSession } from "../live/session";
import { pageBuild } from "../model/build";
import { placedOf, RANGES } from "../model/dashboard";
import { heightOf } from "../model/layout";
import { ColorRegistry } from "../model/palette";
import { Button } from "../ui/button";
import { lazy } from "../ui/lazy";
import { Notice } from "../ui/notice";
import { LivePill } from "../ui/pill";
import { dashboardPath, editPath, getQuery, navigate, setQuery, useTitle } from "../ui/router";
import { theme, themeColors } from "../ui/theme";
import { TopBar } from "../ui/topbar";
import { utc } from "../ui/zone";
import { WidgetFrame, type SharedView } from "../widgets/frame";
import { EditLinks, More, PauseButton, rangeName, Ranges, useChoice, Variables, ZoneButton } from "./header-tools";
import { Kiosk } from "./kiosk";
import { NotFoundPage } from "./not-found";

const RETRY_MS = 3000;

const Inspect = lazy(async () => (await import("./inspect")).Inspect);
const EditMode = lazy(async () => (await import("./edit/edit")).EditMode);

interface DashboardPageProps {
  readonly id: string;
  /** The one that is inspected; the session stays the same. */
  readonly widget?: string | undefined;
  readonly edit?: boolean | undefined;
}

export function DashboardPage({ id, widget, edit }: DashboardPageProps) {
  const session = useMemo(() => {
    const made = dashboardSession(id, RANGES[rangeName()]);
    made.paused.value = getQuery("paused") === "1";
    return made;
  }, [id]);
  /** While the dashboard is edited: the session of what is not saved yet. */
  const [preview, setPreview] = useState<LiveSession | null>(null);
  const [kiosk, setKiosk] = useState(getQuery("kiosk") === "1");
  useEffect(() => {
    session.start();
    const unfollow = session.build.subscribe((build) => pageBuild.serverHas(build));
    return () => {
      unfollow();
      session.stop();
    };
  }, [session]);
  const { dashboard, missing, problem, set } = useDashboard(id, session);

  const title = dashboard?.title ?? "";
  // A widget alone names itself.
  useTitle(widget === undefined ? title : undefined);
  const variables = dashboard?.variables ?? [];
  useChoice(variables, session);
  const view = useSharedView(session);
  const showKiosk = (on: boolean): void => {
    setKiosk(on);
    setQuery("kiosk", on ? "1" : null);
    // Where the browser refuses that, the page fills its window.
    if (on) document.documentElement.requestFullscreen?.().catch(() => {});
    else if (document.fullscreenElement !== null) void document.exitFullscreen();
  };

  if (missing) return <NotFoundPage title="No such dashboard" detail="It may have been deleted, or the address is wrong." />;
  const rows = heightOf(placedOf(dashboard?.widgets ?? []));
  return (
    <>
      {kiosk ? (
        <Kiosk title={title} rows={rows} session={session} onLeave={() => showKiosk(false)} />
      ) : (
        <TopBar title={dashboard === null ? "…" : title}>
          <LivePill session={session} preview={preview} />
          <PauseButton session={session} />
          <Ranges session={session} />
          <ZoneButton />
          {dashboard === null || edit ? null : <EditLinks id={id} />}
          {dashboard === null ? null : <More dashboard={dashboard} onKiosk={() => showKiosk(true)} />}
        </TopBar>
      )}
      <main id="main" class={kiosk ? "wall" : undefined} style={{ "--rows": rows }}>
        {kiosk || variables.length === 0 ? null : <Variables variables={variables} session={session} />}
        <Notice class="page-notice" text={problem && `${problem} Trying again…`} />
        {dashboard === null ? null : widget !== undefined ? (
          <Inspect key={widget} dashboard={dashboard} id={widget} session={session} view={view} />
        ) : edit ? (
          <EditMode session={session} dashboard={dashboard} view={view} onSaved={set} onPreview={setPreview} />
        ) : (
          <Grid dashboard={dashboard} session={session} view={view} onEdit={(one) => navigate(editPath(id, one))} />
        )}
      </main>
    </>
  );
}

/** The document, read again whenever the stream shows a newer version of it; null before it came. */
function useDashboard(id: string, session: LiveSession) {
  const [dashboard, setDashboard] = useState<Dashboard | null>(null);
  const [missing, setMissing] = useState(false);
  const [problem, setProblem] = useState("");
  const [attempt, setAttempt] = useState(0);
  const streamed = session.version.value;
  // The version to be read, 0 when the newest is here.
  const wanted = dashboard !== null && streamed > dashboard.version ? streamed : 0;

  const set = (next: Dashboard): void => {
    // Two answers may overtake each other; a version never goes back.
    setDashboard((old) => (old !== null && old.version > next.version ? old : next));
    setProblem("");
  };

  useEffect(() => {
    if (dashboard !== null && wanted === 0) return;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = dashboard === null ? getDashboard(id, abort.signal) : newerDashboard(dashboard, wanted, abort.signal);
    read.then(set, (error: unknown) => {
      if (abort.signal.aborted) return;
      if (isStatus(error, 404)) return setMissing(true);
      setProblem(messageOf(error));
      timer = setTimeout(() => setAttempt(attempt + 1), RETRY_MS);
    });
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [id, dashboard === null, wanted, attempt]);

  return { dashboard, missing, problem, set };
}

/** What all drawings of the page share. A ref, so that they are not made anew when it changes. */
function useSharedView(session: LiveSession): RefObject<SharedView | null> {
  const range = session.range.value;
  const choice = session.choice.value;
  const name = theme.value;
  const zone = utc.value;
  const colors = useMemo(() => new ColorRegistry(), [session]);
  const view = useRef<SharedView | null>(null);
  view.current = useMemo(() => ({ rangeMs: range, theme: themeColors(name), colors, choice }), [range, name, colors, choice]);
  useEffect(() => session.scheduler.invalidateAll(), [session, range, name, choice, zone]);
  return view;
}

interface GridProps {
  readonly dashboard: Dashboard;
  readonly session: LiveSession;
  readonly view: RefObject<SharedView | null>;
  /** An id, or "new". */
  onEdit(widget: string): void;
}

function Grid({ dashboard, session, view, onEdit }: GridProps) {
  const byId = new Map(dashboard.widgets.map((widget) => [widget.widget_id, widget]));
  const placed = placedOf(dashboard.widgets);
  if (placed.length === 0) {
    return (
      <div class="empty">
        <h2>This dashboard is empty</h2>
        <p>A widget shows one metric as a line, a number, a gauge, a table or a heat map.</p>
        <Button look="primary" icon="plus" onClick={() => onEdit("new")}>
          Add a widget
        </Button>
      </div>
    );
  }
  return (
    <div class="grid">
      {placed.map(({ id, position }) => {
        const widget = byId.get(id);
        return widget === undefined ? null : (
          <WidgetFrame key={id} widget={widget} position={position} session={session} view={view} inspect={dashboardPath(dashboard.dashboard_id, id)} onEdit={() => onEdit(id)} />
        );
      })}
    </div>
  );
}
