import assert from "node:assert/strict";
import { test } from "node:test";
import { freshness } from "./freshness";
import { golden } from "../../testing/golden";
import type { HelloMessage, SnapshotPoint, SnapshotMessage } from "./protocol";
import { DashboardStore, type WidgetStream } from "./store";

const T = 1763892060000;
const A = "6f1e2d3c-0000-4000-8000-00000000000a";
const B = "6f1e2d3c-0000-4000-8000-00000000000b";
const C = "6f1e2d3c-0000-4000-8000-00000000000c";
const KEY_ID = "RQzOQN2BhjPeYxwf";
const KEY = "api.request.latency:avg:60s by (host)";

function opened(): DashboardStore {
  const store = new DashboardStore();
  store.apply(golden("welcome", "welcome"), 0);
  store.apply(golden("snapshot", "snapshot"), 10);
  return store;
}

/** Points as [end, values by host], NaN as null. */
function points(stream: WidgetStream): [number, Record<string, number | null>][] {
  return [...stream.ring.endsView()].map((end, row) => {
    const values: Record<string, number | null> = {};
    stream.columns.forEach((tags, column) => {
      const value = stream.ring.columnView(column)[row] ?? Number.NaN;
      values[tags["host"] ?? ""] = Number.isNaN(value) ? null : value;
    });
    return [end - T, values];
  });
}

const SNAPSHOT: [number, Record<string, number | null>][] = [
  [-2000, { a: 12.25, b: null }],
  [-1000, { a: 12.5, b: 3 }],
  [0, { a: 13, b: 4 }],
];

test("welcome places the widgets, snapshot fills them", () => {
  const store = opened();
  const stream = store.stream(A);
  assert.equal(store.version, 7);
  assert.equal(stream.metricKey, KEY);
  assert.equal(stream.windowMs, 60_000);
  assert.equal(stream.refreshMs, 1000);
  assert.equal(stream.state, "live");
  assert.deepEqual(points(stream), SNAPSHOT);
  assert.equal(stream.newestEvent, T - 129);
  // Complete when the window starts at covered_since or after it.
  assert.deepEqual([...stream.ring.completeView()], [0, 1, 1]);
  assert.equal(stream.arrivedAt, 10);
  assert.equal(store.edge, T);
  assert.equal(store.beginning, T - 2000);
  assert.ok(Number.isNaN(new DashboardStore().beginning));
});

test("there is something to look at once every widget has had its snapshot", () => {
  const store = new DashboardStore();
  assert.equal(store.known, false);
  const welcome = golden("welcome", "welcome");
  store.apply(welcome, 0);
  assert.equal(store.known, false);
  for (const { index } of welcome.widgets) {
    assert.equal(store.known, false);
    store.apply({ ...golden("snapshot", "snapshot"), index }, 10);
  }
  assert.equal(store.known, true);
});

test("a snapshot without points waits", () => {
  const store = opened();
  const { changed, resync } = store.apply(golden("snapshot-waiting", "snapshot"), 11);
  assert.equal(resync, false);
  assert.equal(changed[0], store.stream(B));
  assert.equal(store.stream(B).state, "waiting");
  assert.equal(store.stream(B).known, true);
  assert.equal(store.stream(B).ring.length, 0);
});

test("an update adds values in the order of the series", () => {
  const store = opened();
  store.apply(golden("snapshot-waiting", "snapshot"), 11);
  store.apply({ type: "series", index: 1, series_version: "1c", series: [{ tags: {} }] }, 12);
  const { changed, resync } = store.apply(golden("update", "update"), 1200);
  assert.equal(resync, false);
  assert.deepEqual(changed, [store.stream(A), store.stream(B)]);
  assert.deepEqual(points(store.stream(A)), [...SNAPSHOT, [1000, { a: 14, b: null }]]);
  assert.equal(store.stream(A).newestEvent, T + 871);
  assert.equal(store.stream(A).arrivedAt, 1200);
  assert.equal(store.stream(B).state, "live");
  assert.equal(store.stream(B).newestEvent, null);
  assert.deepEqual([...store.stream(B).ring.completeView()], [0]);
});

