import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parseRoute } from "./router";

/** The server, which reads the same file in its test, answers 404 where the page has nothing to show. */
test("the page knows the paths that the server sends it for, and no others", () => {
  const routes = JSON.parse(readFileSync("testdata/routes.json", "utf8")) as { page: string[]; nothing: string[] };
  for (const path of routes.page) assert.notEqual(parseRoute(path).page, "unknown", path);
  for (const path of routes.nothing) assert.equal(parseRoute(path).page, "unknown", path);
});
