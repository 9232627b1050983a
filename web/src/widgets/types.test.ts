import assert from "node:assert/strict";
import { test } from "node:test";
import { COLUMNS } from "../model/layout";
import { WIDGET_TYPES } from "./types";

test("a new widget of each type fits the grid, and each choice in its form is made before anybody chooses", () => {
  assert.equal([...WIDGET_TYPES.keys()][0], "line", "the one that is meant where a document names none");
  for (const [name, { label, size, fields }] of WIDGET_TYPES) {
    assert.notEqual(label, "", name);
    assert.ok(size[0] >= 1 && size[0] <= COLUMNS && size[1] >= 1, name);
    for (const { path, kind, fallback } of fields) {
      if (typeof kind === "string") continue;
      assert.ok(kind.some(([value]) => value === fallback), `${name}: ${path} shows nothing as chosen`);
    }
  }
});
