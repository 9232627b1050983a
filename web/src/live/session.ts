import { signal, type ReadonlySignal, type Signal } from "../signal";
import { keeper } from "../api/token";
import { CLOSED_TOKEN } from "./backoff";
import { ServerClock } from "./clock";
import { freshness, type Freshness } from "./freshness";
import type { HelloMessage, ServerMessage, Tags } from "./protocol";
import { Scheduler } from "./scheduler";
import { StreamSocket, type SocketStatus, type SocketWorld } from "./socket";
import { DashboardStore, type WidgetStream } from "./store";

const STATUS_MS = 250;
const HIDDEN_MS = 10_000;
const RESYNC_MS = 2_000;
const LAG_WEIGHT = 0.3;

/** What the pill in the header says about the whole page. */
export type Pulse =
  | { readonly kind: "connecting" }
  | { readonly kind: "quiet" }
  /** behind in seconds as text, empty until it has been measured. */
  | { readonly kind: "live"; readonly behind: string }
  | { readonly kind: "as-of"; readonly time: number }
  | { readonly kind: "reconnecting"; readonly seconds: number }
  | { readonly kind: "paused"; readonly time: number }
  | { readonly kind: "ended"; readonly code: number; readonly reason: string };

/** What the frame of one widget says about its values. */
export interface WidgetStatus {
  readonly freshness: Freshness;
  readonly detail: string;
  /** Age of the newest value in whole seconds; only where it is worth saying. */
  readonly ageSeconds: number;
  /** The newest window is not whole: the pipeline has not read all of it. */
  readonly partial: boolean;
}

const SKELETON: WidgetStatus = { freshness: "skeleton", detail: "", ageSeconds: 0, partial: false };

/** The live side of one dashboard page: socket, store, clock and drawing. */
export class LiveSession {
  readonly store = new DashboardStore();
  readonly scheduler = new Scheduler();
  readonly pulse: Signal<Pulse> = signal<Pulse>({ kind: "connecting" });
  readonly paused = signal(false);
  /** Version of the dashboard that the stream shows. */
  readonly version = signal(0);
  /** Length of the time axes in ms, 0 for all there is. */
  readonly range: Signal<number>;
  /** What the viewer chose among the values of tags; a tag without a choice is not in it. */
  readonly choice: Signal<Tags> = signal<Tags>({});
  /** Rises when a widget's series may have changed. */
  readonly revision = signal(0);
  /** A wall display: nobody touches it, and it may say that it is hidden. */
  keepRunning = false;

  readonly #clock = new ServerClock();
  readonly #socket: StreamSocket;
  readonly #statuses = new Map<string, Signal<WidgetStatus>>();
  readonly #listeners = new AbortController();
  #link: SocketStatus = { kind: "connecting" };
  /** The token of the newest hello. */
  #sent = "";
  #unfollow = (): void => {};
  #connectedOnce = false;
  /** The server of this connection knows whether to send anything. */
  #toldFlow = false;
  #lag = Number.NaN;
  /** The first updates of a connection wait while the page draws its history: they tell nothing about the link. */
  #settling = 0;
  #resyncAt = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setInterval> | null = null;
  #hiddenTimer: ReturnType<typeof setTimeout> | null = null;
  #hidden = false;

  readonly #world: SocketWorld;

