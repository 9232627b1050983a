import assert from "node:assert/strict";
import { test } from "node:test";
import { formatMoment, formatTime, setZone, zoneDate } from "./format";
import { importable } from "./import";
import { isChosen, valuesOf } from "./series";

test("a choice leaves series without its tags alone", () => {
  const cases: [tags: Record<string, string>, choice: Record<string, string>, chosen: boolean][] = [
    [{ host: "a" }, {}, true],
    [{ host: "a" }, { host: "a" }, true],
    [{ host: "a" }, { host: "b" }, false],
    [{ core: "0" }, { host: "b" }, true],
    [{}, { host: "b" }, true],
    [{ host: "a", core: "0" }, { host: "a", core: "1" }, false],
    [{ host: "" }, { host: "b" }, false],
  ];
  for (const [tags, choice, chosen] of cases) assert.equal(isChosen(tags, choice), chosen, `${JSON.stringify(tags)} of ${JSON.stringify(choice)}`);
});

test("a picker offers what the series have, as people count, and what was chosen before it went", () => {
  const streams = [{ columns: [{ host: "h10" }, { host: "h2" }, { host: "" }] }, { columns: [{ core: "0" }, { host: "h2" }] }];
  assert.deepEqual(valuesOf("host", "", streams), ["h2", "h10"]);
  assert.deepEqual(valuesOf("host", "h1", streams), ["h1", "h2", "h10"]);
  assert.deepEqual(valuesOf("zone", "", streams), []);
});

test("times are written in the chosen zone", () => {
  const time = Date.UTC(2026, 10, 25, 22, 5, 9);
  setZone(true);
  try {
    assert.equal(formatTime(time), "22:05:09");
    assert.equal(formatMoment(time), "25 Nov, 22:05:09");
    assert.equal(formatMoment(Number.NaN), "–");
    // What charts read with getHours is the hour in UTC.
    assert.equal(zoneDate(time).getHours(), 22);
  } finally {
    setZone(false);
  }
  assert.equal(zoneDate(time).getTime(), time);
});

test("an imported dashboard is taken as it is, and can be copied without its ids", () => {
  const text = JSON.stringify({ dashboard_id: "d", title: "Web", widgets: [{ widget_id: "w", dashboard_id: "d", metric_name: "m" }, "no widget"] });
  const { whole, copy } = importable(text);
  assert.deepEqual(whole, JSON.parse(text));
  assert.deepEqual(JSON.parse(JSON.stringify(copy)), { title: "Web", widgets: [{ metric_name: "m" }, "no widget"] });
  assert.deepEqual(JSON.parse(JSON.stringify(importable("{}").copy)), {});
  assert.throws(() => importable("{nope"), /^Error: it is not JSON/);
  for (const grafana of ['{"title":"T","panels":[]}', '{"apiVersion":"dashboard.grafana.app/v2","spec":{}}']) assert.throws(() => importable(grafana), /import-grafana/);
  for (const other of ["[]", "1", "null"]) assert.throws(() => importable(other), /must be an object with title and widgets/);
});
