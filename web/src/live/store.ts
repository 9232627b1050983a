import { Distribution } from "../model/distribution";
import { seriesKey, type Tags } from "../model/series";
import type * as wire from "./messages";
import { Ring } from "./ring";

/** Points kept per widget: the 600 of a snapshot and some that came since. */
const MAX_POINTS = 1000;
/** Series kept per widget; at most 100 leave the pipeline for a result. */
const MAX_COLUMNS = 200;

interface SeriesList {
  readonly version: string;
  readonly series: readonly wire.SeriesInfo[];
}

/** The stream of one widget: its state and its points. */
export class WidgetStream {
  metricKey = "";
  refreshMs = 1000;
  windowMs = 60_000;
  delayMs = 0;
  state: wire.State = "waiting";
  detail = "";
  /** All parts of the first snapshot have come. */
  known = false;
  newestEvent: number | null = null;
  /** What is seldom there of the newest window. */
  extra: wire.UpdateExtra = {};
  /** Monotonic ms at which the newest window end arrived, NaN before. */
  arrivedAt = Number.NaN;
  /** Tags of each column of the ring. */
  columns: readonly Tags[] = [];
  readonly ring = new Ring(MAX_POINTS);

  #keyId = "";
  #version = "";
  /** The newest list of series that came, and its version: a snapshot without a list refers to it. */
  #announced: SeriesList = { version: "", series: [] };
  /** The parts of a list that have come so far. */
  #partial: SeriesList = { version: "", series: [] };
  /** The tags that all series of a grouped widget have. The stream leaves out empty ones: without them two series would share a name and a colour. */
  #blank: Tags = {};
  /** For each series of the current version its column. */
  #order: number[] = [];
  #columnOf = new Map<string, number>();

  constructor(readonly id: string) {}

  /** Sets what the stream says of the widget. Another key means other points. */
  bind(widget: wire.StreamWidget): void {
    this.#keyId = widget.key_id;
    if (this.metricKey !== widget.metric_key) {
      this.metricKey = widget.metric_key;
      this.windowMs = widget.window_ms;
      this.delayMs = widget.delay_ms ?? 0;
      this.#blank = Object.fromEntries((widget.group_by ?? []).map((tag) => [tag, ""]));
      this.#clear();
      this.#announced = { version: "", series: [] };
      this.known = false;
      this.state = "waiting";
      this.detail = "";
    }
    this.refreshMs = widget.refresh_ms;
  }

