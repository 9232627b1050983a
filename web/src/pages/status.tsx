import { useEffect, useState } from "preact/hooks";
import { listDashboards, listMetrics } from "../api/client";
import type { MetricList } from "../api/types";
import type { Pulse } from "../live/pulse";
import { dashboardSession, type LiveSession } from "../live/session";
import { pageBuild } from "../model/build";
import { formatAge, formatMoment } from "../model/format";
import { pipelineByCatalog, partsOf, isOutdated, type Checks, type Part } from "../model/health";
import { formatOne } from "../model/number";
import { Notice } from "../ui/notice";
import { LivePill } from "../ui/pill";
import { usePolled, type Polled } from "../ui/polled";
import { useTitle } from "../ui/router";
import { TopBar } from "../ui/topbar";

const SKEW_MS = 2000;
const MOST_METRICS = 200;

/** The checks of /readyz, null where it is not served. */
async function health(signal: AbortSignal): Promise<Checks | null> {
  const response = await fetch("/readyz", { cache: "no-store", signal });
  try {
    const { checks } = (await response.json()) as { checks?: Checks };
    return checks ?? null;
  } catch (error) {
    if (error instanceof SyntaxError) return null; // A proxy does not pass /readyz on.
    throw error;
  }
}

/** Whether the server's page still is the one that runs here. */
async function pagePart(signal: AbortSignal): Promise<Part> {
  const script = document.querySelector<HTMLScriptElement>("script[src]")?.src.split("/").pop() ?? "";
  const page = await (await fetch("/", { cache: "no-cache", signal })).text();
  pageBuild.serverHas(/<meta name="pulseboard-build" content="([^"]*)">/.exec(page)?.[1] ?? "");
  return { name: "This page", ok: page.includes(script), text: page.includes(script) ? script : `${script} is old, the server has a newer one: reload` };
}

/** The server's checks, and whether its page is the one that runs here. */
async function loadServer(signal: AbortSignal) {
  const [checks, page] = await Promise.all([health(signal), pagePart(signal)]);
  return { checks, page };
}

export function StatusPage() {
  const session = useAnyStream();
  const [query, setQuery] = useState("");
  const server = usePolled(loadServer, "");
  const metrics = usePolled((signal) => listMetrics(query, MOST_METRICS, signal), query);
  useTitle("Status");
  return (
    <>
      <TopBar title="Status">{session === null ? null : <LivePill session={session} />}</TopBar>
      <main id="main" class="list status">
        {[...new Set([server.problem, metrics.problem])].map((problem) => (
          <Notice key={problem} text={problem} />
        ))}
        <h2 class="list-title">Parts</h2>
        <Way session={session} server={server} metrics={metrics} />
        <div class="list-head">
          <h2 class="list-title">Metrics of the last hour{metrics.value === null ? "" : `: ${metrics.value.total}`}</h2>
          <input class="input list-search" type="search" aria-label="Search metrics" placeholder="Search" value={query} onInput={(event) => setQuery(event.currentTarget.value)} />
        </div>
        <Metrics list={metrics.value} old={metrics.old || server.old || isOutdated(server.value?.checks ?? null)} />
      </main>
    </>
  );
}

/** The stream of any dashboard, which shows the link and the server's clock; null while there is none. */
function useAnyStream(): LiveSession | null {
  const [session, setSession] = useState<LiveSession | null>(null);
  useEffect(() => {
    let made: LiveSession | null = null;
    let gone = false;
    listDashboards({}).then(
      ({ dashboards }) => {
        const id = dashboards.find((one) => one.widget_count)?.dashboard_id;
        if (id === undefined || gone) return;
        made = dashboardSession(id);
        made.start();
        setSession(made);
      },
      () => {}, // usePolled shows what is wrong.
    );
    return () => {
      gone = true;
      made?.stop();
    };
  }, []);
  return session;
}

