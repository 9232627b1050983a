import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, createDashboard, deleteDashboard, listDashboards, messageOf, undelete } from "../api/client";
import { keeper } from "../api/token";
import type { DashboardSummary } from "../api/types";
import { importable } from "../model/import";
import { Button } from "../ui/button";
import { Icon } from "../ui/icon";
import { onOtherTab, remember, remembered } from "../ui/memory";
import { navigate } from "../ui/router";
import { toast } from "../ui/toast";
import { TopBar } from "../ui/topbar";
import { Cards } from "./cards";
import { CreateDialog } from "./create-dialog";

const SEARCH_WAIT_MS = 200;
const STARS = "pulseboard.stars";

export function ListPage() {
  const [query, setQuery] = useState("");
  const [tag, setTag] = useState("");
  const [creating, setCreating] = useState(false);
  const [stars, toggleStar] = useStars();
  const { listing, tags, problem, again, more } = useListing(query, tag);
  /** Of something that was done with a dashboard, and not of the list. */
  const [failure, setFailure] = useState("");
  useEffect(() => {
    document.title = "Dashboards · Pulseboard";
  }, []);
  const create = (): void => setCreating(true);
  const isEmpty = listing !== null && listing.dashboards.length === 0;
  return (
    <>
      <TopBar title={null}>
        <a class="button button-quiet" href="/status">
          Status
        </a>
      </TopBar>
      <main id="main" class="list">
        <ListHead query={query} onQuery={setQuery} onCreate={create} onImport={(file) => void importFile(file, setFailure)} />
        <div class="list-tags" role="group" aria-label="Only dashboards with the tag">
          {tags.map((name) => (
            <button key={name} type="button" class="tag" aria-pressed={name === tag} onClick={() => setTag(name === tag ? "" : name)}>
              {name}
            </button>
          ))}
        </div>
        {problem === "" ? null : (
          <p class="notice" role="alert">
            {problem}{" "}
            <button type="button" class="pill-retry" onClick={again}>
              Try again
            </button>
          </p>
        )}
        {failure === "" ? null : (
          <p class="notice" role="alert">
            {failure}
          </p>
        )}
        {isEmpty ? query !== "" || tag !== "" ? <NothingFound /> : <FirstSteps onCreate={create} /> : null}
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
        ({ dashboards, next }) => {
          setListing({ dashboards, next: next ?? null });
          setTags((old) => [...new Set([...old, ...dashboards.flatMap((one) => one.tags ?? [])])].sort());
          setProblem("");
        },
        (error: unknown) => {
          if (!abort.signal.aborted) fail(error);
        },
      );
    };
    // Not a request per key, but at once when the page opens.
    const timer = setTimeout(load, first.current ? 0 : SEARCH_WAIT_MS);
    first.current = false;
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [query, tag, reload, token]);

  const more = (): void => {
    if (listing?.next == null) return;
    listDashboards({ query, tag, cursor: listing.next }).then(({ dashboards, next }) => setListing({ dashboards: [...listing.dashboards, ...dashboards], next: next ?? null }), fail);
  };
  return { listing, tags, problem, again: () => setReload((n) => n + 1), more };
}

/** The ids of the dashboards that are starred on this device, and how to star one or take the star away. */
function useStars(): [ReadonlySet<string>, (id: string) => void] {
  const [text, setText] = useState(remembered(STARS) ?? "");
  useEffect(() => onOtherTab(STARS, (next) => setText(next ?? "")), []);
  const stars = new Set(text.split(" ").filter((id) => id !== ""));
  const toggle = (id: string): void => {
    if (!stars.delete(id)) stars.add(id);
    const next = [...stars].join(" ");
    setText(next);
    remember(STARS, next);
  };
  return [stars, toggle];
}

async function removeDashboard({ dashboard_id: id, title, version }: DashboardSummary, again: () => void, fail: (text: string) => void): Promise<void> {
  fail("");
  try {
    await deleteDashboard(id, `"${version}"`);
    const run = (): void => void undelete(id, version).then(again, (error: unknown) => fail(messageOf(error)));
    toast({ text: `“${title}” is deleted for everyone.`, action: { name: "Undo", run } });
  } catch (error) {
    const gone = error instanceof ApiError && error.status === 404;
    if (!gone) fail(error instanceof ApiError && error.conflict ? `Someone changed “${title}” meanwhile, so it was not deleted.` : messageOf(error));
  }
  again();
}

/** Makes a dashboard of an exported one, and goes there. */
async function importFile(file: File, fail: (text: string) => void): Promise<void> {
  fail("");
  try {
    const document = importable(await file.text());
    const made = await createDashboard(document.whole).catch((error: unknown) => {
      // One with this id is here already: this is a copy of it.
      if (error instanceof ApiError && error.status === 409) return createDashboard(document.copy);
      throw error;
    });
    navigate(`/d/${encodeURIComponent(made.value.dashboard_id)}`);
  } catch (error) {
    fail(`${file.name} cannot be imported: ${messageOf(error)}`);
  }
}

interface ListHeadProps {
  readonly query: string;
  onQuery(query: string): void;
  onCreate(): void;
  onImport(file: File): void;
}

function ListHead({ query, onQuery, onCreate, onImport }: ListHeadProps) {
  return (
    <div class="list-head">
      <h1 class="list-title">Dashboards</h1>
      <div class="list-search">
        <Icon name="search" />
        <input class="input" type="search" aria-label="Search dashboards" placeholder="Search" value={query} onInput={(event) => onQuery(event.currentTarget.value)} />
      </div>
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
      <Button look="primary" onClick={onCreate}>
        <Icon name="plus" />
        New dashboard
      </Button>
    </div>
  );
}

function NothingFound() {
  return (
    <div class="empty">
      <h2>Nothing found</h2>
      <p>No dashboard has this in its title or carries this tag.</p>
    </div>
  );
}

function FirstSteps({ onCreate }: { onCreate(): void }) {
  const example = `curl ${location.origin}/ingest -H 'Content-Type: application/json' \\
  -d '{"metric_name":"shop.orders","value":1,"tags":{"country":"de"}}'`;
  return (
    <div class="empty">
      <h2>No dashboards yet</h2>
      <p>A dashboard shows metrics as they move. Send an event, create a dashboard, and add a widget for the metric.</p>
      <pre tabIndex={0} aria-label="Example of sending an event">
        {example}
      </pre>
      <button type="button" class="button button-primary" onClick={onCreate}>
        <Icon name="plus" />
        New dashboard
      </button>
    </div>
  );
}
