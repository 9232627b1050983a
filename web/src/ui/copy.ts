import { toast } from "./toast";

/** Copies text to the clipboard and shows done; where the browser forbids that, a dialog with the text. */
export async function copy(text: string, done: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast({ text: done });
  } catch {
    // Browsers forbid it on pages without https.
    window.prompt("To copy:", text);
  }
}
