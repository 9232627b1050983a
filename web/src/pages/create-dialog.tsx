import { useState } from "preact/hooks";
import { ApiError, createDashboard, messageOf } from "../api/client";
import { Dialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { navigate } from "../ui/router";

export function CreateDialog({ onClose }: { onClose(): void }) {
  const [title, setTitle] = useState("");
  const [error, setError] = useState<string>();
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (): Promise<void> => {
    if (title.trim() === "") return setError("Give it a title.");
    setBusy(true);
    try {
      const { dashboard_id } = await createDashboard({ title: title.trim() });
      navigate(`/d/${encodeURIComponent(dashboard_id)}`);
    } catch (failure) {
      const atTitle = failure instanceof ApiError ? failure.errors.find((e) => e.pointer === "/title") : undefined;
      setError(atTitle?.detail);
      setProblem(atTitle === undefined ? messageOf(failure) : "");
      setBusy(false);
    }
  };
  return (
    <Dialog title="New dashboard" submit="Create" small busy={busy} problem={problem} onSubmit={() => void submit()} onClose={onClose}>
      <TextField label="Title" value={title} error={error} onValue={setTitle} autoFocus placeholder="Web shop" />
    </Dialog>
  );
}
