import assert from "node:assert/strict";
import { test } from "node:test";
import { pipelineByCatalog, partsOf, isOutdated } from "./health";

const WELL = { ok: true };

test("the whole way is listed whatever is told of it, and what nobody tells is not called well", () => {
  const way = ["Kafka", "Pipeline", "Lag", "Redis", "Newest result", "Canary"];
  for (const checks of [null, {}, { streams: WELL }]) {
    const parts = partsOf(checks, []);
    assert.deepEqual(parts.slice(0, 6).map(({ name, ok }) => [name, ok]), way.map((name) => [name, null]));
  }
});

test("each check that stands still is a fault by its own words", () => {
  for (const check of ["kafka", "pipeline", "lag", "redis", "results", "canary", "disk"]) {
    const checks = { kafka: WELL, pipeline: WELL, lag: WELL, redis: WELL, results: WELL, canary: WELL, disk: WELL, [check]: { ok: false, detail: "for 42 s" } };
    const bad = partsOf(checks, []).filter(({ ok }) => ok !== true);
    assert.deepEqual(bad.map(({ ok, text }) => [ok, text]), [[false, "for 42 s"]], check);
  }
});

test("where /readyz does not tell, the catalog and the stream do", () => {
  const redis = { name: "Redis", ok: false, text: "away" };
  const parts = partsOf({ streams: WELL }, [redis, ...pipelineByCatalog([{ stale: true }])]);
  assert.equal(parts.find(({ name }) => name === "Redis")?.ok, false);
  assert.equal(parts.find(({ name }) => name === "Pipeline")?.ok, false);
  assert.equal(pipelineByCatalog([{ stale: true }, { stale: false }])[0]?.ok, true);
  assert.deepEqual(pipelineByCatalog([]), []);
  assert.equal(partsOf({ redis: WELL }, [redis]).find(({ name }) => name === "Redis")?.ok, true, "its own check goes before");
});

test("the catalog is old while anything on its way stands still", () => {
  assert.equal(isOutdated(null), false);
  assert.equal(isOutdated({ pipeline: WELL, redis: WELL, results: WELL, disk: { ok: false } }), false);
  for (const name of ["pipeline", "redis", "results"]) assert.equal(isOutdated({ [name]: { ok: false } }), true, name);
});
