import { useEffect, useState } from "preact/hooks";
import { listDashboards, listMetrics, messageOf, streamAddress } from "../api/client";
import type { MetricList } from "../api/types";
import { LiveSession } from "../live/session";
import { browserWorld } from "../live/socket";
import { formatAge, formatMoment, formatOne } from "../model/format";
import { use } from "../signal";
import { LivePill } from "../ui/pill";
import { TopBar } from "../ui/topbar";

const LOOK_MS = 5000;
const SKEW_MS = 2000;
const MOST_METRICS = 200;

interface Part {
  readonly name: string;
  readonly ok: boolean;
  readonly text: string;
}

/** What /readyz says: a line for each check. */
async function health(): Promise<Part[]> {
  try {
    const response = await fetch("/readyz", { cache: "no-store" });
    const { checks } = (await response.json()) as { checks: Record<string, { ok: boolean; detail?: string }> };
    return Object.entries(checks).map(([name, { ok, detail }]) => ({ name, ok, text: detail ?? "ok" }));
  } catch (error) {
    return [{ name: "Server", ok: false, text: error instanceof SyntaxError ? "It does not tell its health here; ask each service." : "It cannot be reached." }];
  }
}

/** Whether the server's page still is the one that runs here. */
async function pagePart(): Promise<Part> {
  const script = document.querySelector<HTMLScriptElement>("script[src]")?.src.split("/").pop() ?? "";
  const page = await fetch("/", { cache: "no-cache" }).then(
    (response) => response.text(),
    () => script,
  );
  return { name: "This page", ok: page.includes(script), text: page.includes(script) ? script : `${script} is old, the server has a newer one: reload` };
}

export function StatusPage() {
  const [session, setSession] = useState<LiveSession | null>(null);
  const [parts, setParts] = useState<readonly Part[]>([]);
  const [metrics, setMetrics] = useState<MetricList | null>(null);
  const [query, setQuery] = useState("");
  const [problem, setProblem] = useState("");
  const failed = (error: unknown): void => setProblem(messageOf(error));

  useEffect(() => {
    document.title = "Status · Pulseboard";
    let made: LiveSession | null = null;
    let gone = false;
    // Any stream tells of the link and of the server's clock.
    listDashboards({}).then(({ dashboards }) => {
      const id = dashboards.find((one) => one.widget_count)?.dashboard_id;
      if (id === undefined || gone) return;
      made = new LiveSession(streamAddress(id, location), browserWorld(), 0);
      made.start();
      setSession(made);
    }, failed);
    return () => {
      gone = true;
      made?.stop();
    };
  }, []);

  useEffect(() => {
    const abort = new AbortController();
    const look = async (): Promise<void> => {
      if (document.visibilityState === "hidden") return;
      try {
        const found = await Promise.all([health(), pagePart()]);
        if (!abort.signal.aborted) setParts(found.flat());
        setMetrics(await listMetrics(query, MOST_METRICS, abort.signal));
        setProblem("");
      } catch (error) {
        if (!abort.signal.aborted) failed(error);
      }
    };
    void look();
    const timer = setInterval(() => void look(), LOOK_MS);
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, [query]);

  return (
    <>
      <TopBar title="Status">{session === null ? null : <LivePill session={session} />}</TopBar>
      <main id="main" class="list status">
        {problem === "" ? null : (
          <p class="notice" role="alert">
            {problem}
          </p>
        )}
        <h2 class="list-title">Parts</h2>
        <ul class="parts">
          {session === null ? null : <StreamParts session={session} />}
          <Parts parts={parts} />
        </ul>
        <div class="list-head">
          <h2 class="list-title">Metrics that arrive{metrics === null ? "" : `: ${metrics.total}`}</h2>
          <input class="input list-search" type="search" aria-label="Search metrics" placeholder="Search" value={query} onInput={(event) => setQuery(event.currentTarget.value)} />
        </div>
        <Metrics list={metrics} />
      </main>
    </>
  );
}

function Parts({ parts }: { readonly parts: readonly Part[] }) {
  return (
    <>
      {parts.map(({ name, ok, text }) => (
        <li key={name}>
          <span class={ok ? "chip" : "chip chip-crit"}>{ok ? "ok" : "fault"}</span>
          <strong>{name}</strong>
          <span>{text}</span>
        </li>
      ))}
    </>
  );
}

/** As often as the pill. */
function StreamParts({ session }: { readonly session: LiveSession }) {
  use(session.pulse);
  return <Parts parts={streamParts(session)} />;
}

function streamParts(session: LiveSession): Part[] {
  const { kind } = session.pulse.value;
  const skew = session.skew();
  const age = session.serverNow() - session.store.edge;
  const link: Part = { name: "Stream", ok: kind !== "reconnecting" && kind !== "ended", text: kind };
  if (Number.isNaN(skew)) return [link];
  const ahead = `${(Math.abs(skew) / 1000).toFixed(1)} s ${skew < 0 ? "behind" : "ahead of"} the server's`;
  const off = Math.abs(skew) > SKEW_MS;
  return [
    link,
    { name: "Clock of this device", ok: !off, text: off ? `${ahead}: set it; this page goes by the server's` : ahead },
    { name: "Newest result", ok: kind === "live" || kind === "quiet", text: Number.isNaN(age) ? "none yet" : `its window ended ${formatAge(Math.max(0, age / 1000))} ago` },
  ];
}

function Metrics({ list }: { readonly list: MetricList | null }) {
  if (list === null) return null;
  if (list.total === 0) return <p>None, in the last hour.</p>;
  const more = list.total - list.metrics.length;
  return (
    <div class="table-scroll" tabIndex={0} role="region" aria-label="Metrics">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">metric</th>
            {["series", "events a minute", "last value", "newest event"].map((name) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {list.metrics.map((metric) => (
            <tr key={metric.metric_name}>
              <th scope="row">{metric.metric_name}</th>
              <td class="number">{metric.series}</td>
              <td class="number">{metric.events_last_minute}</td>
              <td class="number">{formatOne(metric.last_value, "")}</td>
              <td class="number">{metric.stale ? "nobody tells of it now" : formatMoment(Date.parse(metric.last_event))}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {more > 0 ? <p class="table-more">and {more} more: search for them</p> : null}
    </div>
  );
}
