import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, createDashboard, deleteDashboard, getDashboard, listDashboards } from "../api/client";
import { keeper } from "../api/token";
import type { DashboardSummary } from "../api/types";
import { navigate } from "../router";
import { Dialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { Icon } from "../ui/icon";
import { TopBar } from "../ui/topbar";

const SEARCH_WAIT_MS = 200;

interface Listing {
  readonly dashboards: readonly DashboardSummary[];
  readonly next: string | null;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function ListPage() {
  const [query, setQuery] = useState("");
  const [tag, setTag] = useState("");
  const [listing, setListing] = useState<Listing | null>(null);
  const [problem, setProblem] = useState("");
  const [creating, setCreating] = useState(false);
  const [deleting, setDeleting] = useState<DashboardSummary | null>(null);
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

  const filtered = query !== "" || tag !== "";
  return (
    <>
      <TopBar title={null} />
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
          <button type="button" class="button button-primary" onClick={() => setCreating(true)}>
            <Icon name="plus" />
            New dashboard
          </button>
        </div>
        {tag === "" ? null : (
          <div class="list-tags">
            <button type="button" class="tag" aria-pressed="true" onClick={() => setTag("")}>
              {tag} ×<span class="sr-only"> remove filter</span>
            </button>
          </div>
        )}
        {problem === "" ? null : (
          <p class="notice" role="alert">
            {problem}{" "}
            <button type="button" class="pill-retry" onClick={() => setReload(reload + 1)}>
              Try again
            </button>
          </p>
        )}
        <Cards listing={listing} waiting={problem === ""} filtered={filtered} onTag={setTag} onDelete={setDeleting} onCreate={() => setCreating(true)} />
        {listing?.next == null ? null : (
          <div class="list-more">
            <button type="button" class="button" onClick={() => void more()}>
              Show more
            </button>
          </div>
        )}
      </main>
      {creating ? <CreateDialog onClose={() => setCreating(false)} /> : null}
      {deleting === null ? null : (
        <DeleteDialog
          dashboard={deleting}
          onClose={(deleted) => {
            setDeleting(null);
            if (deleted) setReload(reload + 1);
          }}
        />
      )}
    </>
  );
}

interface CardsProps {
  readonly listing: Listing | null;
  readonly waiting: boolean;
  readonly filtered: boolean;
  onTag(tag: string): void;
  onDelete(dashboard: DashboardSummary): void;
  onCreate(): void;
}

function Cards({ listing, waiting, filtered, onTag, onDelete, onCreate }: CardsProps) {
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
  if (listing.dashboards.length === 0) return filtered ? <NothingFound /> : <FirstSteps onCreate={onCreate} />;
  return (
    <ul class="cards">
      {listing.dashboards.map((dashboard) => (
        <li key={dashboard.dashboard_id} class="card">
          <div class="card-top">
            <a class="card-link" href={`/d/${encodeURIComponent(dashboard.dashboard_id)}`}>
              {dashboard.title}
            </a>
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
            {(dashboard.tags ?? []).map((name) => (
              <button key={name} type="button" class="tag" onClick={() => onTag(name)} aria-label={`Only dashboards tagged ${name}`}>
                {name}
              </button>
            ))}
            <span>version {dashboard.version}</span>
          </div>
        </li>
      ))}
    </ul>
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
      const { value } = await createDashboard(title.trim());
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

interface DeleteDialogProps {
  readonly dashboard: DashboardSummary;
  onClose(deleted: boolean): void;
}

function DeleteDialog({ dashboard, onClose }: DeleteDialogProps) {
  const [etag, setEtag] = useState(`"${dashboard.version}"`);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (): Promise<void> => {
    setBusy(true);
    try {
      await deleteDashboard(dashboard.dashboard_id, etag);
      onClose(true);
      return;
    } catch (failure) {
      if (failure instanceof ApiError && failure.status === 404) {
        onClose(true);
        return;
      }
      setProblem(messageOf(failure));
      if (failure instanceof ApiError && failure.conflict) {
        setProblem("Someone changed this dashboard in the meantime. Delete it all the same?");
        try {
          setEtag((await getDashboard(dashboard.dashboard_id)).etag);
        } catch (error) {
          setProblem(messageOf(error));
        }
      }
    }
    setBusy(false);
  };
  return (
    <Dialog title={`Delete “${dashboard.title}”?`} submit="Delete" danger small busy={busy} problem={problem} onSubmit={() => void submit()} onClose={() => onClose(false)}>
      <p>The dashboard and its widgets go away for everyone who watches it. The metrics themselves stay.</p>
    </Dialog>
  );
}
