import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, createDashboard, deleteDashboard, listDashboards, messageOf, undelete } from "../api/client";
import { keeper } from "../api/token";
import type { DashboardSummary } from "../api/types";
import { formatAge } from "../model/format";
import { importable } from "../model/import";
import { navigate } from "../ui/router";
import { Dialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { Icon } from "../ui/icon";
import { onOtherTab, remember, remembered } from "../ui/memory";
import { toast } from "../ui/toast";
import { TopBar } from "../ui/topbar";

const SEARCH_WAIT_MS = 200;
const STARS = "pulseboard.stars";
/** Dashboards with this tag are not ready to be seen. */
const DRAFT = "draft";

interface Listing {
  readonly dashboards: readonly DashboardSummary[];
  readonly next: string | null;
}

/** The dashboards that whoever uses this device wants first. */
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

export function ListPage() {
  const [query, setQuery] = useState("");
  const [tag, setTag] = useState("");
  const [listing, setListing] = useState<Listing | null>(null);
  const [problem, setProblem] = useState("");
  const [creating, setCreating] = useState(false);
  const [stars, toggleStar] = useStars();
  const [tags, setTags] = useState<readonly string[]>([]);
  const [reload, setReload] = useState(0);
  const first = useRef(true);
  const token = keeper.token.value;

  useEffect(() => {
    document.title = "Dashboards · Pulseboard";
  }, []);

  useEffect(() => {
    const abort = new AbortController();
    const load = (): void => {
      listDashboards({ query, tag }, abort.signal).then(
        ({ dashboards, next }) => {
          setListing({ dashboards, next: next ?? null });
          setTags((old) => [...new Set([...old, ...dashboards.flatMap((one) => one.tags ?? [])])].filter((name) => name !== DRAFT).sort());
          setProblem("");
        },
        (error: unknown) => {
          if (!abort.signal.aborted) setProblem(messageOf(error));
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

  const more = async (): Promise<void> => {
    if (listing?.next == null) return;
    try {
      const page = await listDashboards({ query, tag, cursor: listing.next });
      setListing({ dashboards: [...listing.dashboards, ...page.dashboards], next: page.next ?? null });
    } catch (error) {
      setProblem(messageOf(error));
    }
  };

  const again = (): void => setReload((n) => n + 1);
  const remove = async ({ dashboard_id: id, title, version }: DashboardSummary): Promise<void> => {
    try {
      await deleteDashboard(id, `"${version}"`);
      const run = (): void => void undelete(id, version).then(again, (error: unknown) => setProblem(messageOf(error)));
      toast({ text: `“${title}” is deleted for everyone.`, action: { name: "Undo", run } });
    } catch (error) {
      const gone = error instanceof ApiError && error.status === 404;
      if (!gone) setProblem(error instanceof ApiError && error.conflict ? `Someone changed “${title}” meanwhile, so it was not deleted.` : messageOf(error));
    }
    again();
  };
  const take = async (file: File | undefined): Promise<void> => {
    if (file === undefined) return;
    try {
      const document = importable(await file.text());
      const made = await createDashboard(document.whole).catch((error: unknown) => {
        // One with this id is here already: this is a copy of it.
        if (error instanceof ApiError && error.status === 409) return createDashboard(document.copy);
        throw error;
      });
      navigate(`/d/${encodeURIComponent(made.value.dashboard_id)}`);
    } catch (error) {
      setProblem(`${file.name} cannot be imported: ${messageOf(error)}`);
    }
  };

  const filtered = query !== "" || tag !== "";
  return (
    <>
      <TopBar title={null}>
        <a class="button button-quiet" href="/status">
          Status
        </a>
      </TopBar>
      <main id="main" class="list">
        <div class="list-head">
          <h1 class="list-title">Dashboards</h1>
          <div class="list-search">
            <Icon name="search" />
            <input
              class="input"
              type="search"
              aria-label="Search dashboards"
              placeholder="Search"
              value={query}
              onInput={(event) => setQuery(event.currentTarget.value)}
            />
          </div>
          <label class="button import">
            Import
            <input
              class="sr-only"
              type="file"
              accept=".json,application/json"
              onChange={(event) => {
                void take(event.currentTarget.files?.[0]);
                event.currentTarget.value = "";
              }}
            />
          </label>
          <button type="button" class="button button-primary" onClick={() => setCreating(true)}>
            <Icon name="plus" />
            New dashboard
          </button>
        </div>
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
        <Cards listing={listing} waiting={problem === ""} filtered={filtered} stars={stars} onStar={toggleStar} onDelete={(one) => void remove(one)} onCreate={() => setCreating(true)} />
        {listing?.next == null ? null : (
          <div class="list-more">
            <button type="button" class="button" onClick={() => void more()}>
              Show more
            </button>
          </div>
        )}
      </main>
      {creating ? <CreateDialog onClose={() => setCreating(false)} /> : null}
    </>
  );
}

interface CardsProps {
  readonly listing: Listing | null;
  readonly waiting: boolean;
  readonly filtered: boolean;
  readonly stars: ReadonlySet<string>;
  onStar(id: string): void;
  onDelete(dashboard: DashboardSummary): void;
  onCreate(): void;
}

function Cards({ listing, waiting, filtered, stars, onStar, onDelete, onCreate }: CardsProps) {
  if (listing === null) {
    if (!waiting) return null;
    return (
      <ul class="cards" aria-busy="true" aria-label="Loading dashboards">
        {[0, 1, 2].map((i) => (
          <li key={i} class="card card-skeleton" />
        ))}
      </ul>
    );
  }
  const seen = listing.dashboards.filter((one) => !one.tags?.includes(DRAFT));
  const rank = (one: DashboardSummary): number => (stars.has(one.dashboard_id) ? 0 : 1);
  seen.sort((a, b) => rank(a) - rank(b));
  if (seen.length === 0) return filtered ? <NothingFound /> : <FirstSteps onCreate={onCreate} />;
  return (
    <ul class="cards">
      {seen.map((dashboard) => (
        <li key={dashboard.dashboard_id} class="card">
          <div class="card-top">
            <a class="card-link" href={`/d/${encodeURIComponent(dashboard.dashboard_id)}`}>
              {dashboard.title}
            </a>
            <button
              type="button"
              class="button button-icon button-quiet star"
              aria-label={`Star ${dashboard.title}`}
              aria-pressed={stars.has(dashboard.dashboard_id)}
              title="Starred ones come first"
              onClick={() => onStar(dashboard.dashboard_id)}
            >
              <Icon name="star" />
            </button>
            <button
              type="button"
              class="button button-icon button-quiet"
              aria-label={`Delete ${dashboard.title}`}
              title="Delete"
              onClick={() => onDelete(dashboard)}
            >
              <Icon name="trash" />
            </button>
          </div>
          <div class="card-foot">
            <span>{summary(dashboard)}</span>
            {(dashboard.tags ?? []).map((name) => (
              <span key={name} class="tag">
                {name}
              </span>
            ))}
          </div>
        </li>
      ))}
    </ul>
  );
}

function summary({ widget_count: count, updated_at: at }: DashboardSummary): string {
  const seconds = Math.max(0, (Date.now() - Date.parse(at ?? "")) / 1000);
  return `${count} ${count === 1 ? "widget" : "widgets"}, changed ${formatAge(seconds)} ago`;
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

function CreateDialog({ onClose }: { onClose(): void }) {
  const [title, setTitle] = useState("");
  const [error, setError] = useState<string | undefined>(undefined);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (): Promise<void> => {
    if (title.trim() === "") {
      setError("Give it a title.");
      return;
    }
    setBusy(true);
    try {
      const { value } = await createDashboard({ title: title.trim() });
      navigate(`/d/${encodeURIComponent(value.dashboard_id)}`);
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
