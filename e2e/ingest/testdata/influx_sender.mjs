// As influx_sender.py, with clients of InfluxDB for Node: v1 is the package influx, v2 is @influxdata/influxdb-client.
// The folder of their packages is in MODULES.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as pause } from "node:timers/promises";

const require = createRequire(process.env.MODULES + "/");
const [client, url, journal, batches] = [process.argv[2], process.argv[3], process.argv[4], Number(process.argv[5])];
const hosts = ["a", "b c"];
const note = 'a "string", of which = nothing\nis shown';

const must = (right, what) => {
  if (!right) throw new Error("not as the client needs it: " + JSON.stringify(what));
};

async function v1() {
  const { InfluxDB } = require("influx");
  const { hostname, port } = new URL(url);
  const influx = new InfluxDB({ host: hostname, port: Number(port), database: "shop" });
  const [ping] = await influx.ping(5000);
  must(ping.online && ping.version, ping);
  await influx.createDatabase("shop");
  const names = await influx.getDatabaseNames();
  must(names.includes("pulseboard"), names); // It does not say which it writes to.
  return (points) =>
    influx.writePoints(
      points.map((p) => ({ measurement: "influx.v1", tags: { host: p.host }, fields: { load: p.load, n: p.n, up: true, note }, timestamp: p.time })),
      { precision: "ms" },
    );
}

async function v2() {
  const { InfluxDB, Point } = require("@influxdata/influxdb-client");
  const { HealthAPI, PingAPI, BucketsAPI } = require("@influxdata/influxdb-client-apis");
  const influx = new InfluxDB({ url, token: "none" });
  await new PingAPI(influx).getPing();
  const health = await new HealthAPI(influx).getHealth();
  must(health.status === "pass", health);
  const { buckets } = await new BucketsAPI(influx).getBuckets({ name: "shop" });
  must(buckets[0].name === "shop", buckets);
  return (points) =>
    new Promise((resolve, reject) => {
      const api = influx.getWriteApi("o", "shop", "ms", { maxRetries: 0, writeSuccess: resolve, writeFailed: reject });
      for (const p of points) {
        api.writePoint(new Point("influx.v2").tag("host", p.host).floatField("load", p.load).intField("n", p.n).booleanField("up", true).stringField("note", note).timestamp(p.time));
      }
      api.close().catch(reject);
    });
}

async function patient(write) {
  for (;;) {
    try {
      return await write();
    } catch (e) {
      console.log("again:", String(e).slice(0, 200));
      await pause(200);
    }
  }
}

const write = await { v1, v2 }[client]();
let noted = [];
if (existsSync(journal)) {
  noted = readFileSync(journal, "utf8").trim().split("\n").map((line) => JSON.parse(line));
  await patient(() => write(noted.slice(-20)));
}
let before = noted.slice(-2);
for (let i = 0; i < batches; i++) {
  const batch = hosts.map((host) => ({ host, time: Date.now(), load: (noted.length + i) * 0.25 + 0.125, n: i }));
  appendFileSync(journal, batch.map((p) => JSON.stringify(p) + "\n").join(""));
  await patient(() => write([...before, ...batch]));
  before = batch;
  console.log("written", i);
  await pause(20);
}
console.log("done");
