import assert from "node:assert/strict";
import { test } from "node:test";
import { goldenText } from "../../testing/golden";
import { parseServerMessage, type HelloMessage } from "./protocol";

test("every golden message of the server is read", () => {
  const names = ["welcome", "snapshot", "snapshot-resume", "snapshot-waiting", "snapshot-histogram", "update", "update-histogram", "snapshot-part", "snapshot-rest", "update-unchanged", "series", "series-part", "series-rest", "welcome-part", "widgets", "state", "dashboard", "heartbeat", "close"];
  for (const name of names) assert.equal(parseServerMessage(goldenText(name))?.type, name.split("-")[0], name);
});

test("messages of a newer server are passed over", () => {
  assert.equal(parseServerMessage('{"type":"weather"}'), null);
  assert.equal(parseServerMessage('{"a":1}'), null);
  assert.equal(parseServerMessage("[]"), null);
  assert.equal(parseServerMessage("null"), null);
  assert.throws(() => parseServerMessage("{"), SyntaxError);
});

test("the golden hello has the form that the page sends", () => {
  const hello: HelloMessage = JSON.parse(goldenText("hello")) as HelloMessage;
  assert.deepEqual(Object.keys(hello), ["type", "token", "resume", "max_hz", "points", "vars"]);
  for (const point of Object.values(hello.resume ?? {})) assert.deepEqual(Object.keys(point), ["key", "window_end"]);
});
