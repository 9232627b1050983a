// The messages of WS /stream/{dashboard_id}. Their types are generated from the Go
// types that write them. Times are epoch milliseconds of the server.

import { serverMessageTypes, type HelloMessage, type ServerMessage } from "./messages";

export type * from "./messages";

export const SUBPROTOCOL = "pulseboard.v1";

export type ClientMessage = HelloMessage | { readonly type: "pause" | "play" | "resync" };

/** Reads a text frame; null for a type that only newer servers have. Throws SyntaxError on text that is not JSON. */
export function parseServerMessage(text: string): ServerMessage | null {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || !("type" in value)) return null;
  return typeof value.type === "string" && serverMessageTypes.has(value.type) ? (value as ServerMessage) : null;
}