test("how many series the pipeline has is told, also of those that do not come", () => {
  const store = opened();
  const stream = store.stream(A);
  assert.deepEqual([stream.truncated, stream.total], [898, 900]);
  store.apply(golden("update", "update"), 1200);
  assert.equal(stream.total, 901);
  store.apply(golden("update-unchanged", "update"), 2200);
  assert.deepEqual([stream.truncated, stream.total], [0, 2]);
  // A resumed snapshot without a point tells nothing new.
  store.apply(golden("update", "update"), 2300);
  store.apply({ ...golden("snapshot", "snapshot"), reset: false, points: [] }, 2400);
  assert.equal(stream.truncated, 0, "an older window tells nothing of now");
});

test("null repeats the values of the widget's previous end", () => {
  const store = opened();
  store.apply(golden("update", "update"), 1200);
  assert.equal(store.apply(golden("update-unchanged", "update"), 2200).resync, false);
  assert.deepEqual(points(store.stream(A)).slice(-2), [
    [1000, { a: 14, b: null }],
    [2000, { a: 14, b: null }],
  ]);
});

test("a new list of series keeps the history of those that stay", () => {
  const store = opened();
  const before = store.stream(A).columns;
  store.apply(golden("series", "series"), 20);
  assert.notEqual(store.stream(A).columns, before);
  store.apply({ type: "update", server_time: 0, updates: [[0, T + 1000, null, "9b01", [5, 6]]] }, 30);
  assert.deepEqual(points(store.stream(A)), [
    [-2000, { a: 12.25, b: null, c: null }],
    [-1000, { a: 12.5, b: 3, c: null }],
    [0, { a: 13, b: 4, c: null }],
    [1000, { a: null, b: 5, c: 6 }],
  ]);
});

test("reset false adds to the points, reset true replaces them", () => {
  const store = opened();
  store.apply(golden("update", "update"), 1200);
  store.apply(golden("snapshot-resume", "snapshot"), 2000);
  assert.deepEqual(points(store.stream(A)), [...SNAPSHOT, [1000, { a: 14, b: 5 }], [2000, { a: 15, b: 6 }]]);
  store.apply(golden("snapshot", "snapshot"), 3000);
  assert.deepEqual(points(store.stream(A)), SNAPSHOT);
});

test("a snapshot may fill the gap before a newer update", () => {
  const store = opened();
  store.apply({ type: "update", server_time: 0, updates: [[0, T + 3000, null, "8f3a", [9, 9]]], skipped: 2 }, 50);
  store.apply(golden("snapshot-resume", "snapshot"), 60);
  assert.deepEqual(points(store.stream(A)).map(([end]) => end), [-2000, -1000, 0, 1000, 2000, 3000]);
  assert.deepEqual(points(store.stream(A))[5], [3000, { a: 9, b: 9 }]);
  // The newest end came with the update; the older points do not make it younger.
  assert.equal(store.stream(A).arrivedAt, 50);
  assert.equal(store.stream(A).newestEvent, null);
});

test("what does not fit asks for snapshots instead of guessing", () => {
  const entry = (index: number, version: string, values: (number | null)[] | null) =>
    ({ type: "update", server_time: 0, updates: [[index, T + 1000, null, version, values]] }) as const;
  const cases = {
    "unknown index": entry(9, "8f3a", [1, 2]),
    "unknown series version": entry(0, "ffff", [1, 2]),
    "wrong number of values": entry(0, "8f3a", [1]),
    "repeat without a value": entry(1, "0", null),
    "repeat with a new version": entry(0, "ffff", null),
  };
  for (const [name, message] of Object.entries(cases)) {
    const store = opened();
    store.apply(golden("snapshot-waiting", "snapshot"), 11);
    assert.deepEqual(store.apply(message, 20), { changed: [], resync: true }, name);
    assert.deepEqual(points(store.stream(A)), SNAPSHOT, name);
  }
});

