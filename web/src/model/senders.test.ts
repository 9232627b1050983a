import assert from "node:assert/strict";
import { test } from "node:test";
import { reachable, sendersFor } from "./senders";

const place = { origin: "https://metrics.example.org", tokens: false, formats: ["json", "influx"], statsd: "" };

test("only programs whose format is taken are shown, each with the address of this installation", () => {
  assert.deepEqual(sendersFor(place).map(({ name }) => name), ["curl", "pulseboard send", "Telegraf", "Python, influxdb-client"]);
  const all = sendersFor({ ...place, formats: ["json", "influx", "remote_write", "otlp"], statsd: "0.0.0.0:8125" });
  assert.equal(all.length, 7);
  for (const { name, lines } of all) assert.match(lines, /metrics\.example\.org/, name);
});

test("tokens are named where they are asked for, and nowhere else", () => {
  const formats = ["json", "influx", "remote_write", "otlp"];
  for (const { name, lines } of sendersFor({ ...place, formats })) assert.doesNotMatch(lines, /TOKEN|Authorization|authorization|token-file|environ|import os/, name);
  for (const { name, lines } of sendersFor({ ...place, formats, tokens: true })) assert.match(lines, /TOKEN|credentials_file|token-file/, name);
});

test("a server that listens on all addresses is reached at that of the page", () => {
  assert.deepEqual(reachable("127.0.0.1:8125", "http://10.0.0.7:8080"), { host: "127.0.0.1", port: "8125" });
  for (const any of ["0.0.0.0:8125", "[::]:8125", ":8125"]) assert.deepEqual(reachable(any, "http://10.0.0.7:8080"), { host: "10.0.0.7", port: "8125" });
  assert.deepEqual(reachable("[fe80::1]:99", "http://[::1]:8080"), { host: "fe80::1", port: "99" });
  assert.deepEqual(reachable("[::]:99", "http://[::1]:8080"), { host: "::1", port: "99" });
});
