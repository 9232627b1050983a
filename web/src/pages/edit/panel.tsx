import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Button } from "../../ui/button";

/** The frame of the drawer, which is no dialog: the grid beside it can be used meanwhile. */
export function Panel({ title, children, onClose }: { readonly title: string; readonly children: ComponentChildren; onClose(): void }) {
  const heading = useId();
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    (panel.current?.querySelector<HTMLElement>("[autofocus]") ?? panel.current)?.focus();
  }, []);
  return (
    <aside
      class="drawer"
      ref={panel}
      tabIndex={-1}
      aria-labelledby={heading}
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
      }}
    >
      <div class="drawer-head">
        <h2 class="drawer-title" id={heading}>
          {title}
        </h2>
        <Button look="quiet" onClick={onClose}>
          Close
        </Button>
      </div>
      {children}
    </aside>
  );
}