test("state is told and kept until values come again", () => {
  const store = opened();
  store.apply(golden("state", "state"), 20);
  assert.equal(store.stream(A).state, "stale");
  assert.equal(store.stream(A).detail, "no newer window for 3 s");
  store.apply(golden("update", "update"), 30);
  assert.equal(store.stream(A).state, "live");
});

test("what is beyond a budget says so, with the reason, also in a snapshot", () => {
  const store = opened();
  const limited = golden("state-limited", "state");
  store.apply(limited, 20);
  assert.equal(store.stream(A).state, "limited");
  assert.match(store.stream(A).detail, /the budget is 256.0 MiB of trees/);
  store.apply({ ...golden("snapshot", "snapshot"), state: "limited", detail: limited.detail! }, 30);
  assert.equal(store.stream(A).detail, limited.detail);
});

test("a changed dashboard keeps the points of widgets whose key is the same", () => {
  const store = opened();
  store.apply(golden("dashboard", "dashboard"), 20);
  assert.equal(store.version, 8);
  assert.deepEqual(points(store.stream(A)), SNAPSHOT);
  assert.equal(store.stream(C).refreshMs, 5000);
  assert.equal(store.stream(C).delayMs, 10_000);
  // Index 1 is A now.
  store.apply({ type: "update", server_time: 0, updates: [[1, T + 1000, null, "8f3a", [1, 2]]] }, 30);
  assert.equal(store.stream(A).ring.lastEnd, T + 1000);
  assert.deepEqual(Object.keys(store.resumePoints()), [A]);
});

test("another metric key under the same widget starts anew", () => {
  const store = opened();
  const welcome = golden("welcome", "welcome");
  store.apply({ ...welcome, widgets: welcome.widgets.map((w) => ({ ...w, metric_key: "other:max:10s", window_ms: 10_000 })) }, 20);
  assert.equal(store.stream(A).ring.length, 0);
  assert.equal(store.stream(A).known, false);
  assert.deepEqual(store.resumePoints(), {});
});

test("resume names the newest end of each widget that has one", () => {
  assert.deepEqual(opened().resumePoints(), { [A]: { key: KEY_ID, window_end: T } });
});

test("series that come and go for ever do not fill the memory", () => {
  const store = opened();
  for (let i = 0; i < 1000; i++) {
    const version = `v${i}`;
    store.apply({ type: "series", index: 0, series_version: version, series: [{ tags: { host: "b" } }, { tags: { host: `pod-${i}` } }] }, 20);
    store.apply({ type: "update", server_time: 0, updates: [[0, T + (i + 1) * 1000, null, version, [i, 1]]] }, 20);
  }
  const stream = store.stream(A);
  assert.ok(stream.columns.length <= 200, `${stream.columns.length} columns`);
  const last = points(stream).at(-1);
  assert.equal(last?.[1]["b"], 999);
  assert.equal(last?.[1]["pod-999"], 1);
});

test("a series of a grouped widget that lacks the tag has it empty, so that it is named and coloured like the others", () => {
  const store = opened();
  store.apply({ ...golden("snapshot", "snapshot"), series_version: "n", series: [{ tags: {} }, { tags: { host: "a" } }], points: [[T, null, [1, 2]]] }, 20);
  assert.deepEqual(store.stream(A).columns, [{ host: "" }, { host: "a" }]);
});

test("a layout in parts holds once it is whole, with keys that were cut", () => {
  const store = new DashboardStore();
  const whole = new DashboardStore();
  whole.apply(golden("welcome", "welcome"), 0);
  assert.deepEqual(store.apply(golden("welcome-part", "welcome"), 0), { changed: [], resync: false });
  assert.deepEqual([...store.all()], []);
  assert.equal(store.apply(golden("widgets", "widgets"), 0).changed.length, 2);
  const told = (one: DashboardStore) => [...one.all()].map(({ id, metricKey, refreshMs, windowMs }) => ({ id, metricKey, refreshMs, windowMs }));
  assert.deepEqual(told(store), told(whole));
  // One that was begun and lost leaves nothing behind.
  store.apply(golden("welcome-part", "welcome"), 0);
  store.apply(golden("welcome", "welcome"), 0);
  assert.deepEqual(told(store), told(whole));
});

