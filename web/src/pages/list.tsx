import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { createDashboard, isStatus, listDashboards, messageOf } from "../api/client";
import { device, keep, onOtherTab, recall } from "../api/storage";
import { keeper } from "../api/token";
import type { DashboardSummary } from "../api/types";
import { importable } from "../model/import";
import { Button } from "../ui/button";
import { Icon } from "../ui/icon";
import { Notice } from "../ui/notice";
import { navigate, useTitle } from "../ui/router";
import { TopBar } from "../ui/topbar";
import { Cards } from "./cards";
import { CreateDialog } from "./create-dialog";
import { deleteWithUndo } from "./deleting";

const SEARCH_WAIT_MS = 200;
const STARS = "pulseboard.stars";

export function ListPage() {
  const [query, setQuery] = useState("");
  const [tag, setTag] = useState("");
  const [creating, setCreating] = useState(false);
  const [stars, toggleStar] = useStars();
  const { listing, tags, problem, again, more } = useListing(query, tag);
  /** Why an import or a deletion failed; problem is of the list itself. */
  const [failure, setFailure] = useState("");
  useTitle("Dashboards");
  const createButton = () => (
    <Button look="primary" icon="plus" onClick={() => setCreating(true)}>
      New dashboard
    </Button>
  );
  const isSearch = query !== "" || tag !== "";
  const isEmpty = listing !== null && listing.dashboards.length === 0;
  return (
    <>
      <TopBar title={null}>
        <a class="button button-quiet" href="/send">
          Send data
        </a>
        <a class="button button-quiet" href="/status">
          Status
        </a>
      </TopBar>
      <main id="main" class="list">
        <div class="list-head">
          <h1 class="list-title">Dashboards</h1>
          <div class="list-search">
            <Icon name="search" />
            <input class="input" type="search" aria-label="Search dashboards" placeholder="Search" value={query} onInput={(event) => setQuery(event.currentTarget.value)} />
          </div>
          <ImportButton onImport={(file) => void importFile(file, setFailure)} />
          {createButton()}
        </div>
        <div class="list-tags" role="group" aria-label="Only dashboards with the tag">
          {tags.map((name) => (
            <button key={name} type="button" class="tag" aria-pressed={name === tag} onClick={() => setTag(name === tag ? "" : name)}>
              {name}
            </button>
          ))}
        </div>
        <Notice text={problem}>
          <Button look="link" onClick={again}>
            Try again
          </Button>
        </Notice>
        <Notice text={failure} />
        {isEmpty && !isSearch ? <FirstSteps>{createButton()}</FirstSteps> : null}
        {isEmpty && isSearch ? (
          <div class="empty">
            <h2>Nothing found</h2>
            <p>No dashboard has this in its title or carries this tag.</p>
          </div>
        ) : null}
        {isEmpty || (listing === null && problem !== "") ? null : (
          <Cards dashboards={listing?.dashboards ?? null} stars={stars} onStar={toggleStar} onDelete={(one) => void removeDashboard(one, again, setFailure)} />
        )}
        {listing?.next == null ? null : (
          <div class="list-more">
            <Button onClick={more}>Show more</Button>
          </div>
        )}
      </main>
      {creating ? <CreateDialog onClose={() => setCreating(false)} /> : null}
    </>
  );
}

interface Listing {
  readonly dashboards: readonly DashboardSummary[];
  readonly next: string | null;
}

/** The dashboards that were searched for, page by page, and all tags that were seen so far. */
function useListing(query: string, tag: string) {
  const [listing, setListing] = useState<Listing | null>(null);
  const [tags, setTags] = useState<readonly string[]>([]);
  const [problem, setProblem] = useState("");
  const [reload, setReload] = useState(0);
  const first = useRef(true);
  const token = keeper.token.value;
  const fail = (error: unknown): void => setProblem(messageOf(error));

  useEffect(() => {
    const abort = new AbortController();
    const load = (): void => {
      listDashboards({ query, tag }, abort.signal).then(
        ({ dashboards, next = null }) => {
          setListing({ dashboards, next });
          setTags((old) => [...new Set([...old, ...dashboards.flatMap((one) => one.tags ?? [])])].sort());
          setProblem("");
        },
        (error: unknown) => {
          if (!abort.signal.aborted) fail(error);
        },
      );
    };
    // Not a request for each key; at once when the page opens.
    const timer = setTimeout(load, first.current ? 0 : SEARCH_WAIT_MS);
    first.current = false;
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [query, tag, reload, token]);

  const more = (): void => {
    if (listing?.next == null) return;
    listDashboards({ query, tag, cursor: listing.next }).then(({ dashboards, next = null }) => setListing({ dashboards: [...listing.dashboards, ...dashboards], next }), fail);
  };
  return { listing, tags, problem, again: () => setReload((n) => n + 1), more };
}

/** The ids of the dashboards that are starred on this device, and how to star one or take the star away. */
function useStars(): [ReadonlySet<string>, (id: string) => void] {
  const [text, setText] = useState(recall(device, STARS) ?? "");
  useEffect(() => onOtherTab(STARS, (next) => setText(next ?? "")), []);
  const stars = new Set(text.split(" ").filter((id) => id !== ""));
  const toggle = (id: string): void => {
    if (!stars.delete(id)) stars.add(id);
    const next = [...stars].join(" ");
    setText(next);
    keep(device, STARS, next);
  };
  return [stars, toggle];
}

async function removeDashboard(dashboard: DashboardSummary, again: () => void, fail: (text: string) => void): Promise<void> {
  fail("");
  try {
    await deleteWithUndo(dashboard, again);
  } catch (error) {
    if (!isStatus(error, 404)) fail(isStatus(error, 412) ? `Someone changed “${dashboard.title}” meanwhile, so it was not deleted.` : messageOf(error));
  }
  again();
}

/** Creates a dashboard from an exported one, and shows it. */
async function importFile(file: File, fail: (text: string) => void): Promise<void> {
  fail("");
  try {
    const document = importable(await file.text());
    const made = await createDashboard(document.whole).catch((error: unknown) => {
      // A dashboard with this id exists: make a copy of it.
      if (isStatus(error, 409)) return createDashboard(document.copy);
      throw error;
    });
    navigate(`/d/${encodeURIComponent(made.dashboard_id)}`);
  } catch (error) {
    fail(`${file.name} cannot be imported: ${messageOf(error)}`);
  }
}

function ImportButton({ onImport }: { onImport(file: File): void }) {
  return (
    <label class="button import">
      Import
      <input
        class="sr-only"
        type="file"
        accept=".json,application/json"
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file !== undefined) onImport(file);
          event.currentTarget.value = "";
        }}
      />
    </label>
  );
}

function FirstSteps({ children }: { readonly children: ComponentChildren }) {
  const example = `curl ${location.origin}/ingest -H 'Content-Type: application/json' \\
  -d '{"metric_name":"shop.orders","value":1,"tags":{"country":"de"}}'`;
  return (
    <div class="empty">
      <h2>No dashboards yet</h2>
      <p>A dashboard shows metrics as they move. Send an event, create a dashboard, and add a widget for the metric.</p>
      <pre tabIndex={0} aria-label="Example of sending an event">
        {example}
      </pre>
      <p>
        <a href="/send">Send your data</a> has lines for other programs, and shows what arrives.
      </p>
      {children}
    </div>
  );
}
