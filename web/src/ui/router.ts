import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

export type Route =
  | { readonly page: "list" | "status" | "send" | "unknown" }
  /** widget: the one that is inspected. */
  | { readonly page: "dashboard"; readonly id: string; readonly widget?: string; readonly edit?: boolean };

export function parseRoute(path: string): Route {
  if (path === "/" || path === "") return { page: "list" };
  if (path === "/status") return { page: "status" };
  if (path === "/send") return { page: "send" };
  const [, id, edit, widget] = /^\/d\/([^/]+)(?:(\/edit)|\/w\/([^/]+))?\/?$/.exec(path) ?? [];
  if (id === undefined) return { page: "unknown" };
  try {
    if (edit !== undefined) return { page: "dashboard", id: decodeURIComponent(id), edit: true };
    return { page: "dashboard", id: decodeURIComponent(id), ...(widget === undefined ? {} : { widget: decodeURIComponent(widget) }) };
  } catch {
    return { page: "unknown" };
  }
}

export const route = signal<Route>({ page: "list" });

/** Called before another page is shown. When it returns true, the page stays, and guard may call navigate later. */
let guard: ((path: string) => boolean) | null = null;
/** The address of the page that is shown. */
let shown = "";

export function guardLeaving(ask: ((path: string) => boolean) | null): void {
  guard = ask;
}

function here(): string {
  return location.pathname + location.search;
}

function follow(): void {
  shown = here();
  const next = parseRoute(location.pathname);
  if (JSON.stringify(next) !== JSON.stringify(route.value)) route.value = next;
}

/** On popstate the address is that of the other page already. */
function travelled(): void {
  if (guard?.(here())) history.pushState(null, "", shown);
  else follow();
}

export function navigate(path: string): void {
  if (guard?.(path)) return;
  history.pushState(null, "", path);
  follow();
  window.scrollTo(0, 0);
}

/** Keeps a part of the page's state in its address; null takes it out. */
export function setQuery(name: string, value: string | null): void {
  const url = new URL(location.href);
  if (value === null) url.searchParams.delete(name);
  else url.searchParams.set(name, value);
  history.replaceState(history.state, "", url);
  shown = here();
}

export function getQuery(name: string): string | null {
  return new URLSearchParams(location.search).get(name);
}

/** Where a dashboard, or one of its widgets, is shown, with the state that the address of this page has. */
export function dashboardPath(id: string, widget?: string): string {
  return `/d/${encodeURIComponent(id)}${widget === undefined ? "" : `/w/${encodeURIComponent(widget)}`}${location.search}`;
}

/** Where a dashboard is edited; widget is the one whose settings are open, or "new". */
export function editPath(id: string, widget?: string): string {
  const query = new URLSearchParams(location.search);
  if (widget !== undefined) query.set("widget", widget);
  const text = query.toString();
  return `/d/${encodeURIComponent(id)}/edit${text === "" ? "" : `?${text}`}`;
}

/** The title of the browser's tab; undefined leaves it to another part of the page. */
export function useTitle(title: string | undefined): void {
  useEffect(() => {
    if (title !== undefined) document.title = title === "" ? "Pulseboard" : `${title} · Pulseboard`;
  }, [title]);
}

/** Follows the address bar, and turns clicks on links of this page into navigation. */
export function startRouter(): void {
  follow();
  window.addEventListener("popstate", travelled);
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || link.origin !== location.origin || link.target !== "" || link.hash !== "" || link.hasAttribute("download")) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}
