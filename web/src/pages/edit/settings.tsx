import { useEffect, useState } from "preact/hooks";
import { getVersion, listVersions, messageOf } from "../../api/client";
import type { VersionEntry } from "../../api/types";
import { draftOf, textAt, type Draft, type PathText } from "../../model/draft";
import { formatMoment } from "../../model/format";
import { Button } from "../../ui/button";
import { TextField } from "../../ui/field";
import { Panel } from "./panel";
import { Multi, Rows } from "./fields";

interface SettingsProps {
  readonly id: string;
  readonly draft: Draft;
  readonly faults: readonly PathText[];
  onChange(draft: Draft, step?: string): void;
  onDelete(): void;
  onClose(): void;
}

/** Title, tags and variables of the dashboard, its versions, and the way to delete it. */
export function Settings({ id, draft, faults, onChange, onDelete, onClose }: SettingsProps) {
  const { title, tags, variables } = draft;
  const error = (path: string): string | undefined => textAt(faults, path);
  return (
    <Panel title="Dashboard" onClose={onClose}>
      <div class="drawer-body">
        <TextField class="full" label="Title" value={title} error={error("title")} onValue={(text) => onChange({ ...draft, title: text }, "title")} />
        <Multi class="full" label="Tags" placeholder="team-a" values={tags} choices={[]} error={error("tags")} onValues={(next) => onChange({ ...draft, tags: next })} />
        <Rows
          legend="Variables: viewers choose among the shown series by a tag; no query changes"
          rows={variables}
          what="variable"
          fresh={{ name: "", tag: "" }}
          onRows={(next) => onChange({ ...draft, variables: next }, `variables ${next.length}`)}
        >
          {({ name, tag }, set, i) => (
            <>
              <TextField label="Name" value={name} error={error(`variables/${i}/name`)} onValue={(text) => set({ name: text })} />
              <TextField label="Tag" value={tag} error={error(`variables/${i}/tag`)} onValue={(text) => set({ tag: text })} />
            </>
          )}
        </Rows>
        <History id={id} onTake={(old) => onChange(old)} />
        <Button look="danger" class="full" icon="trash" onClick={onDelete}>
          Delete this dashboard
        </Button>
      </div>
    </Panel>
  );
}

function History({ id, onTake }: { readonly id: string; onTake(draft: Draft): void }) {
  const [versions, setVersions] = useState<readonly VersionEntry[]>([]);
  const [note, setNote] = useState("");
  const fail = (error: unknown): void => setNote(messageOf(error));
  useEffect(() => {
    listVersions(id).then((page) => setVersions(page.versions), fail);
  }, [id]);
  const take = (version: number): Promise<void> =>
    getVersion(id, version).then((old) => {
      onTake(draftOf(old));
      setNote(`Version ${version} is in the draft. Save to keep it, undo to go back.`);
    }, fail);
  return (
    <fieldset class="full rows">
      <legend class="field-label">Versions</legend>
      <p class="field-hint" role="status">
        {note}
      </p>
      <ul class="versions">
        {versions.map(({ version, action, restored_from, at, by, title, widget_count }) => (
          <li key={version}>
            <span>
              {version} · {action}
              {restored_from === undefined ? "" : ` from ${restored_from}`}
              {by === "" ? "" : ` by ${by}`}
              <small>
                {formatMoment(Date.parse(at))} · {title} · {widget_count} widgets
              </small>
            </span>
            {action === "deleted" ? null : <Button onClick={() => void take(version)}>Use version {version}</Button>}
          </li>
        ))}
      </ul>
    </fieldset>
  );
}
