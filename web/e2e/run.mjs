// Runs the end-to-end tests: starts the program once for all of them, then
// node --test, one file after the other.
//
//   node web/e2e/run.mjs             all
//   node web/e2e/run.mjs 03 11       those whose names begin so
//   node --test web/e2e/03-*.mjs     one file, with a program of its own
//
// Needs make build, npm ci in web, and a Chromium: Debian's, or what CHROMIUM
// names. PULSEBOARD_E2E_LONG=1 watches the heap for 15 real
// minutes, and holds frames to their limits: for a machine that does nothing else.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startServer } from "./program.mjs";

const folder = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(folder)
  .filter((name) => name.endsWith(".e2e.mjs") && (wanted.length === 0 || wanted.some((start) => name.startsWith(start))))
  .sort();
if (files.length === 0) {
  console.error(`no test in ${folder} begins with ${wanted.join(" or ")}`);
  process.exit(2);
}
const server = await startServer();
const { stop, ...shared } = server;
const node = spawn(process.execPath, ["--test", "--test-concurrency=1", "--test-reporter=spec", ...files.map((name) => join(folder, name))], {
  stdio: "inherit",
  env: { ...process.env, PULSEBOARD_E2E: JSON.stringify(shared) },
});
const code = await new Promise((resolve) => node.once("close", (status) => resolve(status ?? 1)));
await stop();
process.exit(code);
