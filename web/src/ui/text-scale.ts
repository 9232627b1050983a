import { signal } from "@preact/signals";

/** How large the texts of widgets are, 1 = as usual. A wall display has larger ones. */
export const textScale = signal(1);
