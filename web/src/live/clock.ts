const FRAMES = 120;

/**
 * The server's clock, seen from here. Each frame states when it was sent; the
 * frame that travelled fastest gives the best offset. Arrival is measured on
 * the monotonic clock, so a client whose wall clock is wrong or jumps still
 * tells fresh from stale.
 */
export class ServerClock {
  readonly #offsets = new Float64Array(FRAMES);
  #count = 0;
  #offset = Number.POSITIVE_INFINITY;

  /** Both in ms: serverTime since the epoch, arrival on the monotonic clock. */
  observe(serverTime: number, arrival: number): void {
    this.#offsets[this.#count % FRAMES] = arrival - serverTime;
    this.#count++;
    this.#offset = Number.POSITIVE_INFINITY;
    const filled = Math.min(this.#count, FRAMES);
    for (let i = 0; i < filled; i++) this.#offset = Math.min(this.#offset, this.#offsets[i] ?? Number.POSITIVE_INFINITY);
  }

  /** False until the first frame. */
  get known(): boolean {
    return this.#count > 0;
  }

  /** Server time in epoch ms at a moment of the monotonic clock; NaN when unknown. */
  at(monotonic: number): number {
    return this.known ? monotonic - this.#offset : Number.NaN;
  }

  /** Forgets what an earlier connection, perhaps to another server, has shown. */
  reset(): void {
    this.#count = 0;
  }
}
