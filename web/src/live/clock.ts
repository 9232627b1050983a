const FRAMES = 120;

/**
 * The server's clock by the monotonic one of this device, whose wall clock may be wrong or jump. Each frame says when it was
 * sent; the one that travelled fastest gives the best offset.
 */
export class ServerClock {
  readonly #offsets = new Float64Array(FRAMES);
  #count = 0;
  #offset = Number.NaN;

  /** Both in ms: serverTime since the epoch, arrival on the monotonic clock. */
  observe(serverTime: number, arrival: number): void {
    this.#offsets[this.#count % FRAMES] = arrival - serverTime;
    this.#count++;
    this.#offset = Math.min(...this.#offsets.subarray(0, this.#count));
  }

  /** Server time in epoch ms at a moment of the monotonic clock; NaN until the first frame. */
  at(monotonic: number): number {
    return monotonic - this.#offset;
  }

  /** Forgets what an earlier connection, perhaps to another server, has shown. */
  reset(): void {
    this.#count = 0;
    this.#offset = Number.NaN;
  }
}
