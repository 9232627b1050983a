// Each page beside each state of the link and of what is behind it: no page shows
// an old number as a live one. Each state is walked with all pages open, a picture
// of each goes to out/states-*.png, and out/states.md says what each page said.
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { frame, later, metricName, OUT, ownServer, picture, pill, pillSays, pipelineOf, redisOf, startFront, startGateway, until, useBrowser, visit, widget } from "./harness.mjs";

const HEARTBEAT = ["--heartbeat", "1s"];
const TOKENS = { viewer: randomUUID(), owner: randomUUID() };
const METRIC = metricName("states");
const LINE = widget("line", METRIC, { title: "Line", display: { thresholds: [{ at: 1, level: "crit" }] } });
const NUMBER = widget("stat", METRIC, { title: "Number", display: { thresholds: [{ at: 1, level: "crit" }] } });

/** Each page, where it is, and what is done on it before. */
const PAGES = {
  board: { path: (id) => `/d/${id}` },
  edit: { path: (id) => `/d/${id}/edit` },
  inspect: { path: (id) => `/d/${id}/w/${LINE.widget_id}` },
  wall: { path: (id) => `/d/${id}?kiosk=1` },
  full: { path: (id) => `/d/${id}`, prepare: (page) => frame(page, "Number").getByRole("button", { name: "Full screen Number" }).click() },
  status: { path: () => "/status" },
};

/** States in which what is said of metrics is old, too. */
const OLD_CATALOGUE = new Set(["server gone", "pipeline stopped", "Redis away"]);

/** The tokens file, with a viewer whose token ends then. */
function tokensFile(viewerEnds) {
  const entry = (name, scope, expires) => `  - name: ${name}\n    scopes: [${scope}]\n    hash: sha256:${createHash("sha256").update(TOKENS[name]).digest("hex")}\n    expires: ${expires.toISOString()}\n`;
  return `tokens:\n${entry("viewer", "edit", viewerEnds)}${entry("owner", "admin", new Date(Date.now() + 3_600_000))}`;
}

