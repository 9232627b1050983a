// What is kept in this browser. A browser may forbid that; the page works without it.

export type Shelf = () => Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** Shared by all tabs, and kept when the browser is closed. */
export const device: Shelf = () => localStorage;
/** Kept across a reload of this tab. */
export const tab: Shelf = () => sessionStorage;

export function recall(shelf: Shelf, key: string): string | null {
  try {
    return shelf().getItem(key);
  } catch {
    return null;
  }
}

/** null forgets it. False when it cannot be kept. */
export function keep(shelf: Shelf, key: string, value: string | null): boolean {
  try {
    if (value === null) shelf().removeItem(key);
    else shelf().setItem(key, value);
    return true;
  } catch {
    return false;
  }
}

/** Follows what another tab keeps on the device, so that two of them do not differ. */
export function onOtherTab(key: string, follow: (value: string | null) => void): () => void {
  const listen = (event: StorageEvent): void => {
    if (event.key === key) follow(event.newValue);
  };
  window.addEventListener("storage", listen);
  return () => window.removeEventListener("storage", listen);
}
