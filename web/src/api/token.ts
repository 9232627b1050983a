import { signal } from "@preact/signals";
import { device, keep, recall, tab, type Shelf } from "./storage";

export const TOKEN_KEY = "pulseboard.token";

/** The token that the page sends. Requests that were refused wait in ask for another one, so that callers do not handle tokens. */
export class TokenKeeper {
  /** "" = none. */
  readonly token = signal("");
  /** The dialog was closed without an answer. */
  readonly declined = signal(false);
  /** Why the server wants a token, for the dialog: "" when it simply needs one, null while the dialog is closed. */
  readonly asking = signal<string | null>(null);
  #waiting: ((given: boolean) => void)[] = [];

  readonly #lasting: Shelf;
  readonly #passing: Shelf;

  /** lasting outlives the browser, passing the tab only. */
  constructor(lasting: Shelf, passing: Shelf) {
    this.#lasting = lasting;
    this.#passing = passing;
    this.token.value = (recall(passing, TOKEN_KEY) || recall(lasting, TOKEN_KEY)) ?? "";
  }

  /** Asks for another token than sent, which was refused for this reason. False when none is given; once the dialog was closed, at once. */
  ask(sent: string, problem: string): Promise<boolean> {
    if (sent !== this.token.value) return Promise.resolve(true);
    if (this.declined.value) return Promise.resolve(false);
    this.asking.value ??= sent === "" ? "" : problem;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Opens the dialog at the user's wish. */
  signIn(): void {
    this.declined.value = false;
    this.asking.value ??= "";
  }

  give(token: string, remember: boolean): void {
    this.#forgetKept();
    this.declined.value = false;
    this.token.value = token;
    keep(remember ? this.#lasting : this.#passing, TOKEN_KEY, token);
    this.#answer(true);
  }

  decline(): void {
    this.declined.value = true;
    this.#answer(false);
  }

  forget(): void {
    this.token.value = "";
    this.declined.value = false;
    this.#forgetKept();
  }

  /** Another tab of this device was given a token to remember, or forgot it ("" or null). */
  follow(token: string | null): void {
    if (recall(this.#passing, TOKEN_KEY)) return;
    this.token.value = token ?? "";
    if (this.token.value !== "") this.#answer(true);
  }

  #forgetKept(): void {
    keep(this.#lasting, TOKEN_KEY, null);
    keep(this.#passing, TOKEN_KEY, null);
  }

  #answer(given: boolean): void {
    this.asking.value = null;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve(given);
  }
}

export const keeper = new TokenKeeper(device, tab);