  resumePoint(): wire.ResumePoint | null {
    return this.ring.length === 0 ? null : { key: this.#keyId, window_end: this.ring.lastEnd };
  }

  /** False when the message does not fit what is known: ask for snapshots again. */
  snapshot(message: wire.SnapshotMessage, arrival: number): boolean {
    if (message.series === null && message.series_version !== this.#announced.version) return false;
    const before = this.ring.lastEnd;
    if (message.reset) this.#clear();
    // All parts but the last are marked stale; only with the last one is the state known.
    if (message.more !== true) this.known = true;
    this.state = message.state;
    this.detail = message.detail ?? "";
    this.#setSeries(message.series_version, message.series ?? this.#announced.series);
    for (const [end, newest, values] of message.points) {
      const complete = end - this.windowMs >= (message.covered_since ?? 0);
      this.#put(end, complete, values);
      if (end >= this.ring.lastEnd) this.newestEvent = newest;
    }
    if (message.points.length > 0) this.extra = message;
    // A stale snapshot brings old points now; that does not make them fresh.
    if (message.state !== "stale" && (message.reset || !(this.ring.lastEnd <= before))) this.arrivedAt = arrival;
    return true;
  }

  /** False when the message does not fit what is known: ask for snapshots again. */
  update(entry: wire.UpdateEntry, arrival: number): boolean {
    const [, end, newest, version, values, extra = {}] = entry;
    const complete = extra.complete ?? true;
    const newer = !(end <= this.ring.lastEnd);
    const fits = values === null ? this.ring.length > 0 : values.length === this.#order.length;
    if (version !== this.#version || !fits) return false;
    // Null stands for the values of the newest row.
    if (values === null) this.ring.put(end, complete, this.ring.lastRow(), this.ring.lastDistributions());
    else this.#put(end, complete, values);
    if (newer) {
      this.newestEvent = newest;
      this.extra = extra;
      this.arrivedAt = arrival;
    }
    if (this.state === "waiting" || this.state === "stale") {
      this.state = "live";
      this.detail = "";
    }
    return true;
  }

  /** Series of the newest window that did not leave the pipeline: those with lower values. */
  get truncated(): number {
    return this.extra.truncated ?? 0;
  }

  /** How many series there are, as the pipeline has it. */
  get total(): number {
    return this.#order.length + this.truncated;
  }

  /** False when the message does not fit what is known: ask for snapshots again. */
  series({ series_version: version, from = 0, series, more }: wire.SeriesMessage): boolean {
    const before = from === 0 ? [] : this.#partial.series;
    if (from > 0 && (this.#partial.version !== version || before.length !== from)) return false;
    const list = [...before, ...series];
    this.#partial = more === true ? { version, series: list } : { version: "", series: [] };
    // A list is used once all of its parts have come.
    if (more !== true) this.#setSeries(version, list);
    return true;
  }

  #setSeries(version: string, sent: readonly wire.SeriesInfo[]): void {
    this.#version = version;
    this.#announced = { version, series: sent };
    const series = sent.map(({ tags }) => ({ ...this.#blank, ...tags }));
    const names = series.map(seriesKey);
    const added = names.filter((name) => !this.#columnOf.has(name)).length;
    if (this.columns.length + added > MAX_COLUMNS) this.#dropColumns(names);
    const columns = [...this.columns];
    names.forEach((name, i) => {
      if (this.#columnOf.has(name)) return;
      this.#columnOf.set(name, columns.length);
      columns.push(series[i] ?? {});
      this.ring.addColumn();
    });
    this.columns = columns;
    this.#order = names.map((name) => this.#columnOf.get(name) ?? 0);
  }

  /** Series come and go for days: keep those that are in the current list. */
  #dropColumns(names: readonly string[]): void {
    const kept = names.filter((name) => this.#columnOf.has(name));
    const indexes = kept.map((name) => this.#columnOf.get(name) ?? 0);
    this.ring.keepColumns(indexes);
    this.columns = indexes.map((index) => this.columns[index] ?? {});
    this.#columnOf = new Map(kept.map((name, i) => [name, i]));
  }

  /** Puts values, in the order of the series, into the row of a window end. */
  #put(end: number, complete: boolean, values: readonly (wire.Value | null)[]): void {
    const row = new Float64Array(this.columns.length).fill(Number.NaN);
    let distributions: (Distribution | null)[] | null = null;
    values.forEach((value, i) => {
      const column = this.#order[i];
      if (column === undefined || value === null) return;
      if (typeof value === "number") {
        row[column] = value;
        return;
      }
      const distribution = new Distribution(value);
      row[column] = distribution.count;
      distributions ??= this.columns.map(() => null);
      distributions[column] = distribution;
    });
    this.ring.put(end, complete, row, distributions);
  }

  #clear(): void {
    this.ring.clear();
    this.columns = [];
    this.#columnOf.clear();
    this.#order = [];
    this.#version = "";
    this.newestEvent = null;
    this.extra = {};
  }
}

/** What a message means for the session. */
export interface Applied {
  /** Widgets whose picture changed. */
  readonly changed: readonly WidgetStream[];
  /** The stream and the store disagree: send resync. */
  readonly resync: boolean;
}

const NOTHING: Applied = { changed: [], resync: false };

/** The streams of all widgets of one dashboard; applies messages to them. */
export class DashboardStore {
  /** Version of the dashboard that the stream shows, 0 before the welcome. */
  version = 0;
  readonly #streams = new Map<string, WidgetStream>();
  #byIndex = new Map<number, WidgetStream>();
  /** The widgets of a layout that have come so far. */
  #placed: wire.StreamWidget[] = [];

  /** The stream of a widget, made by the first call. */
  stream(id: string): WidgetStream {
    const stream = this.#streams.get(id) ?? new WidgetStream(id);
    this.#streams.set(id, stream);
    return stream;
  }

  all(): IterableIterator<WidgetStream> {
    return this.#streams.values();
  }

  /** Every widget has had its snapshot. */
  get known(): boolean {
    return this.#streams.size > 0 && [...this.#streams.values()].every((stream) => stream.known);
  }

  /** The newest window end of all widgets: where the time axes end. NaN when there is none. */
  get edge(): number {
    let edge = Number.NaN;
    for (const stream of this.#streams.values()) {
      const end = stream.ring.lastEnd;
      if (!(end <= edge) && !Number.isNaN(end)) edge = end;
    }
    return edge;
  }

  /** The oldest window end of all widgets that have values: nothing is to be seen before it. NaN when there is none. */
  get beginning(): number {
    let beginning = Number.NaN;
    for (const { ring, columns } of this.#streams.values()) {
      const end = ring.firstEnd;
      if (columns.length > 0 && !(end >= beginning) && !Number.isNaN(end)) beginning = end;
    }
    return beginning;
  }

  /** Where each widget stands, for the hello of the next connection. */
  resumePoints(): Record<string, wire.ResumePoint> {
    const points: Record<string, wire.ResumePoint> = {};
    for (const stream of this.#byIndex.values()) {
      const point = stream.resumePoint();
      if (point !== null) points[stream.id] = point;
    }
    return points;
  }

  /** arrival: monotonic ms at which the message came. */
  apply(message: wire.ServerMessage, arrival: number): Applied {
    switch (message.type) {
      case "welcome":
        // What came over an earlier connection came at an unknown time: the device may have slept since.
        for (const stream of this.#streams.values()) stream.arrivedAt = Number.NaN;
        this.version = message.dashboard.version;
        return this.#place(message);
      case "dashboard":
        this.version = message.version;
        return this.#place(message);
      case "widgets":
        return this.#place(message);
      case "snapshot":
        return this.#change(message.index, (stream) => stream.snapshot(message, arrival));
      case "series":
        return this.#change(message.index, (stream) => stream.series(message));
      case "state":
        return this.#change(message.index, (stream) => {
          stream.known = true;
          stream.state = message.state;
          stream.detail = message.detail ?? "";
          return true;
        });
      case "update": {
        const changed: WidgetStream[] = [];
        let resync = false;
        for (const entry of message.updates) {
          const stream = this.#byIndex.get(entry[0]);
          if (stream?.update(entry, arrival)) changed.push(stream);
          else resync = true;
        }
        return { changed, resync };
      }
      case "heartbeat":
      case "close":
        return NOTHING;
    }
  }

  #change(index: number, apply: (stream: WidgetStream) => boolean): Applied {
    const stream = this.#byIndex.get(index);
    if (!stream || !apply(stream)) return { changed: [], resync: true };
    return { changed: [stream], resync: false };
  }

  /** Indexes hold once all widgets have come; those that are gone are forgotten. */
  #place(message: wire.WelcomeMessage | wire.DashboardMessage | wire.WidgetsMessage): Applied {
    if (message.type !== "widgets") this.#placed = [];
    for (const widget of message.widgets) {
      const last = this.#placed.at(-1);
      // The next piece of a long key.
      if (last?.index === widget.index) this.#placed[this.#placed.length - 1] = { ...last, metric_key: last.metric_key + widget.metric_key };
      else this.#placed.push(widget);
    }
    if (message.more === true) return NOTHING;
    const changed: WidgetStream[] = [];
    const byIndex = new Map<number, WidgetStream>();
    for (const widget of this.#placed) {
      const stream = this.stream(widget.widget_id);
      stream.bind(widget);
      byIndex.set(widget.index, stream);
      changed.push(stream);
    }
    this.#placed = [];
    this.#byIndex = byIndex;
    const present = new Set(byIndex.values());
    for (const [id, stream] of this.#streams) if (!present.has(stream)) this.#streams.delete(id);
    return { changed, resync: false };
  }
}
