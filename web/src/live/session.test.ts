// The states of link, gateway, pipeline, Redis and token, each walked in a world
// whose time is the test's: what may be told of a value, and when.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Freshness } from "./freshness";
import { LiveSession } from "./session";
import { TestWorld } from "../../testing/world";

// What a session asks of a browser. Pages that are drawn are in web/e2e.
const windowEvents = new EventTarget();
const documentEvents = new EventTarget();
let visible = "visible";
Object.assign(globalThis, {
  window: windowEvents,
  document: Object.defineProperty(documentEvents, "visibilityState", { get: () => visible }),
  dispatchEvent: () => true,
  requestAnimationFrame: () => 1,
  cancelAnimationFrame: () => undefined,
});

const T = 1_763_892_060_000;
const ID = "w";
/** What a page shows in colour, as of now; everything else is grey, held or covered. */
const CLAIMS_NOW: ReadonlySet<Freshness> = new Set(["live", "late"]);

/** A server's clock and what it sends, beside a session that watches one widget. */
class Stage {
  readonly world = new TestWorld();
  readonly session: LiveSession;
  /** The server's clock less the monotonic one of the page. */
  serverAhead = T;
  end = T;

  constructor() {
    this.session = new LiveSession("ws://test/stream/1", this.world, 0);
    this.session.status(ID);
    this.session.start();
  }

  say(message: object): void {
    this.world.last.events.message(JSON.stringify(message));
  }

  get serverTime(): number {
    return this.world.time + this.serverAhead;
  }

  welcome(): void {
    this.say({ type: "welcome", server_time: this.serverTime, heartbeat_ms: 5000, dashboard: { id: "d", version: 1 }, widgets: [{ index: 0, widget_id: ID, metric_key: "m:max:5s", key_id: "id", refresh_ms: 1000, window_ms: 5000 }] });
  }

  snapshot(state = "live", series: object[] = [{ tags: {} }]): void {
    this.say({ type: "snapshot", index: 0, state, reset: true, series_version: "a", series, covered_since: 0, points: [[this.end, this.end, series.map(() => 1)]] });
  }

  heartbeat(): void {
    this.say({ type: "heartbeat", server_time: this.serverTime });
  }

  /** Seconds in which results come, each with its update. */
  live(seconds: number): void {
    for (let i = 0; i < seconds; i++) {
      this.world.pass(1000);
      this.end += 1000;
      this.say({ type: "update", server_time: this.serverTime, updates: [[0, this.end, this.end, "a", [i]]] });
    }
  }

  get now(): { readonly widget: Freshness; readonly pill: string } {
    return { widget: this.session.status(ID).value.freshness, pill: this.session.pulse.value.kind };
  }
}

/** One that has shown live values for a while. */
function watching(): Stage {
  const stage = new Stage();
  stage.world.last.events.open();
  stage.welcome();
  stage.snapshot();
  stage.live(10);
  assert.deepEqual(stage.now, { widget: "live", pill: "live" });
  return stage;
}

/** No look within ms claims that an old value is of now; the last one is returned. */
function neverLive(stage: Stage, ms: number): Stage["now"] {
  for (let passed = 0; passed < ms; passed += 50) {
    stage.world.pass(50);
    assert.ok(!CLAIMS_NOW.has(stage.now.widget), `${passed} ms later a widget says ${stage.now.widget}`);
    assert.ok(!["live", "late", "quiet"].includes(stage.now.pill), `${passed} ms later the pill says ${stage.now.pill}`);
  }
  return stage.now;
}

test("before anything came nothing is claimed", () => {
  const stage = new Stage();
  assert.deepEqual(neverLive(stage, 3000), { widget: "skeleton", pill: "connecting" });
  stage.world.last.events.open();
  assert.deepEqual(neverLive(stage, 9000), { widget: "skeleton", pill: "connecting" });
  stage.welcome();
  assert.deepEqual(neverLive(stage, 300), { widget: "skeleton", pill: "connecting" });
});

test("lost, and the server is long in greeting: grey until the new server's time and values are there", () => {
  const stage = watching();
  stage.world.last.events.close(1006, "");
  assert.equal(stage.now.widget, "lost");
  stage.world.pass(250);
  stage.world.last.events.open();
  assert.deepEqual(neverLive(stage, 10_000), { widget: "lost", pill: "reconnecting" });
  // Its clock is another one's, and its greeting brings no value.
  stage.serverAhead -= 7_000;
  stage.welcome();
  assert.deepEqual(neverLive(stage, 1000), { widget: "stale", pill: "as-of" });
  stage.end = stage.serverTime;
  stage.snapshot();
  assert.deepEqual(stage.now, { widget: "live", pill: "live" });
});

test("a half-open link: grey as soon as a result is overdue, lost when a sign of life is", () => {
  const stage = watching();
  stage.world.pass(2000);
  assert.equal(stage.now.widget, "live", "nothing is overdue yet");
  stage.world.pass(1250);
  assert.deepEqual(neverLive(stage, 5000), { widget: "stale", pill: "as-of" });
  assert.deepEqual(neverLive(stage, 12_000).widget, "lost");
});

test("the server is gone for good: grey from the first moment, through every try", () => {
  const stage = watching();
  stage.world.last.events.close(1006, "");
  for (let tries = 0; tries < 6; tries++) {
    assert.deepEqual(neverLive(stage, 16_000).widget, "lost");
    if (stage.world.last.closed) continue;
    stage.world.last.events.close(1006, "");
  }
  assert.ok(stage.session.status(ID).value.ageSeconds > 60, "its age goes on");
});

