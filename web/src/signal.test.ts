import assert from "node:assert/strict";
import { test } from "node:test";
import { signal } from "./signal";

test("followers hear the value now and each other one, until they end it", () => {
  const one = signal(1);
  const heard: number[] = [];
  const follow = (value: number): void => void heard.push(value);
  const end = one.subscribe(follow);
  const endTwin = one.subscribe(follow);
  one.value = 2;
  one.value = 2;
  endTwin();
  one.value = Number.NaN;
  one.value = Number.NaN;
  end();
  one.value = 3;
  assert.deepEqual(heard, [1, 1, 2, 2, Number.NaN]);
  assert.equal(one.value, 3);
});

test("who ends it while others are told does not keep them from hearing", () => {
  const one = signal("a");
  const heard: string[] = [];
  const end = one.subscribe((value) => {
    if (value === "b") end();
  });
  one.subscribe((value) => void heard.push(value));
  one.value = "b";
  assert.deepEqual(heard, ["a", "b"]);
});
