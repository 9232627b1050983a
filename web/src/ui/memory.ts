// What this device remembers for all its tabs. A browser may forbid storage; the page works without.

export function remembered(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** null forgets it. */
export function remember(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // Not remembered, then.
  }
}

/** Follows what another tab remembers, so that two of them do not differ. */
export function onOtherTab(key: string, follow: (value: string | null) => void): () => void {
  const listen = (event: StorageEvent): void => {
    if (event.key === key) follow(event.newValue);
  };
  window.addEventListener("storage", listen);
  return () => window.removeEventListener("storage", listen);
}
