import { effect, signal } from "@preact/signals";
import { setZone } from "../model/format";
import { getQuery, setQuery } from "./router";

/** Times are shown in UTC; else in the browser's zone. */
export const utc = signal(getQuery("tz") === "utc");
effect(() => setZone(utc.value));

export function toggleZone(): void {
  utc.value = !utc.value;
  setQuery("tz", utc.value ? "utc" : null);
}
