import { useState } from "preact/hooks";
import { checkToken, messageOf } from "../api/client";
import { keeper } from "../api/token";
import { Dialog } from "./dialog";
import { TextField } from "./field";

/** Asks for a token, which is checked with the server before it is used. */
export function TokenDialog({ problem: first }: { readonly problem: string }) {
  const [token, setToken] = useState("");
  const [remember, setRemember] = useState(false);
  const [error, setError] = useState<string>();
  const [problem, setProblem] = useState(first);
  const [busy, setBusy] = useState(false);
  const submit = async (): Promise<void> => {
    const given = token.trim();
    // The Authorization header can carry nothing else.
    if (!/^[\x21-\x7e]+$/.test(given)) {
      setError(given === "" ? "Paste a token." : "A token has no spaces and no letters beyond ASCII.");
      return;
    }
    setError(undefined);
    setBusy(true);
    try {
      await checkToken(given);
      keeper.give(given, remember);
    } catch (failure) {
      setProblem(messageOf(failure));
      setBusy(false);
    }
  };
  return (
    <Dialog title="This server asks for a token" submit="Sign in" small busy={busy} problem={problem.charAt(0).toUpperCase() + problem.slice(1)} onSubmit={() => void submit()} onClose={() => keeper.decline()}>
      <TextField
        label="Token"
        type="password"
        value={token}
        error={error}
        hint="It begins with pb_. Whoever runs the server makes one with pulseboard token create."
        autoFocus
        autoComplete="current-password"
        onValue={setToken}
      />
      <label class="check">
        <input type="checkbox" checked={remember} onChange={(event) => setRemember(event.currentTarget.checked)} />
        Remember it on this device
      </label>
    </Dialog>
  );
}