test("a snapshot in parts is that of one message, and live only as a whole", () => {
  const store = new DashboardStore();
  store.apply(golden("welcome", "welcome"), 0);
  const stream = store.stream(A);
  store.apply(golden("snapshot-part", "snapshot"), 10);
  assert.equal(freshness(stream, T, 10, "flowing"), "skeleton");
  assert.ok(Number.isNaN(stream.arrivedAt));
  assert.deepEqual(store.resumePoints(), { [A]: { key: KEY_ID, window_end: T - 1000 } });
  store.apply(golden("snapshot-rest", "snapshot"), 20);
  assert.deepEqual(points(stream), SNAPSHOT);
  assert.deepEqual([stream.state, stream.truncated, stream.arrivedAt, stream.newestEvent], ["live", 898, 20, T - 129]);
  assert.equal(freshness(stream, T, 20, "flowing"), "live");
  // Begun anew, as after a resync: grey until it is whole.
  store.apply(golden("snapshot-part", "snapshot"), 30);
  assert.equal(freshness(stream, T, 30, "flowing"), "stale");
  store.apply(golden("snapshot-rest", "snapshot"), 40);
  assert.deepEqual(points(stream), SNAPSHOT);
  assert.equal(freshness(stream, T, 40, "flowing"), "live");
});

test("a list of series in parts holds once it is whole", () => {
  const store = opened();
  store.apply(golden("series-part", "series"), 20);
  assert.deepEqual(store.stream(A).columns, [{ host: "a" }, { host: "b" }]);
  store.apply(golden("series-rest", "series"), 20);
  assert.deepEqual(store.stream(A).columns, [{ host: "a" }, { host: "b" }, { host: "c" }]);
  store.apply({ type: "update", server_time: 0, updates: [[0, T + 1000, null, "9b01", [5, 6]]] }, 30);
  assert.deepEqual(points(store.stream(A)).at(-1), [1000, { a: null, b: 5, c: 6 }]);
});

test("parts that do not fit ask for snapshots instead of guessing", () => {
  const rest = golden("series-rest", "series");
  for (const [name, messages] of Object.entries({
    "the rest of a list that was not begun": [rest],
    "the rest of another list": [golden("series-part", "series"), { ...rest, series_version: "x" }],
    "a part is missing": [golden("series-part", "series"), { ...rest, from: 2 }],
    "points in the order of a list that was not told": [{ ...golden("snapshot-rest", "snapshot"), series_version: "x" }],
  })) {
    const store = opened();
    assert.deepEqual(messages.map((message) => store.apply(message, 20).resync).at(-1), true, name);
    assert.deepEqual(points(store.stream(A)), SNAPSHOT, name);
  }
});

