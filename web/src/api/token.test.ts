import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { ApiError, checkToken, listDashboards } from "./client";
import { keeper, TokenKeeper } from "./token";

class MapShelf extends Map<string, string> {
  getItem = (key: string): string | null => this.get(key) ?? null;
  setItem = (key: string, value: string): void => void this.set(key, value);
  removeItem = (key: string): void => void this.delete(key);
}

function shelves() {
  const lasting = new MapShelf();
  const passing = new MapShelf();
  const open = () => new TokenKeeper(() => lasting, () => passing);
  return { lasting, passing, open };
}

test("a token lasts for the tab, or for the browser when it is to be remembered", () => {
  const { lasting, passing, open } = shelves();
  const first = open();
  assert.equal(first.token.value, "");
  first.give("a", false);
  assert.deepEqual([lasting.size, passing.size, open().token.value], [0, 1, "a"]);
  first.give("b", true);
  assert.deepEqual([lasting.size, passing.size, open().token.value], [1, 0, "b"]);
  first.forget();
  assert.deepEqual([lasting.size, passing.size, first.token.value, open().token.value], [0, 0, "", ""]);
});

test("a browser that forbids storage still signs in", () => {
  const forbidden = (): never => {
    throw new Error("forbidden");
  };
  const k = new TokenKeeper(forbidden, forbidden);
  k.give("a", true);
  assert.equal(k.token.value, "a");
});

test("another tab's token is this one's too, unless this one has its own", async () => {
  const k = shelves().open();
  const refused = k.ask("", "no token");
  k.follow("a");
  assert.equal(await refused, true);
  assert.deepEqual([k.token.value, k.asking.value], ["a", null]);
  k.follow(null);
  assert.equal(k.token.value, "");
  k.give("mine", false);
  k.follow("theirs");
  k.follow(null);
  assert.equal(k.token.value, "mine");
});

test("all who were refused wait for one answer", async () => {
  const k = shelves().open();
  const two = [k.ask("", "no token"), k.ask("", "no token")];
  assert.equal(k.asking.value, "");
  k.give("a", false);
  assert.deepEqual(await Promise.all(two), [true, true]);
  assert.equal(k.asking.value, null);
});

test("a token that was refused is named wrong, one that was replaced meanwhile is not", async () => {
  const k = shelves().open();
  k.give("new", false);
  assert.equal(await k.ask("old", "unknown"), true);
  assert.equal(k.asking.value, null);
  const asked = k.ask("new", "unknown");
  assert.equal(k.asking.value, "unknown");
  k.decline();
  assert.equal(await asked, false);
});

test("who closed the dialog is asked again only on his wish", async () => {
  const k = shelves().open();
  const asked = k.ask("", "");
  k.decline();
  assert.equal(await asked, false);
  assert.equal(await k.ask("", ""), false);
  assert.equal(k.asking.value, null);
  k.signIn();
  assert.equal(k.asking.value, "");
  k.give("a", false);
  void k.ask("a", "expired");
  assert.equal(k.asking.value, "expired");
});

const realFetch = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = realFetch;
  keeper.decline();
  keeper.forget();
});

/** A server that knows one token, and the requests that it got. */
function serve(good: string) {
  const seen: (string | null)[] = [];
  globalThis.fetch = (_path, init) => {
    const header = new Headers(init?.headers).get("Authorization");
    seen.push(header);
    if (header === `Bearer ${good}`) return Promise.resolve(Response.json({ dashboards: [], next: null }));
    const status = header === "Bearer producer" ? 403 : 401;
    return Promise.resolve(Response.json({ detail: header === null ? "needs a token" : `refused with ${status}` }, { status }));
  };
  return seen;
}

test("a request that was refused is sent again with the token that is given", async () => {
  const seen = serve("right");
  const list = listDashboards({});
  while (keeper.asking.value === null) await new Promise(setImmediate);
  keeper.give("right", false);
  assert.deepEqual(await list, { dashboards: [], next: null });
  assert.deepEqual(seen, [null, "Bearer right"]);
});

test("a request fails when no token is given, and one that is given up does not wait", async () => {
  serve("right");
  const list = listDashboards({});
  const gone = new AbortController();
  const other = listDashboards({}, gone.signal);
  while (keeper.asking.value === null) await new Promise(setImmediate);
  gone.abort();
  keeper.decline();
  await assert.rejects(list, (error) => error instanceof ApiError && error.status === 401 && /not signed in/.test(error.message));
  await assert.rejects(other);
});

test("a token is tried before it is taken, without asking for another", async () => {
  serve("right");
  await checkToken("right");
  await assert.rejects(checkToken("wrong"), /refused with 401/);
  await assert.rejects(checkToken("producer"), /refused with 403/);
  assert.equal(keeper.asking.value, null);
});