interface WayProps {
  readonly session: LiveSession | null;
  readonly server: Polled<Awaited<ReturnType<typeof loadServer>>>;
  readonly metrics: Polled<MetricList>;
}

/** The parts between an event and the page, drawn again as often as the pill. */
function Way({ session, server, metrics }: WayProps) {
  const { own, known } = session === null ? NO_STREAM : streamParts(session, session.pulse.value);
  const pipeline = metrics.old || metrics.value === null ? [] : pipelineByCatalog(metrics.value.metrics);
  return (
    <ul class="parts">
      <Parts parts={own} old={false} />
      {server.value === null ? null : <Parts parts={[...partsOf(server.value.checks, [...known, ...pipeline]), server.value.page]} old={server.old} />}
    </ul>
  );
}

const CHIPS = { ok: ["chip", "ok"], fault: ["chip chip-crit", "fault"], unknown: ["chip chip-warn", "unknown"] } as const;

function Parts({ parts, old }: { readonly parts: readonly Part[]; readonly old: boolean }) {
  return (
    <>
      {parts.map(({ name, ok, text }) => {
        const [look, word] = CHIPS[old || ok === null ? "unknown" : ok ? "ok" : "fault"];
        return (
          <li key={name} class={old ? "is-old" : undefined}>
            <span class={look}>{word}</span>
            <strong>{name}</strong>
            <span>{old ? `no longer known; it was: ${text}` : text}</span>
          </li>
        );
      })}
    </>
  );
}

const NO_STREAM: { readonly own: readonly Part[]; readonly known: readonly Part[] } = { own: [], known: [] };

/** The state of the stream itself, and of parts that it depends on. */
function streamParts(session: LiveSession, { kind }: Pulse): typeof NO_STREAM {
  if (kind === "reconnecting" || kind === "connecting" || kind === "ended") return { own: [{ name: "Stream", ok: false, text: "there is no connection" }], known: [] };
  const skew = Date.now() - session.serverNow();
  const ahead = `${(Math.abs(skew) / 1000).toFixed(1)} s ${skew < 0 ? "behind" : "ahead of"} the server's`;
  const off = Math.abs(skew) > SKEW_MS;
  const away = [...session.store.all()].some(({ state }) => state === "degraded");
  const age = (session.serverNow() - session.store.edge) / 1000;
  const newest: Part = { name: "Newest result", ok: kind === "live" || kind === "quiet", text: `of one dashboard: its window ended ${formatAge(Math.max(0, age))} ago` };
  return {
    own: [
      { name: "Stream", ok: true, text: "it is connected" },
      { name: "Clock of this device", ok: !off, text: off ? `${ahead}: set it; this page goes by the server's` : ahead },
    ],
    known: [{ name: "Redis", ok: !away, text: away ? "the gateway cannot reach it" : "the gateway reaches it" }, ...(Number.isNaN(age) ? [] : [newest])],
  };
}

function Metrics({ list, old }: { readonly list: MetricList | null; readonly old: boolean }) {
  if (list === null) return null;
  if (list.total === 0) return <p>None, in the last hour.</p>;
  const more = list.total - list.metrics.length;
  return (
    <div class={old ? "table-scroll is-old" : "table-scroll"} tabIndex={0} role="region" aria-label="Metrics">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">metric</th>
            {["series", "events a minute", "newest mean", "newest event"].map((name) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {list.metrics.map((metric) => (
            <tr key={metric.metric_name} class={metric.stale ? "is-old" : undefined}>
              <th scope="row" title={metric.metric_name}>
                {metric.metric_name}
              </th>
              <td class="number">{metric.series}</td>
              <td class="number">{metric.events_last_minute}</td>
              <td class="number">{formatOne(metric.last_value, "")}</td>
              <td class="number">{metric.stale ? "not reported now" : formatMoment(Date.parse(metric.last_event))}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {more > 0 ? <p class="table-more">and {more} more: search for them</p> : null}
    </div>
  );
}
