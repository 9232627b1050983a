import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseServerMessage, type ServerMessage } from "../src/live/protocol";

/** Text of a golden message; tests run in the folder web. */
export function goldenText(name: string): string {
  return readFileSync(join(process.cwd(), "../wire/testdata/stream", `${name}.json`), "utf8");
}

/** A golden message of the server. */
export function golden<K extends ServerMessage["type"]>(name: string, type: K): Extract<ServerMessage, { type: K }> {
  const message = parseServerMessage(goldenText(name));
  if (message?.type !== type) throw new Error(`wire/testdata/stream/${name}.json is no ${type}`);
  return message as Extract<ServerMessage, { type: K }>;
}