/** Numbers that look like chance and are the same each time. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("wherever a snapshot is cut, and whichever series each part has, the points are the same", () => {
  const next = chance(7);
  for (let round = 0; round < 200; round++) {
    const hosts = Array.from({ length: 1 + next(5) }, (_, i) => `h${i}`);
    const all = Array.from({ length: 1 + next(12) }, (_, i) => ({ end: T + i * 1000, of: new Map(hosts.filter(() => next(3) > 0).map((host) => [host, next(100)])) }));
    const message = (some: typeof all, reset: boolean, more: boolean): SnapshotMessage => {
      const used = hosts.filter((host) => some.some(({ of }) => of.has(host)));
      const rows = some.map(({ end, of }): SnapshotPoint => [end, end - 1, used.map((host) => of.get(host) ?? null)]);
      const series = used.map((host) => ({ tags: { host } }));
      return { type: "snapshot", index: 0, state: more ? "stale" : "live", reset, series_version: used.join(), series, covered_since: T, points: rows, ...(more ? { more } : {}) };
    };
    const whole = opened();
    whole.apply(message(all, true, false), 100);
    const parts = opened();
    for (let from = 0; from < all.length; ) {
      const to = Math.min(all.length, from + 1 + next(4));
      const more = to < all.length;
      parts.apply(message(all.slice(from, to), from === 0, more), 100);
      const stream = parts.stream(A);
      if (more) assert.notEqual(freshness(stream, T + to * 1000, 100, "flowing"), "live");
      assert.deepEqual(parts.resumePoints()[A], { key: KEY_ID, window_end: T + (to - 1) * 1000 });
      from = to;
    }
    const told = (store: DashboardStore) =>
      points(store.stream(A)).map(([end, values]) => [end, Object.entries(values).filter(([, value]) => value !== null).sort()]);
    assert.deepEqual(told(parts), told(whole));
    const facts = ({ state, arrivedAt, newestEvent }: WidgetStream) => ({ state, arrivedAt, newestEvent });
    assert.deepEqual(facts(parts.stream(A)), facts(whole.stream(A)));
  }
});

test("the hello of 200 widgets with long filters is short", () => {
  const store = new DashboardStore();
  const id = (i: number): string => `6f1e2d3c-0000-4000-8000-${String(i).padStart(12, "0")}`;
  const widgets = Array.from({ length: 200 }, (_, i) => ({ index: i, widget_id: id(i), metric_key: `m:sum:60s {host in ("${"x".repeat(5000)}${i}")}`, key_id: `0123456789ab${1000 + i}`, refresh_ms: 1000, window_ms: 60_000 }));
  store.apply({ type: "welcome", server_time: T, heartbeat_ms: 5000, dashboard: { id: "d", version: 1 }, widgets }, 0);
  for (let index = 0; index < 200; index++) store.apply({ ...golden("snapshot", "snapshot"), index }, 10);
  const hello: HelloMessage = { type: "hello", resume: store.resumePoints() };
  assert.equal(Object.keys(hello.resume ?? {}).length, 200);
  assert.ok(JSON.stringify(hello).length < 32 * 1024, `${JSON.stringify(hello).length} bytes`);
});

test("distributions stand in the rows of their windows, move with them, and are repeated where nothing has changed", () => {
  const store = new DashboardStore();
  const widget = { index: 2, widget_id: C, metric_key: "m:histogram:1s", key_id: "k", refresh_ms: 1000, window_ms: 1000 };
  store.apply({ ...golden("welcome", "welcome"), widgets: [widget] }, 0);
  store.apply(golden("snapshot-histogram", "snapshot"), 10);
  assert.equal(store.stream(C).extra.error, 0.0443);
  const { ring } = store.stream(C);
  const counts = (): (number | null)[] => [...ring.endsView()].map((end) => ring.distribution(end, 0)?.count ?? null);
  assert.deepEqual(counts(), [null, 198, 136]);
  assert.deepEqual([...ring.columnView(0)], [Number.NaN, 198, 136], "where numbers are read, a distribution is how many values it has");
  store.apply(golden("update-histogram", "update"), 20);
  const [entry] = golden("update-histogram", "update").updates;
  assert.ok(entry);
  const unchanged = [entry[0], entry[1] + 1000, null, entry[3], null] as const;
  store.apply({ ...golden("update", "update"), updates: [unchanged] }, 30);
  assert.deepEqual(counts(), [null, 198, 136, 122, 122]);
  store.apply({ ...golden("update", "update"), updates: [[entry[0], entry[1] + 1000, null, entry[3], [null]]] }, 40);
  assert.deepEqual(counts(), [null, 198, 136, 122, null], "the later message wins");
  for (let i = 2; i < 2000; i++) store.apply({ ...golden("update", "update"), updates: [[entry[0], entry[1] + 1000 * i, null, entry[3], [[[0, 0, i]]]]] }, 50);
  assert.deepEqual(counts(), Array.from({ length: 1000 }, (_, i) => 1000 + i), "a full ring lets go of the oldest");
});
