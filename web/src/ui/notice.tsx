import type { ComponentChildren } from "preact";

interface NoticeProps {
  readonly text: string;
  readonly class?: string;
  /** A button behind the text. */
  readonly children?: ComponentChildren;
}

/** A fault; nothing while text is empty. */
export function Notice({ text, class: more, children }: NoticeProps) {
  if (text === "") return null;
  return (
    <p class={more === undefined ? "notice" : `notice ${more}`} role="alert">
      {text} {children}
    </p>
  );
}
