import assert from "node:assert/strict";
import { test } from "node:test";
import { backoff, isFinal } from "./backoff";
import { golden, goldenText } from "../../testing/golden";
import type { ServerMessage } from "./protocol";
import { StreamSocket, type SocketStatus } from "./socket";
import { TestWorld } from "../../testing/world";

function started() {
  const world = new TestWorld();
  const statuses: SocketStatus[] = [];
  const messages: ServerMessage[] = [];
  const socket = new StreamSocket({
    url: "ws://test/stream/1",
    world,
    hello: () => ({ type: "hello", resume: { w: { key: "k", window_end: messages.length } } }),
    onMessage: (message) => messages.push(message),
    onStatus: (status) => statuses.push(status),
  });
  socket.start();
  return { world, statuses, messages, socket };
}

test("the client speaks first, on every connection, with what it has by then", () => {
  const { world } = started();
  assert.deepEqual(world.last.sent, []);
  world.last.events.open();
  assert.deepEqual(world.last.sent, ['{"type":"hello","resume":{"w":{"key":"k","window_end":0}}}']);
  world.last.events.message(goldenText("welcome"));
  world.last.events.close(1006, "");
  world.pass(250);
  world.last.events.open();
  assert.equal(world.connections.length, 2);
  assert.deepEqual(world.last.sent, ['{"type":"hello","resume":{"w":{"key":"k","window_end":1}}}']);
});

test("waits grow to 15 s and begin anew after 10 stable seconds", () => {
  const { world, statuses } = started();
  const waits: number[] = [];
  for (let i = 0; i < 7; i++) {
    world.last.events.close(1006, "");
    const status = statuses.at(-1);
    assert.equal(status?.kind, "waiting");
    const wait = (status?.kind === "waiting" ? status.until : 0) - world.time;
    waits.push(wait);
    world.pass(wait);
  }
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 7500, 7500]);
  world.last.events.open();
  world.pass(9_999);
  world.last.events.close(1006, "");
  const status = statuses.at(-1);
  assert.equal(status?.kind === "waiting" && status.until - world.time, 7500);
  world.pass(7500);
  world.last.events.open();
  world.last.events.message(goldenText("welcome"));
  world.pass(10_000);
  world.last.events.close(1006, "");
  const calm = statuses.at(-1);
  assert.equal(calm?.kind === "waiting" && calm.until - world.time, 250);
});

test("codes 4400 to 4499 end the stream, whether the close frame or a message says so", () => {
  for (const say of ["frame", "message"]) {
    const { world, statuses } = started();
    world.last.events.open();
    if (say === "message") world.last.events.message('{"type":"close","code":4404,"reason":"no such dashboard"}');
    world.last.events.close(say === "frame" ? 4404 : 1005, say === "frame" ? "no such dashboard" : "");
    assert.deepEqual(statuses.at(-1), { kind: "ended", code: 4404, reason: "no such dashboard" });
    world.pass(60_000);
    assert.equal(world.connections.length, 1);
  }
});

test("the server's wish when to come back is kept, plus jitter", () => {
  const { world, statuses } = started();
  world.last.events.open();
  world.last.events.message(goldenText("close"));
  world.last.events.close(1012, "restart");
  const status = statuses.at(-1);
  assert.equal(status?.kind === "waiting" && status.until, golden("close", "close").reconnect_after_ms! + 250);
});

test("a silence of 2.5 heartbeats is a loss, anything heard in between is none", () => {
  const { world, statuses, socket } = started();
  world.last.events.open();
  world.last.events.message(goldenText("welcome"));
  for (let i = 0; i < 5; i++) {
    world.pass(12_000);
    world.last.events.message(goldenText("heartbeat"));
  }
  assert.equal(statuses.at(-1)?.kind, "open");
  const first = world.last;
  world.pass(12_499);
  assert.equal(statuses.at(-1)?.kind, "open");
  world.pass(1);
  assert.equal(statuses.at(-1)?.kind, "waiting");
  assert.equal(first.closed, true);
  // What the half-open connection still delivers is nobody's.
  const before = statuses.length;
  first.events.close(1006, "");
  assert.equal(statuses.length, before);
  socket.stop();
});

test("a server that is long in greeting gets more time with each try, up to a minute", () => {
  const { world, statuses } = started();
  const given: number[] = [];
  for (let i = 0; i < 5; i++) {
    const began = world.time;
    // Opened or not: neither is a greeting.
    if (i % 2 === 0) world.last.events.open();
    while (statuses.at(-1)?.kind !== "waiting") world.pass(100);
    given.push(world.time - began);
    const status = statuses.at(-1);
    world.pass(status?.kind === "waiting" ? status.until - world.time : 0);
  }
  assert.deepEqual(given, [12_500, 25_000, 50_000, 60_000, 60_000]);
  // A hello that came too late for the server is no reason to give up.
  world.last.events.open();
  world.last.events.close(4408, "no hello came");
  assert.equal(statuses.at(-1)?.kind, "waiting");
});

test("renew leaves a connection that may be dead, at once", () => {
  const { world, socket, statuses } = started();
  world.last.events.open();
  world.last.events.message(goldenText("welcome"));
  const first = world.last;
  socket.renew();
  assert.equal(first.closed, true);
  assert.equal(world.connections.length, 2);
  assert.equal(statuses.at(-1)?.kind, "connecting");
  world.last.events.close(1006, "");
  socket.renew();
  assert.equal(world.connections.length, 2, "there is nothing to leave while it waits");
});

test("retryNow connects at once, and only when there is something to retry", () => {
  const { world, socket } = started();
  socket.retryNow();
  assert.equal(world.connections.length, 1);
  world.last.events.close(1006, "");
  socket.retryNow();
  assert.equal(world.connections.length, 2);
  world.pass(1000);
  assert.equal(world.connections.length, 2);
});

test("what the server says is in vain is tried again only when someone asks", () => {
  const { world, socket } = started();
  world.last.events.close(4404, "no such dashboard");
  socket.retryNow();
  assert.equal(world.connections.length, 1);
  socket.retryNow(true);
  assert.equal(world.connections.length, 2);
  // Once only: it is connecting now.
  socket.retryNow(true);
  assert.equal(world.connections.length, 2);
});

test("stop ends it: no retry, nothing sent", () => {
  const { world, socket } = started();
  world.last.events.open();
  socket.stop();
  assert.equal(world.last.closed, true);
  assert.equal(socket.send({ type: "play" }), false);
  world.pass(60_000);
  assert.equal(world.connections.length, 1);
});

test("a frame that cannot be read is passed over", () => {
  const { world, messages } = started();
  world.last.events.open();
  world.last.events.message("{");
  world.last.events.message(new ArrayBuffer(2));
  world.last.events.message(goldenText("heartbeat"));
  assert.deepEqual(messages.map((message) => message.type), ["heartbeat"]);
});

test("backoff is full jitter under its bound", () => {
  assert.deepEqual([0, 1, 2, 4, 5, 50, 5000].map((attempt) => backoff(attempt, () => 1)), [500, 1000, 2000, 8000, 15_000, 15_000, 15_000]);
  assert.equal(backoff(3, () => 0), 0);
  assert.equal(backoff(3, () => 0.25), 1000);
  assert.deepEqual([1000, 1012, 1013, 4399, 4400, 4408, 4499, 4500].map(isFinal), [false, false, false, false, true, false, true, false]);
});
