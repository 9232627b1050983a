import type { RefObject } from "preact";
import type { Dashboard, Widget } from "../api/types";
import type { LiveSession } from "../live/session";
import { widgetConfig } from "../model/dashboard";
import { formatDuration, formatMoment } from "../model/format";
import { Button } from "../ui/button";
import { copy } from "../ui/copy";
import { dashboardPath, useTitle } from "../ui/router";
import { STATES, useConfig, useDrawing, WidgetFrame, type SharedView } from "../widgets/frame";
import { pointsTable } from "../widgets/points";

interface InspectProps {
  readonly dashboard: Dashboard;
  readonly id: string;
  readonly session: LiveSession;
  readonly view: RefObject<SharedView | null>;
}

/** One widget alone: large, its points as a table, what its numbers mean, its JSON. */
export function Inspect({ dashboard, id, session, view }: InspectProps) {
  const widget = dashboard.widgets.find((one) => one.widget_id === id);
  const title = widget === undefined ? "No such widget" : widgetConfig(widget).title;
  useTitle(`${title} · ${dashboard.title}`);
  return (
    <div class="page inspect">
      <a href={dashboardPath(dashboard.dashboard_id)}>← {dashboard.title}</a>
      {widget === undefined ? (
        <p class="notice">This dashboard has no such widget. It may have been removed, or the address is wrong.</p>
      ) : (
        <>
          <WidgetFrame widget={widget} position={{ x: 0, y: 0, w: 12, h: 6 }} session={session} view={view} />
          <Facts widget={widget} session={session} />
          <Points widget={widget} session={session} view={view} />
          <Source widget={widget} />
        </>
      )}
    </div>
  );
}

interface PartProps {
  readonly widget: Widget;
  readonly session: LiveSession;
}

function Facts({ widget, session }: PartProps) {
  void session.pulse.value; // Drawn again as often as the pill, since ages grow.
  const { freshness, detail, partial } = session.status(widget.widget_id).value;
  const { metricKey, windowMs, delayMs, refreshMs, newestEvent, ring, extra } = session.store.stream(widget.widget_id);
  const ago = (time: number | null): string => {
    if (time === null || Number.isNaN(time)) return "none yet";
    const seconds = (session.serverNow() - time) / 1000;
    return Number.isNaN(seconds) ? formatMoment(time) : `${formatMoment(time)}, ${seconds.toFixed(1)} s ago`;
  };
  const facts: readonly (readonly [string, string])[] = [
    ["Query", metricKey],
    ["Value", `${widget.aggregation} of the events of the last ${formatDuration(windowMs / 1000)}, every ${formatDuration(refreshMs / 1000)}`],
    ["State", `${freshness}: ${detail || STATES[freshness][0]}`],
    ["Newest window ended", ago(ring.lastEnd)],
    ["Newest event in it", ago(newestEvent)],
    ["Delay", delayMs === 0 ? "none: a window is published as soon as it has ended" : `${formatDuration(delayMs / 1000)}, so that events that come late still count`],
    ["Complete", partial ? "no: the pipeline has not read all of the newest window; lines are dashed there" : "yes: the pipeline has read all of the newest window"],
    ...(extra.error === undefined
      ? []
      : [["Error", `up to ${(100 * extra.error).toFixed(1)} %: the senders' histograms have bins as wide as that`] as const]),
  ];
  return (
    <dl class="facts">
      {facts.map(([name, text]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
}

function Points({ widget, session, view }: PartProps & { readonly view: RefObject<SharedView | null> }) {
  const { freshness } = session.status(widget.widget_id).value;
  const { body } = useDrawing(useConfig(widget), pointsTable, session, view, `${widget.widget_id}#`);
  return (
    <section class="widget points" aria-label="Points" data-state={freshness}>
      <h2 class="widget-head widget-title">Points in the time range</h2>
      <div class="widget-body" ref={body} />
    </section>
  );
}

function Source({ widget }: { readonly widget: Widget }) {
  const text = JSON.stringify(widget, null, 2);
  return (
    <section class="widget">
      <div class="widget-head">
        <h2 class="widget-title">JSON</h2>
        <Button look="quiet" onClick={() => void copy(text, "JSON copied.")}>
          Copy
        </Button>
      </div>
      <pre class="source" tabIndex={0} aria-label="JSON of the widget">
        {text}
      </pre>
    </section>
  );
}
