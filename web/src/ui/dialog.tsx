import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Button } from "./button";
import { Notice } from "./notice";

interface DialogProps {
  readonly title: string;
  readonly submit: string;
  readonly danger?: boolean;
  readonly small?: boolean;
  readonly busy?: boolean;
  /** A fault that belongs to no field, shown above them. */
  readonly problem?: string;
  readonly children?: ComponentChildren;
  onSubmit(): void;
  onClose(): void;
}

/** A modal form on the browser's own dialog, which keeps focus and answers Escape. */
export function Dialog({ title, submit, danger, small, busy, problem = "", children, onSubmit, onClose }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element?.showModal();
    return () => {
      element?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={small ? "dialog dialog-small" : "dialog"}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <form
        class="dialog-form"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (!busy) onSubmit();
        }}
      >
        <h2 class="dialog-title" id={heading}>
          {title}
        </h2>
        <div class="dialog-body">
          <Notice text={problem} />
          {children}
        </div>
        <div class="dialog-foot">
          <Button onClick={onClose}>Cancel</Button>
          <button type="submit" class={danger ? "button button-danger" : "button button-primary"} disabled={busy}>
            {submit}
          </button>
        </div>
      </form>
    </dialog>
  );
}
