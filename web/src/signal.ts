import { useLayoutEffect, useState } from "preact/hooks";

export interface ReadonlySignal<T> {
  readonly value: T;
  /** Calls follow now and with each other value; the answer ends that. */
  subscribe(follow: (value: T) => void): () => void;
}

/** A value that can be followed. The library for this does more than the page needs, and takes 3 kB of its 70 for that. */
export interface Signal<T> extends ReadonlySignal<T> {
  value: T;
}

export function signal<T>(first: T): Signal<T> {
  let value = first;
  const followers = new Set<(value: T) => void>();
  return {
    get value() {
      return value;
    },
    set value(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const follow of [...followers]) follow(next);
    },
    subscribe(follow) {
      // Not follow itself: who subscribes twice also ends that twice.
      const own = (next: T): void => follow(next);
      followers.add(own);
      follow(value);
      return () => {
        followers.delete(own);
      };
    },
  };
}

/** The value of a signal in a component, which is drawn again with each other one. */
export function use<T>(followed: ReadonlySignal<T>): T {
  const [, again] = useState(followed.value);
  useLayoutEffect(() => followed.subscribe((value) => again(() => value)), [followed]);
  return followed.value;
}
