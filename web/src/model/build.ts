// A page that is open for weeks is replaced when its server has another build.
import { signal } from "@preact/signals";
import { keep, recall, tab, type Shelf } from "../api/storage";

/** The part of a browser that is used, so that tests can stand in for it. */
export interface BuildWorld {
  /** The build of this page, empty when it has none. */
  own(): string;
  /** Lasts across a reload. */
  readonly shelf: Shelf;
  reload(): void;
}

const KEY = "pulseboard.reloaded";

/** Loads the page anew where the server has another one, once for each build: a proxy may go on serving the old one. */
export class PageBuild {
  /** The server has another page, which is loaded only when ask is called: something is unsaved, or it was tried before. */
  readonly outdated = signal(false);
  /** A reload was asked for. */
  asked = false;

  #newest = "";
  #held = false;

  readonly #world: BuildWorld;

  constructor(world: BuildWorld) {
    this.#world = world;
  }

  /** Takes the build of the page that a server has, empty when it does not say. */
  serverHas(build: string): void {
    const own = this.#world.own();
    if (build === "" || own === "") return;
    this.#newest = build;
    if (build === own || this.#tried().includes(build)) {
      this.outdated.value = false;
      return;
    }
    // Where that is not kept, it could reload for ever.
    if (this.#held || !this.#try(build)) this.outdated.value = true;
    else this.#world.reload();
  }

  /** Set while a reload would lose something. */
  hold(on: boolean): void {
    this.#held = on;
    if (!on && this.outdated.value) this.serverHas(this.#newest);
  }

  ask(): void {
    this.asked = true;
    this.#try(this.#newest);
    this.#world.reload();
  }

  /** False when it cannot be kept that this build was tried. */
  #try(build: string): boolean {
    return keep(this.#world.shelf, KEY, JSON.stringify([...this.#tried(), build]));
  }

  #tried(): readonly string[] {
    try {
      const tried: unknown = JSON.parse(recall(this.#world.shelf, KEY) ?? "[]");
      return Array.isArray(tried) ? tried.filter((one) => typeof one === "string") : [];
    } catch {
      return [];
    }
  }
}

export const pageBuild = new PageBuild({
  own: () => document.querySelector<HTMLMetaElement>('meta[name="pulseboard-build"]')?.content ?? "",
  shelf: tab,
  reload: () => location.reload(),
});