  constructor(
    url: string,
    world: SocketWorld,
    rangeMs: number,
  ) {
    this.#world = world;
    this.range = signal(rangeMs);
    this.#socket = new StreamSocket({
      url,
      world,
      hello: () => this.#hello(),
      onMessage: (message, arrival) => this.#receive(message, arrival),
      onStatus: (status) => this.#setLink(status),
    });
  }

  start(): void {
    // For end-to-end tests, which count the points that the page has.
    dispatchEvent(new CustomEvent("pulseboard", { detail: this }));
    this.#socket.start();
    this.#unfollow = keeper.token.subscribe((token) => {
      // It may come long after the dialog was closed.
      if (token !== this.#sent) this.#startAgain();
    });
    this.#timer = setInterval(() => this.#refreshStatus(), STATUS_MS);
    const { signal: until } = this.#listeners;
    window.addEventListener("online", () => this.#socket.retryNow(), { signal: until });
    document.addEventListener("visibilitychange", () => this.#visibilityChanged(), { signal: until });
  }

  stop(): void {
    this.#listeners.abort();
    this.#unfollow();
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#hiddenTimer !== null) clearTimeout(this.#hiddenTimer);
    this.#socket.stop();
    this.scheduler.stop();
  }

  /** Someone asks for it. */
  retryNow(): void {
    this.#socket.retryNow(true);
  }

  setPaused(paused: boolean): void {
    this.paused.value = paused;
    this.#sendFlow();
    this.#refreshStatus();
  }

  status(id: string): ReadonlySignal<WidgetStatus> {
    let status = this.#statuses.get(id);
    if (status === undefined) {
      status = signal(SKELETON);
      this.#statuses.set(id, status);
    }
    return status;
  }

  /** How far the clock of this device is ahead of the server's, in ms; NaN before the first frame. */
  skew(): number {
    return Date.now() - this.serverNow();
  }

  /** Server time now, in epoch ms; NaN before the first frame. */
  serverNow(): number {
    return this.#clock.at(this.#world.now());
  }

  #hello(): HelloMessage {
    this.#sent = keeper.token.value;
    const resume = this.store.resumePoints();
    return this.#sent === "" ? { type: "hello", resume } : { type: "hello", token: this.#sent, resume };
  }

  get #refused(): boolean {
    return this.#link.kind === "ended" && this.#link.code === CLOSED_TOKEN;
  }

  async #askForToken(reason: string): Promise<void> {
    if (await keeper.ask(this.#sent, reason)) this.#startAgain();
  }

  #startAgain(): void {
    if (this.#refused && !this.#listeners.signal.aborted) this.#socket.start();
  }

  #receive(message: ServerMessage, arrival: number): void {
    if ("server_time" in message) this.#clock.observe(message.server_time, arrival);
    const { changed, resync } = this.store.apply(message, arrival);
    for (const stream of changed) this.scheduler.invalidate(stream.id);
    this.#tellFlow();
    if (resync && arrival - this.#resyncAt > RESYNC_MS) {
      this.#resyncAt = arrival;
      this.#socket.send({ type: "resync" });
    }
    switch (message.type) {
      case "update":
        this.#measureLag(changed, arrival);
        break;
      case "welcome":
      case "dashboard":
        this.version.value = this.store.version;
        break;
      case "snapshot":
        this.#refreshStatus();
        this.revision.value++;
        break;
      case "series":
        this.revision.value++;
        break;
      default:
    }
  }

  #setLink(link: SocketStatus): void {
    this.#link = link;
    if (link.kind === "ended" && link.code === CLOSED_TOKEN) void this.#askForToken(link.reason);
    if (link.kind === "open") {
      this.#connectedOnce = true;
      // The next server may have another clock.
      this.#clock.reset();
      this.#settling = 2;
      this.#lag = Number.NaN;
      this.#toldFlow = false;
      this.#tellFlow();
    }
    this.#refreshStatus();
  }

  /** How far behind the server's clock results are when they come, smoothed. */
  #measureLag(changed: readonly WidgetStream[], arrival: number): void {
    if (this.#settling > 0) {
      this.#settling--;
      return;
    }
    const now = this.#clock.at(arrival);
    let lag = Number.NaN;
    for (const stream of changed) {
      const one = now - stream.ring.lastEnd - stream.delayMs;
      if (!(one >= lag)) lag = one;
    }
    if (Number.isNaN(lag)) return;
    lag = Math.max(0, lag);
    this.#lag = Number.isNaN(this.#lag) ? lag : this.#lag + LAG_WEIGHT * (lag - this.#lag);
  }

  get #flowing(): boolean {
    return this.#link.kind === "open" && !this.paused.value && !this.#hidden;
  }

  /** A new connection flows until it is told not to: once there is something to look at. */
  #tellFlow(): void {
    if (this.#toldFlow || !this.store.known) return;
    this.#toldFlow = true;
    if (this.paused.value || this.#hidden) this.#sendFlow();
  }

  #sendFlow(): void {
    this.#socket.send({ type: this.paused.value || this.#hidden ? "pause" : "play" });
  }

  /** A tab that nobody sees gets no updates; one snapshot makes up for them. */
  #visibilityChanged(): void {
    if (this.#hiddenTimer !== null) clearTimeout(this.#hiddenTimer);
    this.#hiddenTimer = null;
    if (document.visibilityState === "hidden" && !this.keepRunning) {
      this.#hiddenTimer = setTimeout(() => {
        this.#hidden = true;
        this.#sendFlow();
      }, HIDDEN_MS);
      return;
    }
    if (this.#hidden) {
      this.#hidden = false;
      if (!this.paused.value) this.#sendFlow();
    }
    this.#socket.retryNow();
    this.scheduler.invalidateAll();
  }

  #refreshStatus(): void {
    const monotonic = this.#world.now();
    const serverNow = this.#clock.at(monotonic);
    const flowing = this.#flowing;
    for (const [id, status] of this.#statuses) {
      const next = this.#widgetStatus(this.store.stream(id), serverNow, monotonic, flowing);
      if (JSON.stringify(next) !== JSON.stringify(status.value)) {
        status.value = next;
        // The time axis of a silent widget moves on with that of the others.
        this.scheduler.invalidate(id);
      }
    }
    const pulse = this.#measurePulse(serverNow, monotonic);
    if (JSON.stringify(pulse) !== JSON.stringify(this.pulse.value)) this.pulse.value = pulse;
  }

  #widgetStatus(stream: WidgetStream, serverNow: number, monotonic: number, flowing: boolean): WidgetStatus {
    const fresh = freshness(stream, serverNow, monotonic, flowing);
    const old = fresh === "stale" || fresh === "late" || fresh === "degraded";
    const age = old ? Math.max(0, Math.round((serverNow - stream.ring.lastEnd) / 1000)) : 0;
    const complete = stream.ring.completeView();
    const partial = complete.length > 0 && complete[complete.length - 1] === 0;
    return { freshness: fresh, detail: stream.detail, ageSeconds: Number.isNaN(age) ? 0 : age, partial };
  }

  #measurePulse(serverNow: number, monotonic: number): Pulse {
    const link = this.#link;
    const edge = this.store.edge;
    switch (link.kind) {
      case "ended":
        return link;
      case "waiting":
        return { kind: "reconnecting", seconds: Math.max(1, Math.ceil((link.until - monotonic) / 1000)) };
      case "connecting":
        return this.#connectedOnce ? { kind: "reconnecting", seconds: 0 } : { kind: "connecting" };
      case "open":
    }
    if (this.paused.value) return { kind: "paused", time: edge };
    // Window ends come before the first event; they are no values.
    if ([...this.store.all()].every(({ columns }) => columns.length === 0)) return { kind: "quiet" };
    let refreshMs = Number.POSITIVE_INFINITY;
    let fresh = false;
    for (const stream of this.store.all()) {
      const state = freshness(stream, serverNow, monotonic, this.#flowing);
      if (state !== "live" && state !== "late") continue;
      fresh = true;
      refreshMs = Math.min(refreshMs, stream.refreshMs);
    }
    if (!fresh) return { kind: "as-of", time: edge };
    const waited = serverNow - edge - refreshMs;
    if (Number.isNaN(this.#lag) && waited < 1000) return { kind: "live", behind: "" };
    const behind = Math.max(Number.isNaN(this.#lag) ? 0 : this.#lag, waited);
    return { kind: "live", behind: (behind / 1000).toFixed(behind < 9950 ? 1 : 0) };
  }
}
