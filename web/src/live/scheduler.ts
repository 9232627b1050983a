const FRAME_BUDGET_MS = 6;

interface Drawable {
  draw(): void;
  visible: boolean;
  dirty: boolean;
}

/** Draws what is dirty and visible once per animation frame, within about 6 ms of it; the rest waits for the next frame. */
export class Scheduler {
  readonly #drawables = new Map<string, Drawable>();
  #frame = 0;
  /** What the last frame had no time for, which the next one draws first. */
  #queue: Drawable[] = [];

  register(id: string, draw: () => void): void {
    this.#drawables.set(id, { draw, visible: true, dirty: true });
    this.#request();
  }

  unregister(id: string): void {
    const drawable = this.#drawables.get(id);
    if (drawable !== undefined) drawable.dirty = false;
    this.#drawables.delete(id);
  }

  setVisible(id: string, visible: boolean): void {
    const drawable = this.#drawables.get(id);
    if (drawable === undefined) return;
    drawable.visible = visible;
    if (visible && drawable.dirty) this.#request();
  }

  /** Draws a widget again, and the table of its points, which is registered with # after its id. */
  invalidate(id: string): void {
    for (const name of [id, `${id}#`]) {
      const drawable = this.#drawables.get(name);
      if (drawable === undefined) continue;
      drawable.dirty = true;
      if (drawable.visible) this.#request();
    }
  }

  invalidateAll(): void {
    for (const drawable of this.#drawables.values()) drawable.dirty = true;
    this.#request();
  }

  /** Draws everything now, also what is out of sight: the page is printed. */
  drawAll(): void {
    for (const drawable of this.#drawables.values()) {
      drawable.dirty = false;
      drawable.draw();
    }
  }

  stop(): void {
    if (this.#frame !== 0) cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#drawables.clear();
    this.#queue = [];
  }

  #request(): void {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#run());
  }

  #run(): void {
    this.#frame = 0;
    if (this.#queue.length === 0) this.#queue = [...this.#drawables.values()];
    const end = performance.now() + FRAME_BUDGET_MS;
    while (this.#queue.length > 0) {
      const drawable = this.#queue.shift();
      if (drawable === undefined || !drawable.dirty || !drawable.visible) continue;
      drawable.dirty = false;
      drawable.draw();
      if (performance.now() > end) break;
    }
    if ([...this.#drawables.values()].some(({ dirty, visible }) => dirty && visible)) this.#request();
  }
}
