import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { changeDashboard, newerDashboard } from "./client";

const realFetch = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = realFetch;
});

/** A server with a dashboard at a version, and the requests that it got; a PATCH is answered when release is called. */
function serve(version: number) {
  const seen: string[] = [];
  let release = (_status: number): void => {};
  const patched = new Promise<number>((resolve) => {
    release = resolve;
  });
  const document = (v: number) => Response.json({ dashboard_id: "d", title: "", version: v, widgets: [] });
  globalThis.fetch = async (path, init) => {
    const method = init?.method ?? "GET";
    const ifNoneMatch = new Headers(init?.headers).get("If-None-Match");
    seen.push(`${method} ${String(path)} ${ifNoneMatch ?? ""}`.trim());
    if (method === "PATCH") {
      const status = await patched;
      return status === 200 ? document(version + 1) : Response.json({ detail: "no" }, { status });
    }
    return ifNoneMatch === `"${version}"` ? new Response(null, { status: 304 }) : document(version);
  };
  return { seen, release };
}

const at = (version: number) => ({ dashboard_id: "d", title: "", version, widgets: [] });

test("a page does not read what it has changed itself", async () => {
  const server = serve(7);
  const change = changeDashboard("PATCH", "d", "", 7, {});
  // The stream is often faster than the answer.
  const newer = newerDashboard(at(7), 8);
  server.release(200);
  assert.equal((await newer).version, 8);
  assert.equal((await change).version, 8);
  assert.deepEqual(server.seen, ["PATCH /dashboards/d"]);
});

test("a page reads what others have changed, if it is another one", async () => {
  const server = serve(7);
  assert.equal((await newerDashboard(at(6), 7)).version, 7);
  const known = at(7);
  assert.equal(await newerDashboard(known, 8), known);
  assert.deepEqual(server.seen, ['GET /dashboards/d "6"', 'GET /dashboards/d "7"']);
});

test("a change that was refused, or is older than what the stream shows, is no answer", async () => {
  for (const status of [412, 200]) {
    const server = serve(9);
    const change = changeDashboard("PATCH", "d", "", 8, {}).catch(() => null);
    const newer = newerDashboard(at(8), status === 412 ? 9 : 11);
    server.release(status);
    assert.equal((await newer).version, 9);
    await change;
    assert.deepEqual(server.seen, ["PATCH /dashboards/d", 'GET /dashboards/d "8"']);
  }
});
