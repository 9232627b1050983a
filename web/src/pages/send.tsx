import { recentEvents } from "../api/client";
import { keeper } from "../api/token";
import type { SeenEvent } from "../api/types";
import { formatTime } from "../model/format";
import { sendersFor, type Sender } from "../model/senders";
import { Button } from "../ui/button";
import { copy } from "../ui/copy";
import { Notice } from "../ui/notice";
import { usePolled } from "../ui/polled";
import { useTitle } from "../ui/router";
import { TopBar } from "../ui/topbar";

/** What every ingest takes, for while it does not say. */
const FORMATS = ["json", "influx"];

export function SendPage() {
  const recent = usePolled(recentEvents, "");
  const tokens = keeper.token.value !== "" || keeper.declined.value;
  useTitle("Send your data");
  const { formats = FORMATS, statsd = "", accepted = null, refused = null } = recent.value ?? {};
  return (
    <>
      <TopBar title="Send your data">
        <a class="button button-quiet" href="/status">
          Status
        </a>
      </TopBar>
      <main id="main" class="list status">
        <p>
          Programs send to <code>{location.origin}</code>
          {tokens ? (
            <>
              , each with a token of the scope <code>ingest</code>: <code>pulseboard token create --name my-program --scopes ingest --file tokens.yaml</code> on the server.
            </>
          ) : (
            ". No token is needed."
          )}
        </p>
        <div class="senders">
          {sendersFor({ origin: location.origin, tokens, formats, statsd }).map((sender, n) => (
            <SenderLines key={sender.name} sender={sender} open={n === 0} />
          ))}
        </div>
        <Notice text={recent.problem} />
        <Seen title="Arrived last" none="Nothing has arrived yet." events={accepted} old={recent.old} columns={["time", "format", "metric", "tags", "value", "in its request"]} cells={eventCells} />
        <Seen title="Refused last" none="Nothing was refused." events={refused} old={recent.old} columns={["time", "format", "what was wrong", "seen"]} cells={refusalCells} />
        <p class="field-hint">Of one node, since it was started: at most ten a second of each kind are looked at, and the last 50 shown.</p>
      </main>
    </>
  );
}

function SenderLines({ sender, open }: { readonly sender: Sender; readonly open: boolean }) {
  return (
    <details class="sender" open={open}>
      <summary>{sender.name}</summary>
      <p>{sender.about}</p>
      <div class="sender-lines">
        <pre class="source" tabIndex={0} aria-label={`Lines for ${sender.name}`}>
          {sender.lines}
        </pre>
        <Button icon="copy" label={`Copy the lines for ${sender.name}`} onClick={() => void copy(sender.lines, "Copied")} />
      </div>
    </details>
  );
}

interface SeenProps {
  readonly title: string;
  readonly none: string;
  /** Null = not known yet. */
  readonly events: readonly SeenEvent[] | null;
  readonly old: boolean;
  readonly columns: readonly string[];
  readonly cells: (event: SeenEvent) => readonly string[];
}

function Seen({ title, none, events, old, columns, cells }: SeenProps) {
  return (
    <section>
      <h2 class="list-title">{title}</h2>
      {events === null ? null : events.length === 0 ? (
        <p>{none}</p>
      ) : (
        <div class={old ? "table-scroll is-old" : "table-scroll"} tabIndex={0} role="region" aria-label={title}>
          <table class="table">
            <thead>
              <tr>
                {columns.map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {events.map((event, n) => (
                <tr key={n}>
                  {cells(event).map((text, column) => (
                    <td key={column}>{text}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function eventCells({ time, format, metric_name = "", kind, value, tags = {}, events = 1 }: SeenEvent): readonly string[] {
  const shown = value === undefined ? "none" : String(value);
  return [
    formatTime(time),
    format,
    metric_name,
    Object.entries(tags)
      .map(([key, text]) => `${key}=${text}`)
      .join(" "),
    kind === "event" || kind === undefined ? shown : `${shown} (${kind})`,
    events === 1 ? "alone" : `${events} events`,
  ];
}

function refusalCells({ time, format, code = "", detail = "", times = 1 }: SeenEvent): readonly string[] {
  return [formatTime(time), format, `${code}: ${detail}`, times === 1 ? "once" : `${times} times`];
}
