import { signal, type Signal } from "@preact/signals";
import { changeDashboard, createDashboard, deleteDashboard, isStatus, listDashboards, messageOf } from "../../api/client";
import type { Widget } from "../../api/types";
import { DRAFT_TAG } from "../../model/draft";
import { CLOSED_GONE } from "../../live/backoff";
import { dashboardSession, type LiveSession } from "../../live/session";

const TOUCH_MS = 20 * 60_000;
const STALE_MS = 60 * 60_000;

/** A random UUID; crypto.randomUUID is there on https and localhost only. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 15) | 64;
  bytes[8] = ((bytes[8] ?? 0) & 63) | 128;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/**
 * Live values of queries that are not saved yet. Viewers of the dashboard must not see them, and the pipeline must compute
 * them: they stand in a dashboard of their own, which is deleted with the editor. Its widgets have the ids of those that they
 * are a draft of.
 */
export class Scratch {
  readonly session: Signal<LiveSession>;
  /** Why the preview has no values, empty when it has. */
  readonly problem = signal("");

  readonly #id = newId();
  #wanted: { readonly title: string; readonly widgets: readonly object[] } = { title: "", widgets: [] };
  #made = false;
  #closed = false;
  #busy = false;
  /** What the service holds, as text. */
  #sent = "[]";
  #unfollow = (): void => {};
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #leave = (): void => this.#remove();

  constructor() {
    this.session = signal(dashboardSession(this.#id));
    // Every editor's sweep deletes drafts that were not written for an hour.
    this.#timer = setInterval(() => {
      this.#sent = "";
      void this.#send();
    }, TOUCH_MS);
    window.addEventListener("pagehide", this.#leave);
  }

  /** Computes the queries of these widgets from now on, and no others. */
  show(title: string, widgets: readonly Widget[]): void {
    this.#wanted = {
      title: `Draft of ${title}`.slice(0, 200),
      widgets: widgets.map(({ display_config: _, ...query }) => query),
    };
    void this.#send();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    window.removeEventListener("pagehide", this.#leave);
    this.#unfollow();
    this.session.value.stop();
    this.#remove();
  }

  /** Deletes the drafts of browsers that crashed; now is the server's time. */
  static async sweep(now: number): Promise<void> {
    const { dashboards } = await listDashboards({ tag: DRAFT_TAG });
    const stale = dashboards.filter(({ updated_at }) => now - Date.parse(updated_at ?? "") > STALE_MS);
    await Promise.allSettled(stale.map(({ dashboard_id }) => deleteDashboard(dashboard_id, "any")));
  }

  /** One request at a time, always for the newest widgets. */
  async #send(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (;;) {
        const { title, widgets } = this.#wanted;
        const text = JSON.stringify(widgets);
        if (this.#closed || text === this.#sent || (!this.#made && widgets.length === 0)) break;
        await this.#put({ dashboard_id: this.#id, title, tags: ["draft", DRAFT_TAG], widgets });
        this.#sent = text;
        this.problem.value = "";
      }
    } catch (error) {
      this.problem.value = messageOf(error);
    }
    this.#busy = false;
    if (this.#closed) this.#remove();
  }

  async #put(document: object): Promise<void> {
    if (this.#made) {
      try {
        await changeDashboard("PUT", this.#id, "", "any", document);
        return;
      } catch (error) {
        if (!isStatus(error, 404, 412)) throw error;
      }
    }
    await createDashboard(document);
    this.#made = true;
    this.#follow();
  }

  #follow(): void {
    if (this.#closed) return;
    this.#unfollow();
    this.session.value.stop();
    const session = dashboardSession(this.#id);
    session.start();
    this.session.value = session;
    // Another editor's sweep deleted it while this computer slept: make it again.
    this.#unfollow = session.pulse.subscribe((pulse) => {
      if (pulse.kind !== "ended" || pulse.code !== CLOSED_GONE) return;
      this.#made = false;
      this.#sent = "";
      void this.#send();
    });
  }

  #remove(): void {
    if (!this.#made) return;
    this.#made = false;
    this.#sent = "";
    // A failure is not shown: the editor is closed. The next one sweeps.
    deleteDashboard(this.#id, "any").catch(() => {});
  }
}
