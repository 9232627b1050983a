import { signal, type ReadonlySignal } from "@preact/signals";

export const TOKEN_KEY = "pulseboard.token";

/** The part of the browser's storages that is used, so that tests can stand in for it. */
export interface Shelf {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** Why the server wants a token; problem is empty when it simply needs one. */
export interface Asking {
  readonly problem: string;
}

/**
 * The token that the page sends. A request that was refused waits in ask until
 * another token is given, so that callers do not handle tokens.
 */
export class TokenKeeper {
  readonly #current = signal("");
  readonly #question = signal<Asking | null>(null);
  #waiting: ((given: boolean) => void)[] = [];
  readonly #refusal = signal(false);

  /** lasting outlives the browser, passing the tab only. Both may forbid to be used. */
  readonly #lasting: () => Shelf;
  readonly #passing: () => Shelf;

  constructor(
    lasting: () => Shelf,
    passing: () => Shelf,
  ) {
    this.#lasting = lasting;
    this.#passing = passing;
    this.#current.value = read(passing) || read(lasting);
  }

  /** "" = none. */
  get token(): ReadonlySignal<string> {
    return this.#current;
  }

  /** The dialog was closed without an answer. */
  get declined(): ReadonlySignal<boolean> {
    return this.#refusal;
  }

  /** What the dialog asks, null when it is closed. */
  get asking(): ReadonlySignal<Asking | null> {
    return this.#question;
  }

  /**
   * Asks for another token than sent, which was refused for this reason. True
   * when there is one. Once the dialog was closed, false at once until signIn.
   */
  ask(sent: string, problem: string): Promise<boolean> {
    if (sent !== this.#current.value) return Promise.resolve(true);
    if (this.#refusal.value) return Promise.resolve(false);
    this.#question.value ??= { problem: sent === "" ? "" : problem };
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Opens the dialog at the user's wish. */
  signIn(): void {
    this.#refusal.value = false;
    this.#question.value ??= { problem: "" };
  }

  give(token: string, remember: boolean): void {
    this.#refusal.value = false;
    write(this.#lasting, "");
    write(this.#passing, "");
    this.#current.value = token;
    write(remember ? this.#lasting : this.#passing, token);
    this.#answer(true);
  }

  decline(): void {
    this.#refusal.value = true;
    this.#answer(false);
  }

  forget(): void {
    this.#current.value = "";
    this.#refusal.value = false;
    write(this.#lasting, "");
    write(this.#passing, "");
  }

  /** Another tab of this device was given a token to remember, or forgot it ("" or null). */
  follow(token: string | null): void {
    if (read(this.#passing) !== "") return;
    this.#current.value = token ?? "";
    if (this.#current.value !== "") this.#answer(true);
  }

  #answer(given: boolean): void {
    this.#question.value = null;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve(given);
  }
}

// A browser may forbid storage; the token then lasts as long as the page.

function read(shelf: () => Shelf): string {
  try {
    return shelf().getItem(TOKEN_KEY) ?? "";
  } catch {
    return "";
  }
}

function write(shelf: () => Shelf, token: string): void {
  try {
    if (token === "") shelf().removeItem(TOKEN_KEY);
    else shelf().setItem(TOKEN_KEY, token);
  } catch {
    // Not kept, then.
  }
}

/** The page's own. */
export const keeper = new TokenKeeper(
  () => localStorage,
  () => sessionStorage,
);
