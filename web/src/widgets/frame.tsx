import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { listMetrics, messageOf } from "../api/client";
import type { Position, Widget } from "../api/types";
import type { Freshness } from "../live/freshness";
import type { LiveSession, WidgetStatus } from "../live/session";
import { widgetConfig, type WidgetConfig } from "../model/dashboard";
import { formatAge } from "../model/format";
import { COLUMNS } from "../model/layout";
import { isChosen, missingText, seriesLabel } from "../model/series";
import { Button } from "../ui/button";
import { Icon, type IconName } from "../ui/icon";
import { textScale } from "../ui/theme";
import { WIDGET_TYPES } from "./types";
import { setText, type RendererFactory, type WidgetView } from "./widget";

/** The words of a drawing are written anew at most this often. */
const DESCRIBE_MS = 3000;

/** What all drawings of the page share. */
export type SharedView = Omit<WidgetView, "stream" | "edge" | "beginning">;

interface FrameProps {
  readonly widget: Widget;
  readonly position: Position;
  readonly session: LiveSession;
  readonly view: RefObject<SharedView | null>;
  /** Address of the page that shows it alone; absent on that page. */
  readonly inspect?: string;
  onEdit?(widget: Widget): void;
  onDuplicate?(widget: Widget): void;
  onRemove?(widget: Widget): void;
}

/** Title, state and tools of a widget around its drawing. */
export function WidgetFrame({ widget, position, session, view, inspect, onEdit, onDuplicate, onRemove }: FrameProps) {
  const config = useConfig(widget);
  const make = WIDGET_TYPES.get(config.chart)?.make;
  const article = useRef<HTMLElement>(null);
  const title = useId();
  const { body, words, failure } = useDrawing(config, make, session, view);

  const status = session.status(config.id).value;
  const broken = failure !== "" || make === undefined;
  const missing = useMissingChoice(config.id, session);
  const tool = (name: string, icon: IconName, run: () => void) => <Button look="quiet" icon={icon} label={`${name} ${config.title}`} title={name} onClick={run} />;
  return (
    <article
      ref={article}
      class="widget"
      onKeyDown={(event) => {
        if (event.key === "Escape") event.currentTarget.removeAttribute("data-full");
      }}
      data-state={broken || missing !== "" ? "error" : status.freshness}
      data-chart={config.chart}
      aria-labelledby={title}
      style={placement(position)}
    >
      <div class="widget-head">
        <h2 class="widget-title" id={title} title={config.title}>
          {config.title}
        </h2>
        <span class="widget-sub" title={`${config.aggregation} of ${config.metric}, window ${config.subtitle.split(" · ")[1] ?? ""}`}>
          {config.subtitle}
        </span>
        {broken ? null : <StatusChip status={status} />}
        <div class="widget-tools">
          {inspect === undefined ? null : (
            <a class="button button-icon button-quiet" href={inspect} aria-label={`Inspect ${config.title}: its points as a table, its query, its JSON`} title="Inspect, view data">
              <Icon name="data" />
            </a>
          )}
          {tool("Full screen", "full", () => toggleFull(article.current))}
          {onEdit && tool("Edit", "edit", () => onEdit(widget))}
          {onDuplicate && tool("Duplicate", "copy", () => onDuplicate(widget))}
          {onRemove && tool("Remove", "trash", () => onRemove(widget))}
        </div>
      </div>
      <div class="widget-body" ref={body} />
      <p class="sr-only" ref={words} />
      <Cover config={config} status={status} failure={failure} missing={missing} />
    </article>
  );
}

/** Shows the widget on the whole screen, or in the whole window where the browser refuses that; and back. */
function toggleFull(article: HTMLElement | null): void {
  if (article === null) return;
  if (document.fullscreenElement === article) void document.exitFullscreen();
  else if (article.hasAttribute("data-full")) article.removeAttribute("data-full");
  else {
    const fall = (): void => article.setAttribute("data-full", "");
    article.requestFullscreen?.().catch(fall) ?? fall();
  }
}

/** Where the frame goes: exactly so on a wide page; on a smaller one in the same order, with two frames in a row or one (base.css). */
export function placement({ x, y, w, h }: Position): Record<string, string> {
  return {
    "--column": `${x + 1} / span ${w}`,
    "--row-place": `${y + 1} / span ${h}`,
    "--medium": `span ${w <= 2 ? 2 * w : w <= 4 ? COLUMNS / 2 : COLUMNS}`,
    "--height": `${h}`,
  };
}

/** What each state means, and the look of its chip where it has one. */
export const STATES: Readonly<Record<Freshness, readonly [meaning: string, chip?: "warn" | "crit", icon?: IconName]>> = {
  skeleton: ["Nothing has come from the server yet."],
  waiting: ["No event has matched the query yet."],
  live: ["Each window comes when it should."],
  late: ["Windows come, but more than 5 s after their end.", "warn", "clock"],
  stale: ["No newer window has come for more than two refresh intervals: what is shown is old.", "warn", "clock"],
  limited: ["Its dashboard, metric or token is beyond a budget, so it is not computed."],
  degraded: ["The server cannot reach its store of results.", "crit", "alert"],
  lost: ["There is no connection to the server, or it has not said yet what time it is: what is shown is old.", "warn", "clock"],
  paused: ["Held on purpose: newer values come after the pause."],
};

