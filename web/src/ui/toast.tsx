import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Button } from "./button";

const SHOWN_MS = 10_000;

interface Message {
  readonly text: string;
  /** A button beside the text. */
  readonly action?: { readonly name: string; run(): void };
}

const message = signal<Message | null>(null);

export function toast(next: Message): void {
  message.value = next;
}

/** What just happened, for ten seconds. */
export function Toast() {
  const shown = message.value;
  const close = (): void => {
    message.value = null;
  };
  const act = (): void => {
    close();
    shown?.action?.run();
  };
  useEffect(() => {
    if (shown === null) return;
    const timer = setTimeout(close, SHOWN_MS);
    return () => clearTimeout(timer);
  }, [shown]);
  return (
    <div class="toast" role="status" hidden={shown === null}>
      {shown?.text}
      {shown?.action && (
        <Button look="link" onClick={act}>
          {shown.action.name}
        </Button>
      )}
    </div>
  );
}