test("the pipeline stands still while the link lives", () => {
  const stage = watching();
  stage.world.pass(3250);
  for (let i = 0; i < 5; i++) {
    assert.deepEqual(neverLive(stage, 4000), { widget: "stale", pill: "as-of" });
    stage.heartbeat();
  }
  stage.end = stage.serverTime;
  stage.live(1);
  stage.world.pass(250);
  assert.equal(stage.now.widget, "live");
});

test("the pipeline stands still before there was any value", () => {
  const stage = new Stage();
  stage.world.last.events.open();
  stage.welcome();
  stage.snapshot("waiting", []);
  stage.world.pass(250);
  assert.deepEqual(stage.now, { widget: "waiting", pill: "quiet" });
  stage.world.pass(3250);
  assert.deepEqual(neverLive(stage, 1000), { widget: "waiting", pill: "as-of" });
});

test("Redis is away", () => {
  const stage = watching();
  stage.say({ type: "state", index: 0, state: "degraded", detail: "Redis" });
  assert.deepEqual(neverLive(stage, 1000), { widget: "degraded", pill: "as-of" });
  const fresh = new Stage();
  fresh.world.last.events.open();
  fresh.welcome();
  fresh.snapshot("degraded", []);
  assert.deepEqual(neverLive(fresh, 1000), { widget: "degraded", pill: "degraded" });
});

test("the token has expired", () => {
  const stage = watching();
  stage.say({ type: "close", code: 4401, reason: "the token has expired", reconnect_after_ms: 0 });
  stage.world.last.events.close(4401, "the token has expired");
  assert.deepEqual(neverLive(stage, 60_000), { widget: "lost", pill: "ended" });
});

test("the dashboard is gone", () => {
  const stage = watching();
  stage.world.last.events.close(4404, "no such dashboard");
  assert.deepEqual(neverLive(stage, 10_000), { widget: "lost", pill: "ended" });
});

test("late results are called late", () => {
  const stage = watching();
  stage.end -= 20_000;
  stage.live(30);
  assert.equal(stage.now.pill, "late");
});

test("paused says so, and what is not current when it goes on is grey until it is", () => {
  const stage = watching();
  stage.session.setPaused(true);
  assert.deepEqual(stage.now, { widget: "paused", pill: "paused" });
  for (let i = 0; i < 10; i++) {
    stage.world.pass(5000);
    stage.heartbeat();
  }
  assert.deepEqual(neverLive(stage, 1000), { widget: "paused", pill: "paused" });
  stage.session.setPaused(false);
  assert.deepEqual(neverLive(stage, 1000), { widget: "stale", pill: "as-of" });
});

test("a page that was hidden shows nothing of then as of now", () => {
  const stage = watching();
  const see = (how: string): void => {
    visible = how;
    documentEvents.dispatchEvent(new Event("visibilitychange"));
  };
  see("hidden");
  stage.world.pass(9000);
  stage.heartbeat();
  stage.world.pass(9000);
  // Timers of hidden pages rest: the first look is at the moment it is seen.
  see("visible");
  assert.ok(!CLAIMS_NOW.has(stage.now.widget), stage.now.widget);
});

test("a device that slept: its monotonic clock stood still, its link may be dead", () => {
  const stage = watching();
  stage.world.wallAhead += 8 * 3_600_000;
  stage.serverAhead += 8 * 3_600_000;
  stage.world.pass(250);
  assert.deepEqual(neverLive(stage, 100), { widget: "lost", pill: "reconnecting" });
  assert.equal(stage.world.connections.length, 2);
  stage.world.last.events.open();
  stage.welcome();
  assert.deepEqual(neverLive(stage, 500), { widget: "stale", pill: "as-of" });
});

test("a snapshot in parts: nothing of it is of now before the last, and a loss in between resumes after the last that came", () => {
  const stage = new Stage();
  const part = (end: number, reset: boolean, more: boolean): void =>
    stage.say({ type: "snapshot", index: 0, state: more ? "stale" : "live", reset, series_version: "a", series: [{ tags: {} }], covered_since: 0, points: [[end, end, [1]]], ...(more ? { more } : {}) });
  stage.world.last.events.open();
  stage.welcome();
  part(stage.end - 2000, true, true);
  assert.equal(neverLive(stage, 1000).widget, "skeleton");
  part(stage.end - 1000, false, true);
  assert.equal(neverLive(stage, 1000).widget, "skeleton");
  stage.world.last.events.close(1006, "");
  stage.world.pass(250);
  stage.world.last.events.open();
  assert.deepEqual(JSON.parse(stage.world.last.sent[0] ?? ""), { type: "hello", resume: { [ID]: { key: "id", window_end: stage.end - 1000 } } });
  stage.end = stage.serverTime;
  stage.welcome();
  part(stage.end, false, false);
  stage.world.pass(250);
  assert.deepEqual(stage.now, { widget: "live", pill: "live" });
  // Begun anew on a page that has shown it.
  part(stage.end - 1000, true, true);
  assert.deepEqual(neverLive(stage, 1000), { widget: "stale", pill: "as-of" });
  stage.end = stage.serverTime;
  part(stage.end, false, false);
  stage.world.pass(250);
  assert.equal(stage.now.widget, "live");
});

test("the device's own clock may be wrong and may be set back", () => {
  const stage = watching();
  for (const ahead of [-3_600_000, -86_400_000]) {
    stage.world.wallAhead = ahead;
    stage.live(3);
    assert.deepEqual(stage.now, { widget: "live", pill: "live" });
  }
});
