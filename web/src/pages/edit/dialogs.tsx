import type { Dashboard } from "../../api/types";
import { changesOf, draftOf } from "../../model/draft";
import { Button } from "../../ui/button";
import { Dialog } from "../../ui/dialog";

interface LeaveDialogProps {
  readonly busy: boolean;
  onSave(): void;
  onKeep(): void;
  onDrop(): void;
  onStay(): void;
}

export function LeaveDialog({ busy, onSave, onKeep, onDrop, onStay }: LeaveDialogProps) {
  return (
    <Dialog title="Leave without saving?" submit="Save and leave" small busy={busy} onSubmit={onSave} onClose={onStay}>
      <p>Your draft can stay in this browser until you edit this dashboard again.</p>
      <Button onClick={onKeep}>Leave and keep the draft</Button>
      <Button onClick={onDrop}>Leave and drop the draft</Button>
    </Dialog>
  );
}

interface ConflictDialogProps {
  /** The version that the draft was made from. */
  readonly base: Dashboard;
  readonly theirs: Dashboard | "deleted";
  readonly busy: boolean;
  onOverwrite(theirs: Dashboard): void;
  onTake(): void;
  onCopy(): void;
  onClose(): void;
}

/** Somebody else saved or deleted the dashboard since the draft was begun. */
export function ConflictDialog({ base, theirs, busy, onOverwrite, onTake, onCopy, onClose }: ConflictDialogProps) {
  if (theirs === "deleted") return <Dialog title="Somebody deleted this dashboard" submit="Save mine as a copy" busy={busy} onSubmit={onCopy} onClose={onClose} />;
  return (
    <Dialog title="Somebody else saved this dashboard" submit="Overwrite theirs" danger busy={busy} onSubmit={() => onOverwrite(theirs)} onClose={onClose}>
      <p>
        Since you began, from version {base.version} to {theirs.version}:
      </p>
      <ul class="changes">
        {changesOf(draftOf(base), draftOf(theirs)).map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
      <Button onClick={onTake}>Reload theirs (undo brings mine back)</Button>
      <Button onClick={onCopy}>Save mine as a copy</Button>
    </Dialog>
  );
}
