// Ready lines for the programs that people have, with the address of this installation filled in.

/** What the lines depend on. */
export interface Place {
  /** Of ingest, such as https://metrics.example.org. */
  readonly origin: string;
  /** Senders need a token. */
  readonly tokens: boolean;
  /** Formats that ingest takes over HTTP. */
  readonly formats: readonly string[];
  /** host:port where it takes StatsD, as the server knows it; "" = nowhere. */
  readonly statsd: string;
}

export interface Sender {
  readonly name: string;
  /** The format by which what it sends is shown below. */
  readonly format: string;
  /** What to do with the lines. */
  readonly about: string;
  readonly lines: string;
}

/** The programs that this installation takes data of. */
export function sendersFor(place: Place): readonly Sender[] {
  const formats = place.statsd === "" ? place.formats : [...place.formats, "statsd"];
  return SENDERS.map((make) => make(place)).filter(({ format }) => formats.includes(format));
}

/** Where the page's visitor reaches a server that listens on host:port, which may stand for all addresses. */
export function reachable(listens: string, origin: string): { readonly host: string; readonly port: string } {
  const colon = listens.lastIndexOf(":");
  const host = listens.slice(0, colon).replace(/^\[|\]$/g, "");
  const isAny = host === "" || host === "::" || host === "0.0.0.0";
  return { host: isAny ? new URL(origin).hostname.replace(/^\[|\]$/g, "") : host, port: listens.slice(colon + 1) };
}

const SENDERS: readonly ((place: Place) => Sender)[] = [
  ({ origin, tokens }) => ({
    name: "curl",
    format: "json",
    about: "One event as JSON. An array sends many at once.",
    lines: `curl ${origin}/ingest -H 'Content-Type: application/json' \\${tokens ? `\n  -H "Authorization: Bearer $TOKEN" \\` : ""}
  -d '{"metric_name":"hello.world","value":1,"tags":{"who":"me"}}'`,
  }),
  ({ origin, tokens }) => ({
    name: "pulseboard send",
    format: "json",
    about: tokens ? "For scripts: one event, a file, or standard input. The file named token holds the token." : "For scripts: one event, a file, or standard input.",
    lines: `pulseboard send hello.world 1 who=me --server ${origin}${tokens ? " --token-file token" : ""}
pulseboard send --file events.ndjson --server ${origin}${tokens ? " --token-file token" : ""}`,
  }),
  ({ origin, tokens }) => ({
    name: "Prometheus, Grafana Alloy",
    format: "remote_write",
    about: "Into prometheus.yml: it sends on what it scrapes.",
    lines: `remote_write:
  - url: ${origin}/api/v1/write${tokens ? "\n    authorization:\n      credentials_file: /etc/prometheus/pulseboard.token" : ""}`,
  }),
  ({ origin, tokens }) => ({
    name: "OpenTelemetry",
    format: "otlp",
    about: "Into the environment of a program with OpenTelemetry's SDK.",
    lines: `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=${origin}/v1/metrics
OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf${tokens ? `\nOTEL_EXPORTER_OTLP_METRICS_HEADERS="Authorization=Bearer%20$TOKEN"` : ""}`,
  }),
  ({ origin, tokens }) => ({
    name: "Telegraf",
    format: "influx",
    about: "Into telegraf.conf.",
    lines: `[[outputs.influxdb_v2]]
  urls = ["${origin}"]
  token = "${tokens ? "$TOKEN" : "-"}"
  organization = "-"
  bucket = "-"`,
  }),
  ({ origin, tokens }) => ({
    name: "Python, influxdb-client",
    format: "influx",
    about: "pip install influxdb-client",
    lines: `import os
from influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS

with InfluxDBClient(url="${origin}", token=${tokens ? 'os.environ["TOKEN"]' : '"-"'}, org="-") as client:
    client.write_api(write_options=SYNCHRONOUS).write(bucket="-", record="hello,who=me value=1")`.replace(tokens ? "" : "import os\n", ""),
  }),
  ({ origin, statsd }) => {
    const { host, port } = reachable(statsd, origin);
    return {
      name: "StatsD, DogStatsD",
      format: "statsd",
      about: "Over UDP, at most once; the second and third line are for clients of Datadog. It needs no token, but --statsd-allow where it is not on this machine.",
      lines: `echo 'hello.world:1|c|#who:me' > /dev/udp/${host}/${port}
DD_AGENT_HOST=${host}
DD_DOGSTATSD_PORT=${port}`,
    };
  },
];
