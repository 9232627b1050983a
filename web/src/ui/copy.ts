import { toast } from "./toast";

/** Puts text where the next paste takes it from, and says so. */
export async function copy(text: string, done: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast({ text: done });
  } catch {
    // Browsers forbid it on pages without https.
    window.prompt("To copy:", text);
  }
}
