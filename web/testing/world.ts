import assert from "node:assert/strict";
import type { ConnectionEvents } from "../src/live/socket";

/** A world in which time passes only when a test says so. */
export class TestWorld {
  time = 0;
  /** The clock of the device less the monotonic one. */
  wallAhead = 0;
  readonly connections: { readonly events: ConnectionEvents; readonly sent: string[]; closed: boolean }[] = [];
  private timers: { readonly at: number; readonly action: () => void }[] = [];

  now = (): number => this.time;
  wall = (): number => this.time + this.wallAhead;
  random = (): number => 0.5;
  after = (ms: number, action: () => void): (() => void) => {
    const timer = { at: this.time + ms, action };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  };
  connect = (_url: string, subprotocol: string, events: ConnectionEvents) => {
    assert.equal(subprotocol, "pulseboard.v1");
    const connection = { events, sent: [] as string[], closed: false };
    this.connections.push(connection);
    return {
      send: (text: string) => connection.sent.push(text),
      close: () => {
        connection.closed = true;
      },
    };
  };

  pass(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = this.timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.timers = this.timers.filter((timer) => timer !== next);
      this.time = next.at;
      next.action();
    }
    this.time = end;
  }

  get last() {
    const connection = this.connections.at(-1);
    assert.ok(connection);
    return connection;
  }
}
