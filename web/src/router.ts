import { signal } from "@preact/signals";

export type Route =
  | { readonly page: "list" | "status" | "unknown" }
  /** widget: the one that is inspected. */
  | { readonly page: "dashboard"; readonly id: string; readonly widget?: string };

export function parseRoute(path: string): Route {
  if (path === "/" || path === "") return { page: "list" };
  if (path === "/status") return { page: "status" };
  const [, id, widget] = /^\/d\/([^/]+)(?:\/w\/([^/]+))?\/?$/.exec(path) ?? [];
  if (id === undefined) return { page: "unknown" };
  try {
    return { page: "dashboard", id: decodeURIComponent(id), ...(widget === undefined ? {} : { widget: decodeURIComponent(widget) }) };
  } catch {
    return { page: "unknown" };
  }
}

export const route = signal<Route>({ page: "list" });

function follow(): void {
  const next = parseRoute(location.pathname);
  if (JSON.stringify(next) !== JSON.stringify(route.value)) route.value = next;
}

export function navigate(path: string): void {
  history.pushState(null, "", path);
  follow();
  window.scrollTo(0, 0);
}

/** A part of the page's state that belongs into its address. Null takes it out. */
export function setQuery(name: string, value: string | null): void {
  const url = new URL(location.href);
  if (value === null) url.searchParams.delete(name);
  else url.searchParams.set(name, value);
  history.replaceState(history.state, "", url);
}

export function getQuery(name: string): string | null {
  return new URLSearchParams(location.search).get(name);
}

/** Where a dashboard, or one of its widgets, is shown, with the state that the address of this page has. */
export function dashboardPath(id: string, widget?: string): string {
  return `/d/${encodeURIComponent(id)}${widget === undefined ? "" : `/w/${encodeURIComponent(widget)}`}${location.search}`;
}

/** Follows the address bar, and turns clicks on links of this page into navigation. */
export function startRouter(): void {
  follow();
  window.addEventListener("popstate", follow);
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || link.origin !== location.origin || link.target !== "" || link.hash !== "" || link.hasAttribute("download")) return;
    event.preventDefault();
    navigate(link.pathname + link.search);
  });
}
