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

test("addresses of pages", () => {
  const cases: [string, ReturnType<typeof parseRoute>][] = [
    ["/", { page: "list" }],
    ["/status", { page: "status" }],
    ["/d/a%2Fb", { page: "dashboard", id: "a/b" }],
    ["/d/a/w/b/", { page: "dashboard", id: "a", widget: "b" }],
    ["/d/a/w", { page: "unknown" }],
    ["/d/%zz", { page: "unknown" }],
    ["/elsewhere", { page: "unknown" }],
  ];
  for (const [path, want] of cases) {
    const got = parseRoute(path);
    for (const [name, value] of Object.entries(want)) assert.equal(got[name as keyof typeof got], value, `${path}: ${name}`);
  }
});
