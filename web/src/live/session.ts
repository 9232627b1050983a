import { signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { streamAddress } from "../api/client";
import { keeper } from "../api/token";
import type { Tags } from "../model/series";
import { CLOSED_TOKEN } from "./backoff";
import { ServerClock } from "./clock";
import { freshness, type Flow, type Freshness } from "./freshness";
import type { HelloMessage, ServerMessage } from "./protocol";
import { measurePulse, type Pulse } from "./pulse";
import { Scheduler } from "./scheduler";
import { browserWorld, StreamSocket, type SocketStatus, type SocketWorld } from "./socket";
import { DashboardStore, type WidgetStream } from "./store";

const STATUS_MS = 250;
const HIDDEN_MS = 10_000;
const RESYNC_MS = 2_000;
const LAG_WEIGHT = 0.3;
/** When the wall clock runs ahead of the monotonic one by as much, the device has slept, and the link may be dead. */
const SLEPT_MS = 5_000;

/** The state of a widget's values, as its frame shows it. */
export interface WidgetStatus {
  readonly freshness: Freshness;
  readonly detail: string;
  /** Age of the newest value in whole seconds; 0 where it is not shown. */
  readonly ageSeconds: number;
  /** The pipeline has not read all events of the newest window. */
  readonly partial: boolean;
}

const SKELETON: WidgetStatus = { freshness: "skeleton", detail: "", ageSeconds: 0, partial: false };

/** The session of a dashboard that the origin of this page has. */
export function dashboardSession(dashboardId: string, rangeMs = 0): LiveSession {
  return new LiveSession(streamAddress(dashboardId, location), browserWorld(), rangeMs);
}

/** The live side of one dashboard page: socket, store, clock and drawing. */
export class LiveSession {
  readonly store = new DashboardStore();
  readonly scheduler = new Scheduler();
  readonly pulse = signal<Pulse>({ kind: "connecting" });
  readonly paused = signal(false);
  /** Version of the dashboard that the stream shows. */
  readonly version = signal(0);
  /** The build of the page that the server has, empty before the welcome. */
  readonly build = signal("");
  /** Length of the time axes in ms, 0 for all there is. */
  readonly range: Signal<number>;
  /** What the viewer chose among the values of tags; a tag without a choice is not in it. */
  readonly choice = signal<Tags>({});
  /** Rises when a widget's series may have changed. */
  readonly revision = signal(0);
  /** Do not pause while the page is hidden: browsers report wall displays as hidden. */
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
  /** The welcome of this connection has come, and with it the server's time. */
  #greeted = false;
  /** The wall clock of this device less its monotonic one, when it was last compared. */
  #wallAhead: number;
  /** Pause or play was sent on this connection, or was not needed. */
  #flowSent = false;
  #lag = Number.NaN;
  /** How many updates of this connection are still left out of the lag: the first ones wait while the page draws its history. */
  #unmeasured = 0;
  #resyncAt = Number.NEGATIVE_INFINITY;
  #cancelTimer = (): void => {};
  #hiddenTimer: (() => void) | null = null;
  #hidden = false;

  readonly #world: SocketWorld;

  constructor(url: string, world: SocketWorld, rangeMs: number) {
    this.#world = world;
    this.#wallAhead = world.wall() - world.now();
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
    this.#socket.start();
    this.#unfollow = keeper.token.subscribe((token) => {
      // A token may be given long after the dialog was closed.
      if (token !== this.#sent) this.#startAgain();
    });
    this.#checkStatus();
    const until = { signal: this.#listeners.signal };
    window.addEventListener("online", () => this.#socket.retryNow(), until);
    window.addEventListener("beforeprint", () => this.scheduler.drawAll(), until);
    document.addEventListener("visibilitychange", () => this.#visibilityChanged(), until);
  }

  stop(): void {
    this.#listeners.abort();
    this.#unfollow();
    this.#cancelTimer();
    this.#hiddenTimer?.();
    this.#socket.stop();
    this.scheduler.stop();
  }

  /** Tries to connect at the user's wish. */
  retryNow(): void {
    this.#socket.retryNow(true);
  }

  setPaused(paused: boolean): void {
    this.paused.value = paused;
    this.#sendFlow();
    this.#refreshStatus();
  }

  status(id: string): ReadonlySignal<WidgetStatus> {
    const status = this.#statuses.get(id) ?? signal(SKELETON);
    this.#statuses.set(id, status);
    return status;
  }

  /** Server time now, in epoch ms; NaN before the first frame. */
  serverNow(): number {
    return this.#clock.at(this.#world.now());
  }

  #hello(): HelloMessage {
    this.#sent = keeper.token.value;
    return { type: "hello", ...(this.#sent && { token: this.#sent }), resume: this.store.resumePoints() };
  }

  /** Connects with another token, where that of the last hello was refused. */
  #startAgain(): void {
    const isRefused = this.#link.kind === "ended" && this.#link.code === CLOSED_TOKEN;
    if (isRefused && !this.#listeners.signal.aborted) this.#socket.start();
  }

  #receive(message: ServerMessage, arrival: number): void {
    if (message.type === "welcome") {
      // Another server may have another clock.
      this.#clock.reset();
      this.#greeted = true;
      this.#connectedOnce = true;
    }
    if ("server_time" in message) this.#clock.observe(message.server_time, arrival);
    const { changed, resync } = this.store.apply(message, arrival);
    for (const stream of changed) this.scheduler.invalidate(stream.id);
    this.#announceFlow();
    if (resync && arrival - this.#resyncAt > RESYNC_MS) {
      this.#resyncAt = arrival;
      this.#socket.send({ type: "resync" });
    }
    this.version.value = this.store.version;
    if (message.type === "welcome") this.build.value = message.build ?? "";
    if (message.type === "update") this.#measureLag(changed, arrival);
    if (message.type === "snapshot" || message.type === "series") this.revision.value++;
    if (message.type === "welcome" || message.type === "snapshot" || message.type === "state") this.#refreshStatus();
  }

  #setLink(link: SocketStatus): void {
    this.#link = link;
    if (link.kind === "ended" && link.code === CLOSED_TOKEN) void keeper.ask(this.#sent, link.reason).then((given) => given && this.#startAgain());
    this.#greeted = false;
    if (link.kind === "open") {
      this.#unmeasured = 2;
      this.#lag = Number.NaN;
      this.#flowSent = false;
      this.#announceFlow();
    }
    this.#refreshStatus();
  }

  /** Measures, smoothed, how far behind the server's clock results are when they come. */
  #measureLag(changed: readonly WidgetStream[], arrival: number): void {
    if (this.#unmeasured > 0) {
      this.#unmeasured--;
      return;
    }
    const now = this.#clock.at(arrival);
    const least = Math.min(...changed.map(({ ring, delayMs }) => now - ring.lastEnd - delayMs));
    if (!Number.isFinite(least)) return;
    const lag = Math.max(0, least);
    this.#lag = Number.isNaN(this.#lag) ? lag : this.#lag + LAG_WEIGHT * (lag - this.#lag);
  }

  get #flow(): Flow {
    if (this.#link.kind !== "open" || !this.#greeted) return "lost";
    return this.paused.value ? "paused" : "flowing";
  }

  /** A new connection sends updates until it is paused, which happens once all snapshots have come. */
  #announceFlow(): void {
    if (this.#flowSent || !this.store.known) return;
    this.#flowSent = true;
    if (this.paused.value || this.#hidden) this.#sendFlow();
  }

  #sendFlow(): void {
    this.#socket.send({ type: this.paused.value || this.#hidden ? "pause" : "play" });
  }

  /** A hidden tab is paused after a while; when it is shown, a snapshot brings what it has missed. */
  #visibilityChanged(): void {
    this.#hiddenTimer?.();
    this.#hiddenTimer = null;
    if (document.visibilityState === "hidden" && !this.keepRunning) {
      this.#hiddenTimer = this.#world.after(HIDDEN_MS, () => {
        this.#hidden = true;
        this.#sendFlow();
      });
      return;
    }
    if (this.#hidden) {
      this.#hidden = false;
      if (!this.paused.value) this.#sendFlow();
    }
    this.#socket.retryNow();
    // Browsers suspend the timers of hidden pages: show the state of now, not that of then.
    this.#noticeSleep();
    this.#refreshStatus();
    this.scheduler.invalidateAll();
  }

  #checkStatus(): void {
    this.#noticeSleep();
    this.#refreshStatus();
    this.#cancelTimer = this.#world.after(STATUS_MS, () => this.#checkStatus());
  }

  /** The monotonic clock stops while a device sleeps, which makes the server's time wrong afterwards: connect anew. */
  #noticeSleep(): void {
    const ahead = this.#world.wall() - this.#world.now();
    const slept = ahead - this.#wallAhead > SLEPT_MS;
    this.#wallAhead = ahead;
    if (slept) this.#socket.renew();
  }

  #refreshStatus(): void {
    const monotonic = this.#world.now();
    const serverNow = this.#clock.at(monotonic);
    const flow = this.#flow;
    for (const [id, status] of this.#statuses) {
      const next = this.#widgetStatus(this.store.stream(id), serverNow, monotonic, flow);
      if (JSON.stringify(next) !== JSON.stringify(status.value)) {
        status.value = next;
        // The time axis of a silent widget moves on with that of the others.
        this.scheduler.invalidate(id);
      }
    }
    const pulse = measurePulse({ store: this.store, link: this.#link, flow, connectedOnce: this.#connectedOnce, serverNow, monotonic, lag: this.#lag });
    if (JSON.stringify(pulse) !== JSON.stringify(this.pulse.value)) this.pulse.value = pulse;
  }

  #widgetStatus(stream: WidgetStream, serverNow: number, monotonic: number, flow: Flow): WidgetStatus {
    const fresh = freshness(stream, serverNow, monotonic, flow);
    const old = fresh === "stale" || fresh === "late" || fresh === "degraded" || fresh === "lost";
    const age = Math.max(0, Math.round((serverNow - stream.ring.lastEnd) / 1000)) || 0;
    return { freshness: fresh, detail: stream.detail, ageSeconds: old ? age : 0, partial: stream.ring.completeView().at(-1) === 0 };
  }
}