function StatusChip({ status: { freshness, detail, ageSeconds, partial } }: { readonly status: WidgetStatus }) {
  const [meaning, chip, icon] = STATES[freshness];
  const shown = (look: string, hint: string, text: string) => (
    <span class={look} title={hint}>
      {icon && <Icon name={icon} />}
      {text}
    </span>
  );
  if (chip !== undefined) return shown(`chip chip-${chip}`, detail || meaning, `${freshness.charAt(0).toUpperCase()}${freshness.slice(1)} · ${formatAge(ageSeconds)}`);
  if (freshness === "paused") return shown("chip", meaning, "Paused");
  return freshness === "live" && partial ? shown("chip", "The pipeline has not read all events of the newest window.", "Incomplete") : null;
}

interface CoverProps {
  readonly config: WidgetConfig;
  readonly status: WidgetStatus;
  readonly failure: string;
  /** Why a choice among tags leaves nothing to show, empty when something is left. */
  readonly missing: string;
}

/** Why nothing of what was chosen is shown, when the widget has series and none of them is that. */
function useMissingChoice(id: string, session: LiveSession): string {
  const choice = session.choice.value;
  void session.revision.value;
  const { columns, total, truncated } = session.store.stream(id);
  return columns.length === 0 || columns.some((tags) => isChosen(tags, choice)) ? "" : missingText(seriesLabel(choice, ""), total, truncated);
}

/** Why there is no drawing, in its place. */
function Cover({ config, status: { freshness, detail }, failure, missing }: CoverProps) {
  let cover: readonly [title: string, text: ComponentChildren];
  if (!WIDGET_TYPES.has(config.chart)) cover = ["Unknown chart", `This page cannot draw “${config.chart}”.`];
  else if (failure !== "") cover = ["This widget cannot be drawn", failure];
  else if (missing !== "") cover = ["Nothing to show", missing];
  else if (freshness === "skeleton") return <div class="widget-skeleton" aria-hidden="true" />;
  else if (freshness === "limited") cover = ["Not computed: beyond a budget", detail];
  else if (freshness === "waiting") cover = ["Waiting for values", detail || <Why config={config} />];
  else return null;
  return (
    <div class="widget-cover" role={failure === "" ? undefined : "alert"}>
      <strong>{cover[0]}</strong>
      <span>{cover[1]}</span>
    </div>
  );
}

/** Why there is no value yet, by the catalog of metrics. */
function Why({ config }: { readonly config: WidgetConfig }) {
  const { metric, filter } = config;
  const [text, setText] = useState(`No event of ${metric} has matched yet.`);
  useEffect(() => {
    const abort = new AbortController();
    listMetrics(`^${metric}`, 1, abort.signal).then(
      ({ metrics }) => {
        const found = metrics.find((one) => one.metric_name === metric);
        if (found === undefined) setText(`No event of ${metric} has come in the last hour.`);
        else if (filter !== "") setText(`${metric} comes with ${found.series} series; none has matched ${filter} yet.`);
      },
      () => {}, // What is known without it stays.
    );
    return () => abort.abort();
  }, [metric, filter]);
  return text;
}

/** The widget's configuration, the same object while its document says the same. */
export function useConfig(widget: Widget): WidgetConfig {
  return useMemo(() => widgetConfig(widget), [JSON.stringify(widget)]);
}

/**
 * Ties a renderer to the session's drawing, the size of its box and whether that can be seen; made anew for another
 * config. What is drawn comes into body, and as words into words; failure says why it cannot be.
 */
export function useDrawing(config: WidgetConfig, make: RendererFactory | undefined, session: LiveSession, view: RefObject<SharedView | null>, name = config.id) {
  const [failure, setFailure] = useState("");
  const body = useRef<HTMLDivElement>(null);
  const words = useRef<HTMLParagraphElement>(null);
  const scale = textScale.value;
  useEffect(() => {
    const element = body.current;
    if (element === null || make === undefined) return;
    const renderer = make(element, config, scale);
    let describedAt = Number.NEGATIVE_INFINITY;
    let sized = false;
    const draw = (): void => {
      const stream = session.store.stream(config.id);
      const shared = view.current;
      // A box without size is not laid out yet; its observer will call.
      if (stream.ring.length === 0 || shared === null || !sized) return;
      try {
        renderer.draw({ ...shared, stream, edge: session.store.edge, beginning: session.store.beginning });
      } catch (error) {
        // One widget that cannot be drawn leaves the others alone.
        setFailure(messageOf(error));
        session.scheduler.unregister(name);
        return;
      }
      if (words.current === null || performance.now() - describedAt <= DESCRIBE_MS) return;
      describedAt = performance.now();
      setText(words.current, renderer.describe());
    };
    setFailure("");
    session.scheduler.register(name, draw);
    const style = getComputedStyle(element);
    // Read here only: in a drawing, between the writes of others, it would lay out the page each time.
    const measure = (): void => {
      sized = element.clientWidth > 0;
      renderer.resize?.(element.clientWidth, element.clientHeight - Number.parseFloat(style.paddingBottom));
      session.scheduler.invalidate(name);
    };
    // At once too: the first drawing comes before the observer's first call.
    measure();
    const size = new ResizeObserver(measure);
    size.observe(element);
    const sight = new IntersectionObserver((entries) => entries.forEach((entry) => session.scheduler.setVisible(name, entry.isIntersecting)), { rootMargin: "200px 0px" });
    sight.observe(element);
    return () => {
      size.disconnect();
      sight.disconnect();
      session.scheduler.unregister(name);
      renderer.destroy?.();
      element.replaceChildren();
    };
  }, [config, session, scale]);
  return { body, words, failure };
}
