// Starts the built programs as their users do: port 0, a folder of their own.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const BIN = process.env.PULSEBOARD_BIN ?? join(dirname(fileURLToPath(import.meta.url)), "..", "..", "bin");
const START_MS = 60_000;

/** A program that runs, and what it has said so far. */
export class Program {
  constructor(name, args) {
    this.name = name;
    this.log = "";
    this.process = spawn(join(BIN, name), args, { stdio: ["ignore", "pipe", "pipe"] });
    this.pid = this.process.pid;
    this.ended = new Promise((resolve) => {
      this.process.once("error", (error) => {
        this.log += `${error.message}: run make build\n`;
        resolve();
      });
      this.process.once("close", resolve);
    });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text) => {
        this.log += text;
        this.look?.();
      });
    }
    this.kill = this.kill.bind(this);
    process.once("exit", this.kill);
  }

  /** The first match in what the program says; rejects when it ends before. */
  async says(pattern) {
    const found = new Promise((resolve) => {
      this.look = () => {
        const match = pattern.exec(this.log);
        if (match !== null) resolve(match);
      };
      this.look();
    });
    const late = new Promise((resolve) => {
      const timer = setTimeout(resolve, START_MS);
      timer.unref();
    });
    const match = await Promise.race([found, late, this.ended]);
    if (!match?.[0]) throw new Error(`${this.name} did not say ${pattern}; it said:\n${this.log}`);
    return match;
  }

  /** With -9: it can put nothing in order. */
  kill() {
    if (this.pid !== undefined && this.process.exitCode === null) this.process.kill("SIGKILL");
  }

  async stop() {
    process.removeListener("exit", this.kill);
    if (this.process.exitCode === null) this.process.kill("SIGTERM");
    const timer = setTimeout(this.kill, 15_000);
    await this.ended;
    clearTimeout(timer);
  }
}

/** pulseboard run: everything on one address. Its folder goes when it stops. */
export async function startServer(args = []) {
  const folder = mkdtempSync(join(tmpdir(), "pulseboard-e2e-"));
  // Without the canary, whose events and results would be among those that tests count.
  const program = new Program("pulseboard", ["run", "--addr", "127.0.0.1:0", "--data-dir", folder, "--no-canary", ...args]);
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const [, url, redis] = await program.says(/running: (http:\/\/\S+)\/\n[^]*\n {2}Redis (\S+) [^]*Ctrl-C/);
    return {
      url,
      redis,
      pid: program.pid,
      stop: async () => {
        await program.stop();
        remove();
      },
    };
  } catch (error) {
    program.kill();
    remove();
    throw error;
  }
}

/** A gateway of its own on the Redis of a server, which may be killed while the rest lives. */
export async function startGateway(redis, args = []) {
  const program = new Program("gateway", ["--addr", "127.0.0.1:0", "--redis", redis, ...args]);
  const [, address] = await program.says(/msg=listening .*addr=(\S+)/);
  return { address, kill: program.kill, stop: () => program.stop(), ended: program.ended };
}

/** The process of the pipeline that belongs to a server: a child with that command. */
export function pipelineOf(pid) {
  return childOf(pid, ([, command]) => command === "pipeline");
}

/** The process of a server's Redis. */
export function redisOf(pid) {
  return childOf(pid, ([program]) => /redis-server/.test(program));
}

function childOf(pid, isIt) {
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    for (const child of readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" ")) {
      if (child !== "" && isIt(readFileSync(`/proc/${child}/cmdline`, "utf8").split("\0"))) return Number(child);
    }
  }
  throw new Error(`process ${pid} has no such child`);
}
