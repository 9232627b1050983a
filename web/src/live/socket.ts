import { backoff, isFinal } from "./backoff";
import { parseServerMessage, SUBPROTOCOL, type ClientMessage, type CloseMessage, type HelloMessage, type ServerMessage } from "./protocol";

const STABLE_MS = 10_000;
const DEFAULT_HEARTBEAT_MS = 5_000;
const SILENT_HEARTBEATS = 2.5;
/** The longest that a server may take to greet. */
const MAX_GREETING_MS = 60_000;

export type SocketStatus =
  | { readonly kind: "connecting" }
  | { readonly kind: "open" }
  /** until: monotonic ms of the next try. */
  | { readonly kind: "waiting"; readonly until: number }
  /** Closed with a code that a new connection would meet again (isFinal): there is no further try. */
  | { readonly kind: "ended"; readonly code: number; readonly reason: string };

/** The part of a WebSocket that is used, so that tests can stand in for it. */
export interface Connection {
  send(text: string): void;
  close(): void;
}

export interface ConnectionEvents {
  open(): void;
  message(frame: unknown): void;
  close(code: number, reason: string): void;
}

/** Time, chance and network of the outside world. Times are monotonic ms. */
export interface SocketWorld {
  now(): number;
  /** The wall clock of the device, in epoch ms; it may be wrong, and may jump. */
  wall(): number;
  random(): number;
  /** Runs action once; the function that is returned cancels it. */
  after(ms: number, action: () => void): () => void;
  connect(url: string, subprotocol: string, events: ConnectionEvents): Connection;
}

export interface SocketOptions {
  readonly url: string;
  readonly world: SocketWorld;
  /** The first message of each connection. */
  hello(): HelloMessage;
  onMessage(message: ServerMessage, arrival: number): void;
  onStatus(status: SocketStatus): void;
}

/**
 * A stream that is kept alive: it connects again with full jitter after a loss, and takes a silence of 2.5 heartbeats as one,
 * since a half-open link never closes by itself and scripts cannot see protocol pings.
 */
export class StreamSocket {
  #connection: Connection | null = null;
  #opened = false;
  /** A message has come on this connection. */
  #greeted = false;
  /** The close message of this connection. */
  #farewell: CloseMessage | null = null;
  #attempt = 0;
  #heartbeatMs = DEFAULT_HEARTBEAT_MS;
  #heardAt = 0;
  #stopped = false;
  /** What cancels each timer that runs. */
  readonly #timers = new Map<"retry" | "silence" | "stable", () => void>();

  readonly #options: SocketOptions;

  constructor(options: SocketOptions) {
    this.#options = options;
  }

  start(): void {
    this.#stopped = false;
    this.#connect();
  }

  /** Ends the stream for good. */
  stop(): void {
    this.#stopped = true;
    this.#drop();
  }

  /** Ends a wait for the next try, since network or tab are back. When the user has asked for it, also after a final close code. */
  retryNow(asked = false): void {
    if (this.#stopped || this.#connection !== null || !(this.#timers.has("retry") || asked)) return;
    this.#connect();
  }

  /** Replaces a connection that may be dead unnoticed by a new one. */
  renew(): void {
    if (this.#stopped || this.#connection === null) return;
    this.#lost(0, "");
    this.retryNow();
  }

  /** False when no connection is open. */
  send(message: ClientMessage): boolean {
    if (this.#connection === null || !this.#opened) return false;
    this.#connection.send(JSON.stringify(message));
    return true;
  }

  #connect(): void {
    const { url, world, onStatus } = this.#options;
    this.#drop();
    this.#greeted = false;
    this.#farewell = null;
    onStatus({ kind: "connecting" });
    this.#heardAt = world.now();
    /** Events of a connection that was dropped are ignored. */
    const isCurrent = (): boolean => this.#connection === connection;
    const connection = world.connect(url, SUBPROTOCOL, {
      open: () => isCurrent() && this.#begin(),
      message: (frame) => isCurrent() && this.#receive(frame),
      close: (code, reason) => isCurrent() && this.#lost(code, reason),
    });
    this.#connection = connection;
    this.#checkSilence();
  }

  #begin(): void {
    this.#opened = true;
    this.#heardAt = this.#options.world.now();
    this.send(this.#options.hello());
    this.#options.onStatus({ kind: "open" });
  }

  #receive(frame: unknown): void {
    const arrival = this.#options.world.now();
    this.#heardAt = arrival;
    if (typeof frame !== "string") return;
    let message: ServerMessage | null;
    try {
      message = parseServerMessage(frame);
    } catch {
      return; // Not JSON: ignored, the next one may be.
    }
    if (message === null) return;
    if (!this.#greeted) {
      this.#greeted = true;
      this.#after("stable", STABLE_MS, () => {
        this.#attempt = 0;
      });
    }
    if (message.type === "welcome") this.#heartbeatMs = message.heartbeat_ms || DEFAULT_HEARTBEAT_MS;
    if (message.type === "close") this.#farewell = message;
    this.#options.onMessage(message, arrival);
  }

  /** One timer checks when the newest message came, instead of a new timer for each message. */
  #checkSilence(): void {
    const left = this.#heardAt + this.#allowedSilence() - this.#options.world.now();
    if (left <= 0) this.#lost(0, "no sign of life");
    else this.#after("silence", Math.min(left, this.#heartbeatMs), () => this.#checkSilence());
  }

  /**
   * How long the server may be silent, in ms. Until it has greeted, each try has twice as long as the one before: over a slow
   * link a connection alone takes several round trips.
   */
  #allowedSilence(): number {
    const usual = SILENT_HEARTBEATS * this.#heartbeatMs;
    return this.#greeted ? usual : Math.max(usual, Math.min(MAX_GREETING_MS, usual * 2 ** Math.min(this.#attempt, 10)));
  }

  #lost(code: number, reason: string): void {
    const { world, onStatus } = this.#options;
    const final = isFinal(code) ? code : (this.#farewell?.code ?? 0);
    this.#drop();
    if (isFinal(final)) {
      onStatus({ kind: "ended", code: final, reason: reason || (this.#farewell?.reason ?? "") });
      return;
    }
    const wait = (this.#farewell?.reconnect_after_ms ?? 0) + backoff(this.#attempt, world.random);
    this.#attempt++;
    this.#after("retry", wait, () => this.#connect());
    onStatus({ kind: "waiting", until: world.now() + wait });
  }

  #after(timer: "retry" | "silence" | "stable", ms: number, action: () => void): void {
    this.#timers.set(timer, this.#options.world.after(ms, action));
  }

  /** Lets go of the connection without waiting for its close handshake, and ends all timers. */
  #drop(): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    const connection = this.#connection;
    this.#connection = null;
    this.#opened = false;
    connection?.close();
  }
}

/** The browser's own time, chance and network. */
export function browserWorld(): SocketWorld {
  return {
    now: () => performance.now(),
    wall: () => Date.now(),
    random: Math.random,
    after: (ms, action) => {
      const timer = setTimeout(action, ms);
      return () => clearTimeout(timer);
    },
    connect: (url, subprotocol, events) => {
      const socket = new WebSocket(url, subprotocol);
      socket.onopen = () => events.open();
      socket.onmessage = (event) => events.message(event.data);
      socket.onclose = (event) => events.close(event.code, event.reason);
      return {
        send: (text) => socket.send(text),
        close: () => socket.close(),
      };
    },
  };
}