const asOwner = (url, path, body) => fetch(url + path, { method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${TOKENS.owner}` }, body: JSON.stringify(body) });

test("no page shows an old number as a live one", { timeout: 1_800_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "pulseboard-e2e-tokens-"));
  later(t, () => rmSync(folder, { recursive: true, force: true }));
  const tokens = join(folder, "tokens.yaml");
  writeFileSync(tokens, tokensFile(new Date(Date.now() + 3_600_000)), { mode: 0o600 });
  const { url, redis, pid } = await ownServer(t, ["--no-demo", "--no-canary=false", "--tokens", tokens]);
  const made = await asOwner(url, "/dashboards", { title: "States", widgets: [LINE, NUMBER] });
  assert.equal(made.status, 201);
  const { dashboard_id: id } = await made.json();
  // What stands still may refuse events; what is looked at is the page.
  const producer = setInterval(() => void asOwner(url, "/ingest", [{ metric_name: METRIC, value: 107 }]).then((answer) => answer.arrayBuffer(), () => {}), 250);
  later(t, () => clearInterval(producer));

  const gateway = await startGateway(redis, [...HEARTBEAT, "--tokens", tokens]);
  later(t, () => gateway.stop());
  const front = await startFront(url, gateway.address);
  later(t, () => front.stop());
  const browser = await useBrowser(t);
  const pages = {};
  for (const [name, { path, prepare }] of Object.entries(PAGES)) {
    const page = await visit(t, browser, front.url + path(id), {
      expected: /WebSocket|Failed to load resource|net::/,
      init: `localStorage.setItem("pulseboard.token", ${JSON.stringify(TOKENS.viewer)})`,
    });
    await prepare?.(page);
    pages[name] = page;
  }
  const allLive = async () => {
    for (const [name, page] of Object.entries(pages)) {
      if (name === "status") await until(`Status says that all is well: ${await faults(page)}`, async () => (await rows(page)).length > 6 && (await faults(page)) === "", 180_000);
      else await until(`${name} is live`, async () => (await all(page, (claim) => claim.state === "live" && !claim.grey)), 180_000);
    }
  };
  const table = [];
  /** All pages, walked while a state lasts: each is grey, and none claims to be of now. */
  const walk = async (state, red) => {
    const said = [];
    for (const [name, page] of Object.entries(pages)) {
      if (name === "status") {
        await until(`${state}: Status is red for ${red}`, async () => new RegExp(red).test(await faults(page)), 180_000);
        if (OLD_CATALOGUE.has(state)) await until(`${state}: what Status says of metrics is grey`, () => page.locator(".table-scroll.is-old").isVisible());
        said.push(`status: ${(await faults(page)) || "all ok"}`);
      } else {
        await until(`${state}: ${name} is grey`, async () => (await all(page, (claim) => claim.grey)), 180_000);
        said.push(`${name}: ${(await claims(page)).map((claim) => claim.state)}; ${await pill(page).textContent()}`);
      }
      await picture(page, `states-${state.replaceAll(" ", "-")}-${name}`);
    }
    // None of them got its colours back while the others were looked at.
    for (const [name, page] of Object.entries(pages)) {
      if (name === "status") continue;
      for (const claim of await claims(page)) assert.ok(claim.grey, `${state}: ${name} shows “${claim.title}” as ${claim.state}`);
      assert.doesNotMatch(await pill(page).textContent(), /^Live/, `${state}: the pill of ${name}`);
    }
    table.push(`| ${state} | ${said.join(" | ")} |`);
  };
  await allLive();
  for (const [name, page] of Object.entries(pages)) await picture(page, `states-live-${name}`);

  await t.test("the link is cut, and the gateway's greeting does not come", async () => {
    front.mute = true;
    front.cut();
    await walk("greeting late", "Stream");
    front.mute = false;
    front.cut();
    await allLive();
  });

  await t.test("a half-open link", async () => {
    front.closed = true; // Else it might be back before all pages were looked at.
    front.silence();
    await walk("half-open", "Stream");
    front.closed = false;
    await allLive();
  });

  await t.test("the server is gone", async () => {
    front.gone = true;
    front.cut();
    await walk("server gone", "Stream.*Kafka.*Pipeline.*Redis");
    front.gone = false;
    await allLive();
  });

  await t.test("the pipeline stands still", async (sub) => {
    const pipeline = pipelineOf(pid);
    later(sub, () => process.kill(pipeline, "SIGCONT"));
    process.kill(pipeline, "SIGSTOP");
    await walk("pipeline stopped", "Pipeline.*Lag.*Newest result.*Canary");
    process.kill(pipeline, "SIGCONT");
    await allLive();
  });

  await t.test("Redis is away", async (sub) => {
    const store = redisOf(pid);
    later(sub, () => process.kill(store, "SIGCONT"));
    process.kill(store, "SIGSTOP");
    await walk("Redis away", "Redis");
    process.kill(store, "SIGCONT");
    await allLive();
  });

  await t.test("a round trip takes 5 s: pages connect all the same", async () => {
    front.latencyMs = 2500;
    front.cut();
    await pillSays(pages.board, "Connection lost, reconnecting");
    await until("a connection over a slow link", () => all(pages.board, (claim) => claim.state === "live" || claim.state === "late"), 300_000);
    front.latencyMs = 0;
    front.cut();
    await allLive();
  });

  await t.test("the token expires", async () => {
    writeFileSync(tokens, tokensFile(new Date(Date.now() - 1000)), { mode: 0o600 });
    await walk("token expired", "Stream");
  });

  mkdirSync(OUT, { recursive: true });
  writeFileSync(join(OUT, "states.md"), `| state | ${Object.keys(PAGES).join(" | ")} |\n|${"---|".repeat(Object.keys(PAGES).length + 1)}\n${table.join("\n")}\n`);
});

/** What each widget in sight says of itself, and whether it looks so. On the whole screen one is in sight. */
function claims(page) {
  return page.evaluate(() => {
    const full = document.fullscreenElement ?? document.querySelector(".widget[data-full]");
    return [...document.querySelectorAll("[data-state].widget")]
      .filter((one) => full === null || one === full)
      .map((one) => {
        const style = getComputedStyle(one.querySelector(".widget-body"));
        return { title: one.textContent.slice(0, 20), state: one.dataset.state, grey: style.filter.includes("grayscale") || style.visibility === "hidden" };
      });
  });
}

/** Whether it is so of each widget; without any nothing is. */
async function all(page, isSo) {
  const found = await claims(page);
  return found.length > 0 && found.every(isSo);
}

/** The lines of the status page: [ok, fault or unknown, name]. */
function rows(page) {
  return page.evaluate(() => [...document.querySelectorAll(".parts li")].map((row) => [row.children[0].textContent, row.children[1].textContent]));
}

async function faults(page) {
  return (await rows(page)).filter(([word]) => word !== "ok").map(([, name]) => name).join(", ");
}
