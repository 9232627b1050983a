import type { Validation } from "../../api/types";
import { DASHBOARD, type EditorAction, type EditorState } from "../../model/editor";
import { formatTime } from "../../model/format";
import { Button } from "../../ui/button";
import { WIDGET_TYPES } from "../../widgets/types";
import { walk } from "./fields";

interface EditBarProps {
  readonly state: EditorState;
  readonly dirty: boolean;
  readonly cost: Validation["cost"] | null;
  dispatch(action: EditorAction): void;
  onAdd(chart: string): void;
  onSave(): void;
  onDone(): void;
}

export function EditBar({ state, dirty, cost, dispatch, onAdd, onSave, onDone }: EditBarProps) {
  const { line, open, restored, busy } = state;
  const shown = open === DASHBOARD;
  return (
    <div class="edit-bar" role="toolbar" aria-label="Editing" onKeyDown={walk}>
      <Button onClick={() => dispatch({ type: "undo" })} disabled={line.past.length === 0} title="Ctrl+Z">
        Undo
      </Button>
      <Button onClick={() => dispatch({ type: "redo" })} disabled={line.future.length === 0} title="Ctrl+Shift+Z">
        Redo
      </Button>
      <AddMenu onAdd={onAdd} />
      <Button onClick={() => dispatch({ type: "open", what: shown ? null : DASHBOARD })} data-id={DASHBOARD} aria-expanded={shown}>
        Dashboard
      </Button>
      <span class="edit-note" role="status">
        {restored === null || !dirty ? costText(cost) : `Draft of ${formatTime(restored)} restored`}
      </span>
      {dirty ? (
        <>
          <span class="chip chip-warn">Unsaved</span>
          <Button onClick={() => dispatch({ type: "discard" })}>Discard</Button>
          <Button look="primary" onClick={onSave} disabled={busy} title="Ctrl+S">
            Save
          </Button>
        </>
      ) : (
        <Button look="primary" onClick={onDone}>
          Done
        </Button>
      )}
    </div>
  );
}

function AddMenu({ onAdd }: { onAdd(chart: string): void }) {
  return (
    <>
      <Button icon="plus" popoverTarget="add">
        Add widget
      </Button>
      <div class="menu" id="add" popover="auto">
        {[...WIDGET_TYPES].map(([chart, { label }]) => (
          <Button key={chart} look="quiet" popoverTarget="add" popoverTargetAction="hide" onClick={() => onAdd(chart)}>
            {label}
          </Button>
        ))}
      </div>
    </>
  );
}

function counted(n: number, one: string, more: string): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : more}`;
}

/** What the pipeline computes for the draft. */
export function costText(cost: Validation["cost"] | null): string {
  if (cost === null) return "";
  const fresh = new Set(cost.widgets.filter((one) => one.new).map((one) => one.metric_key)).size;
  const all = `Computes ${counted(cost.results_per_second, "result", "results")} a second from ${counted(cost.series, "series", "series")}`;
  return fresh === 0 ? all : `${all}; ${counted(fresh, "query is", "queries are")} new`;
}
