import assert from "node:assert/strict";
import { test } from "node:test";
import type { Dashboard, Position, Widget } from "../api/types";
import { edited, startEditing, type EditorAction } from "./editor";
import { changesOf, draftOf, parseKept, queryOf, savingOf, verdictOf, type Draft } from "./draft";
import { arrange, COLUMNS, heightOf, moveTo, nudge, resizeTo, wallScale, type Placed } from "./layout";
import { advance, redo, timeline, undo } from "./undo";
import { filterOf, getAt, newWidget, rowsOf, setAt, setMember, shapeFault, tabOf, type FilterRow } from "./widget-form";

const at = (id: string, x: number, y: number, w: number, h: number): Placed => ({ id, position: { x, y, w, h } });
const text = (placed: readonly Placed[]): string =>
  [...placed].sort((a, b) => (a.id < b.id ? -1 : 1)).map(({ id, position: { x, y, w, h } }) => `${id}:${x},${y} ${w}x${h}`).join("  ");

/** Numbers in [0, below) that are the same in each run: a failure can be repeated. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function checkGrid(placed: readonly Placed[], what: string): void {
  for (const { id, position: p } of placed) {
    assert.ok(p.x >= 0 && p.y >= 0 && p.w >= 1 && p.h >= 1 && p.x + p.w <= COLUMNS, `${what}: ${id} leaves the grid: ${text(placed)}`);
    for (const { id: other, position: o } of placed) {
      if (id === other) continue;
      const apart = p.x + p.w <= o.x || o.x + o.w <= p.x || p.y + p.h <= o.y || o.y + o.h <= p.y;
      assert.ok(apart, `${what}: ${id} covers ${other}: ${text(placed)}`);
    }
    const rests = p.y === 0 || placed.some(({ position: o }) => o.y + o.h === p.y && o.x < p.x + p.w && p.x < o.x + o.w);
    assert.ok(rests, `${what}: ${id} floats: ${text(placed)}`);
  }
  assert.equal(text(arrange(placed)), text(placed), `${what}: arranged again, it is another arrangement`);
}

test("whatever is moved, resized and nudged, nothing overlaps, leaves the grid or floats", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const roll = dice(seed);
    let placed: readonly Placed[] = arrange(Array.from({ length: 1 + roll(9) }, (_, i) => at(`w${i}`, roll(14) - 1, roll(20), 1 + roll(14), 1 + roll(6))));
    checkGrid(placed, `seed ${seed}, arrange`);
    for (let step = 0; step < 12; step++) {
      const one = placed[roll(placed.length)];
      assert.ok(one !== undefined);
      const kind = roll(3);
      if (kind === 0) placed = moveTo(placed, one.id, { ...one.position, x: roll(16) - 2, y: roll(30) - 3 });
      else if (kind === 1) placed = resizeTo(placed, one.id, roll(16) - 1, roll(10) - 1);
      else placed = nudge(placed, one.id, roll(3) - 1, 0);
      checkGrid(placed, `seed ${seed}, step ${step}`);
      const now = placed.find(({ id }) => id === one.id)?.position;
      if (kind === 0) assert.deepEqual([now?.w, now?.h], [one.position.w, one.position.h], "a move changes no size");
      if (kind === 1) assert.equal(now?.x, one.position.x, "a resize keeps the column");
    }
  }
});

test("a moved widget takes its place, and others make room", () => {
  const rows = [at("a", 0, 0, 6, 4), at("b", 6, 0, 6, 4), at("c", 0, 4, 12, 2)];
  const cases: [what: string, id: string, to: Position, want: string][] = [
    ["onto a neighbour: that one moves down", "a", { x: 6, y: 0, w: 6, h: 4 }, "a:6,0 6x4  b:6,4 6x4  c:0,8 12x2"],
    ["down by less than half of what is below: nothing", "a", { x: 0, y: 0, w: 6, h: 4 }, "a:0,0 6x4  b:6,0 6x4  c:0,4 12x2"],
    ["below everything: it closes up", "a", { x: 0, y: 40, w: 6, h: 4 }, "a:0,6 6x4  b:6,0 6x4  c:0,4 12x2"],
    ["up over two", "c", { x: 0, y: 0, w: 12, h: 2 }, "a:0,2 6x4  b:6,2 6x4  c:0,0 12x2"],
    ["out of the grid: as far as it goes", "b", { x: 20, y: -3, w: 6, h: 4 }, "a:0,0 6x4  b:6,0 6x4  c:0,4 12x2"],
  ];
  for (const [what, id, to, want] of cases) assert.equal(text(moveTo(rows, id, to)), want, what);
});

test("an arrow key does something as long as there is something to do", () => {
  const column = [at("a", 0, 0, 6, 4), at("b", 0, 4, 6, 4)];
  assert.equal(text(nudge(column, "a", 0, 1)), "a:0,4 6x4  b:0,0 6x4", "down: changes places");
  assert.equal(text(nudge(column, "b", 0, -1)), "a:0,4 6x4  b:0,0 6x4", "up: changes places");
  assert.equal(nudge(column, "a", 0, -1), column, "up at the top: the same");
  assert.equal(nudge(column, "b", 0, 1), column, "down at the bottom: the same");
  assert.equal(text(nudge(column, "a", 1, 0)), "a:1,0 6x4  b:0,4 6x4", "right: a column");
});

test("undo and redo go through documents, and a word that was typed is one step", () => {
  let line = timeline("");
  for (const word of ["C", "CP", "CPU"]) line = advance(line, word, "title");
  line = advance(line, "CPU 2", "unit");
  assert.deepEqual(line.past, ["", "CPU"]);
  assert.equal(undo(undo(line)).now, "");
  assert.equal(undo(undo(undo(line))).now, "", "no further than the beginning");
  assert.equal(redo(redo(redo(undo(undo(line))))).now, "CPU 2");
  assert.deepEqual(advance(undo(line), "other").future, [], "a change after undo has no redo");
  assert.deepEqual(advance(advance(timeline(0), 1), 2).past, [0, 1], "steps without a name stay apart");
});

const A = "0b0f6c6e-6f7e-4d55-8a7a-0d0f1a2b3c4d";
const B = "6f1d8b1e-3c55-4b0e-9a35-0d6f3f2a7c11";
const widget = (widget_id: string, more: Partial<Widget> = {}): Widget => ({ widget_id, metric_name: "m", aggregation: "avg", window_seconds: 60, ...more });
const board = (widgets: readonly Widget[], title = "Web"): Draft => ({ title, tags: [], variables: [], widgets });

test("saving sends exactly what changed, as one version", () => {
  const base = board([widget(A, { filter: { region: "eu" } }), widget(B)]);
  const edited = widget(A, { window_seconds: 300, filter: {} });
  assert.deepEqual(savingOf(base, board([widget(A, { filter: { region: "eu" } }), widget(B)])), { kind: "nothing" });
  assert.deepEqual(savingOf(base, board([edited])), { kind: "widgets", body: { [A]: { window_seconds: 300, filter: { region: null } }, [B]: null } });
  assert.deepEqual(savingOf(board([]), board([widget(A)])), { kind: "widgets", body: { [A]: widget(A) } });
  assert.deepEqual(savingOf(base, { ...base, title: "Shop" }), { kind: "rest", body: { title: "Shop" } });
  assert.deepEqual(savingOf(base, board([edited], "Shop")), { kind: "all", body: board([edited], "Shop") });
  assert.deepEqual(savingOf(board([widget(A, { display_config: { chart: "line", title: "t" } })]), board([widget(A, { display_config: { title: "t", chart: "line" } })])), { kind: "nothing" }, "the order of members says nothing");
  assert.deepEqual(savingOf(board([widget(A, { display_config: { y_axis: { label: "l", min: 0 } } })]), board([widget(A, { display_config: { y_axis: {} } })])), { kind: "widgets", body: { [A]: { display_config: { y_axis: { label: null, min: null } } } } });
  assert.deepEqual(savingOf(board([widget(A, { display_config: { title: "t" } })]), board([widget(A, { display_config: { title: "t", x_axis: {} } })])), { kind: "widgets", body: { [A]: { display_config: { x_axis: {} } } } }, "an object that is new is a change");
});

test("what somebody else did, a line a change", () => {
  const before = board([widget(A), widget(B)]);
  const after = { ...board([widget(A, { window_seconds: 5 }), widget("c", { display_config: { title: "New" } })], "Shop"), tags: ["x"] };
  assert.deepEqual(changesOf(before, after), ["Changed the title: \"Shop\"", "Changed the tags: [\"x\"]", "Changed “m”", "Added “New”", "Removed “m”"]);
  assert.deepEqual(changesOf(before, before), []);
});

test("with another aggregation goes what only the old one may have", () => {
  const counter = { aggregation: "increase", first: "count", display_config: { chart: "line" } };
  assert.deepEqual(setMember(counter, "aggregation", "rate", ["heatmap"]), { ...counter, aggregation: "rate" });
  assert.deepEqual(setMember(counter, "aggregation", "sum", ["heatmap"]), { aggregation: "sum", display_config: { chart: "line" } });
  assert.deepEqual(setMember(counter, "aggregation", "histogram", ["heatmap"]), { aggregation: "histogram", display_config: { chart: "heatmap" } });
  assert.deepEqual(setMember(counter, "window_seconds", 5, ["heatmap"]), { ...counter, window_seconds: 5 });
});

test("the same query, written in two ways, has the same values", () => {
  assert.equal(queryOf(widget(A)), queryOf(widget(B, { refresh_interval_seconds: 1, delay_seconds: 0, filter: {}, group_by: [], display_config: { chart: "stat" } })));
  assert.notEqual(queryOf(widget(A)), queryOf(widget(A, { delay_seconds: 5 })));
  assert.notEqual(queryOf(widget(A)), queryOf(widget(A, { first: "count" })));
});

test("faults are told to the widgets that have them", () => {
  const draft = board([widget(A), widget(B)]);
  const { widgets, rest } = verdictOf(draft, [
    { pointer: "/widgets/1/display_config/y_axis/min", detail: "must be below max" },
    { pointer: "/widgets/1", code: "required" },
    { pointer: "/title", detail: "is too long" },
    { pointer: "/widgets/7/filter", detail: "of nobody" },
  ]);
  assert.deepEqual([...widgets], [[B, [{ path: "display_config/y_axis/min", text: "must be below max" }, { path: "", text: "required" }]]]);
  assert.deepEqual(rest, [{ path: "title", text: "is too long" }, { path: "widgets/7/filter", text: "of nobody" }]);
});

test("a kept draft is that of its dashboard, or none", () => {
  const base: Dashboard = { dashboard_id: A, title: "Web", version: 7, widgets: [widget(B, { dashboard_id: A })] };
  const kept = { base, at: 1, draft: draftOf(base) };
  assert.deepEqual(parseKept(JSON.stringify(kept), A), kept);
  assert.deepEqual(kept.draft.widgets, [widget(B)], "a draft may become another dashboard: its widgets name none");
  for (const bad of [null, "", "{", "7", "null", "[]", "{}", '{"base":null}', JSON.stringify({ ...kept, draft: {} }), JSON.stringify({ ...kept, base: { ...base, dashboard_id: B } })]) {
    assert.equal(parseKept(bad, A), null, String(bad));
  }
});

test("filters are read into lines and written back", () => {
  const cases: [filter: Record<string, unknown>, rows: FilterRow[]][] = [
    [{}, []],
    [{ region: "eu" }, [{ tag: "region", op: "is", values: ["eu"] }]],
    [{ host: ["a", "b"] }, [{ tag: "host", op: "is", values: ["a", "b"] }]],
    [{ env: { not: "test" } }, [{ tag: "env", op: "not", values: ["test"] }]],
    [{ path: { prefix: "/api", not: ["/api/1", "/api/2"] } }, [{ tag: "path", op: "prefix", values: ["/api"] }, { tag: "path", op: "not", values: ["/api/1", "/api/2"] }]],
    [{ pod: { regex: "web-.*", not_regex: ".*-canary" } }, [{ tag: "pod", op: "regex", values: ["web-.*"] }, { tag: "pod", op: "not_regex", values: [".*-canary"] }]],
    [{ zone: { exists: true }, tier: { exists: false } }, [{ tag: "zone", op: "exists", values: [] }, { tag: "tier", op: "absent", values: [] }]],
    [{ a: { is: "x", exists: true } }, [{ tag: "a", op: "is", values: ["x"] }, { tag: "a", op: "exists", values: [] }]],
  ];
  for (const [filter, rows] of cases) {
    assert.deepEqual(rowsOf(filter), rows);
    assert.deepEqual(filterOf(rows), filter);
  }
  assert.deepEqual(filterOf([{ tag: "", op: "exists", values: [] }, { tag: "a", op: "is", values: [] }]), {}, "lines that are not finished say nothing");
  assert.deepEqual(filterOf([{ tag: "a", op: "is", values: ["x"] }, { tag: "a", op: "is", values: ["y", "x"] }]), { a: ["x", "y"] });
});

test("a document that cannot be drawn is refused with the place and what belongs there", () => {
  const good = { metric_name: "m", aggregation: "avg", window_seconds: 60 };
  const cases: [document: unknown, fault: string][] = [
    [good, ""],
    [newWidget(A, "line", { x: 0, y: 0, w: 6, h: 4 }), ""],
    [{ ...good, unknown: [], window_seconds: "x" }, ""],
    [[], "a widget is an object, in braces"],
    [null, "a widget is an object, in braces"],
    [{ metric_name: "m" }, "/aggregation must be a string"],
    [{ ...good, metric_name: 5 }, "/metric_name must be a string"],
    [{ ...good, group_by: "host" }, "/group_by must be a list"],
    [{ ...good, filter: [] }, "/filter must be an object"],
    [{ ...good, display_config: null }, "/display_config must be an object"],
    [{ ...good, display_config: { position: 1 } }, "/display_config/position must be an object"],
    [{ ...good, display_config: { thresholds: [null] } }, "/display_config/thresholds must hold objects"],
  ];
  for (const [document, fault] of cases) assert.equal(shapeFault(document), fault, JSON.stringify(document));
});

test("members are read and set by path, and copies share the rest", () => {
  const display = { y_axis: { min: 0 }, thresholds: [] };
  const one = { metric_name: "m", display_config: display };
  assert.equal(getAt(one, "display_config/y_axis/min"), 0);
  assert.equal(getAt(one, "metric_name/length"), undefined);
  const set = setAt(one, "display_config/y_axis/max", 5);
  assert.deepEqual(set, { metric_name: "m", display_config: { y_axis: { min: 0, max: 5 }, thresholds: [] } });
  assert.equal(getAt(set, "display_config/thresholds"), display.thresholds);
  assert.deepEqual(setAt({}, "a/b", 1), { a: { b: 1 } });
  assert.deepEqual(setAt({ a: 1, b: 2 }, "a", undefined), { b: 2 });
  assert.deepEqual(["filter/host", "display_config/title", "display_config/thresholds/0/at", "metric_name"].map(tabOf), ["Query", "Display", "Thresholds", "Query"]);
  assert.equal(newWidget(A, "stat", { x: 0, y: 0, w: 3, h: 2 }).display_config?.chart, "stat");
});

test("the editor: what is added, duplicated, moved and removed can be undone, and opens or closes the drawer", () => {
  const dashboard = { dashboard_id: "d", title: "Web", version: 3, widgets: [{ ...newWidget("a", "line", { x: 0, y: 0, w: 6, h: 4 }), metric_name: "m" }] };
  let state = startEditing(dashboard, null, null);
  const see = (): string => `${state.line.now.widgets.map(({ widget_id }) => widget_id).join(" ")}, open ${state.open}`;
  const run = (action: EditorAction): void => {
    state = edited(state, action);
  };
  run({ type: "add", id: "b", chart: "gauge", size: [3, 3] });
  assert.equal(see(), "a b, open b");
  assert.deepEqual(state.line.now.widgets[1]?.display_config?.position, { x: 6, y: 0, w: 3, h: 3 });
  run({ type: "duplicate", id: "c", of: state.line.now.widgets[0] as Widget });
  assert.equal(see(), "a b c, open c");
  assert.deepEqual(state.line.now.widgets[2]?.display_config, { chart: "line", title: "m (copy)", unit: "", position: { x: 6, y: 3, w: 6, h: 4 }, thresholds: [] });
  run({ type: "remove", widget: state.line.now.widgets[2] as Widget });
  assert.equal(see(), "a b, open null");
  const before = state;
  run({ type: "arrange", placed: [at("a", 0, 0, 6, 4), at("b", 6, 0, 3, 3)] });
  assert.equal(state, before, "nothing moved, and there is nothing to undo");
  run({ type: "arrange", placed: [at("a", 0, 0, 6, 4), at("b", 9, 0, 3, 3)] });
  assert.equal(state.line.past.length, before.line.past.length + 1);
  for (let i = 0; i < 4; i++) run({ type: "undo" });
  assert.equal(see(), "a, open null");
  assert.equal(state.line.past.length, 0);
});

test("the editor: steps of one field are undone together until the focus leaves it; a change takes a problem away", () => {
  let state = startEditing({ dashboard_id: "d", title: "", version: 1, widgets: [] }, null, null);
  const type = (title: string): void => {
    state = edited(state, { type: "change", draft: { ...state.line.now, title }, step: "title" });
  };
  state = edited(state, { type: "failed", problem: "refused" });
  type("W");
  assert.equal(state.problem, "");
  type("We");
  state = edited(state, { type: "end-step" });
  assert.equal(edited(state, { type: "end-step" }), state);
  type("Web");
  state = edited(state, { type: "undo" });
  assert.equal(state.line.now.title, "We");
  state = edited(state, { type: "undo" });
  assert.equal(state.line.now.title, "");
});

test("the editor: a draft that was found, a conflict, and what is saved meanwhile", () => {
  const base = { dashboard_id: "d", title: "Base", version: 1, widgets: [] };
  const theirs = { ...base, title: "Theirs", version: 2 };
  let state = startEditing(theirs, { base, at: 5, draft: { ...draftOf(base), title: "Mine" } }, null);
  assert.deepEqual([state.base.version, state.line.now.title, state.restored], [1, "Mine", 5]);
  state = edited(edited(state, { type: "saving" }), { type: "conflict", with: theirs });
  assert.deepEqual([state.busy, state.conflict], [false, theirs]);
  state = edited(state, { type: "take-theirs" });
  assert.deepEqual([state.base.version, state.line.now.title, state.conflict], [2, "Theirs", null]);
  state = edited(state, { type: "undo" });
  assert.deepEqual([state.base.version, state.line.now.title], [2, "Mine"]);
  state = edited(state, { type: "discard" });
  assert.deepEqual([state.line.now.title, state.restored], ["Theirs", null]);
  state = edited(state, { type: "follow", dashboard: { ...theirs, title: "Newer", version: 3 } });
  assert.deepEqual([state.base.version, state.line.now.title, state.line.past.length], [3, "Newer", 0]);
});

test("the editor: what cannot be saved opens, and says what is missing", () => {
  const widget = newWidget("a", "line", { x: 0, y: 0, w: 6, h: 4 });
  const state = edited(startEditing({ dashboard_id: "d", title: "", version: 1, widgets: [widget] }, null, null), { type: "incomplete", widget });
  assert.deepEqual([state.open, state.strict, state.busy], ["a", true, false]);
  assert.match(state.problem, /“New widget” has something to mend/);
});

test("a wall's texts grow with the screen, by its smaller side, and never shrink", () => {
  const cases: [width: number, height: number, rows: number, scale: number][] = [
    [1920, 1080, 8, 1.3],
    [3840, 2160, 8, 2.6],
    [7680, 4320, 4, 3],
    [1920, 1080, 40, 1],
    [390, 844, 4, 1],
  ];
  for (const [width, height, rows, scale] of cases) assert.equal(wallScale(width, height, rows), scale, `${width} × ${height}, ${rows} rows`);
  assert.equal(heightOf([at("a", 0, 0, 6, 4), at("b", 6, 2, 6, 3)]), 5);
  assert.equal(heightOf([]), 1);
});
