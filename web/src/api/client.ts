import { keeper } from "./token";
import type { Dashboard, DashboardList, MetricList, RecentEvents, Problem, ProblemDetail, Validation, VersionEntry } from "./types";

const NOT_MODIFIED = 304;

/** An answer that is not 2xx, or no answer at all (status 0). */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    readonly status: number,
    message: string,
    readonly errors: readonly ProblemDetail[] = [],
  ) {
    super(message);
  }
}

/** Whether the server answered so: 404 is gone, 412 changed by somebody else since it was read. */
export function isStatus(error: unknown, ...statuses: readonly number[]): boolean {
  return error instanceof ApiError && statuses.includes(error.status);
}

/** A failure in words for people: the rules that were broken, each with its JSON pointer, else the error's message. */
export function messageOf(error: unknown): string {
  const faults = error instanceof ApiError ? error.errors.map(({ pointer = "", detail = "" }) => `${pointer}: ${detail}`) : [];
  return faults.join("; ") || (error instanceof Error ? error.message : String(error));
}

interface Request {
  readonly method?: string;
  readonly body?: unknown;
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Sends a request, again with each token that is given after it was refused. */
async function request(path: string, options: Request = {}): Promise<Response> {
  for (;;) {
    const sent = keeper.token.value;
    try {
      return await requestWith(sent, path, options);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      if (!(await keeper.ask(sent, error.message))) throw sent === "" ? new ApiError(401, "This server asks for a token, and you are not signed in.") : error;
      options.signal?.throwIfAborted();
    }
  }
}

async function requestWith(token: string, path: string, { method = "GET", body, ifMatch, ifNoneMatch, signal }: Request): Promise<Response> {
  const headers = new Headers({ Accept: "application/json" });
  if (body !== undefined) headers.set("Content-Type", "application/json");
  if (ifMatch !== undefined) headers.set("If-Match", ifMatch);
  if (ifNoneMatch !== undefined) headers.set("If-None-Match", ifNoneMatch);
  if (token !== "") headers.set("Authorization", `Bearer ${token}`);
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      // A draft that is deleted when the page is left is deleted although the page is gone.
      keepalive: method === "DELETE",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "The server cannot be reached.");
  }
  if (!response.ok && response.status !== NOT_MODIFIED) throw await problem(response);
  return response;
}

async function problem(response: Response): Promise<ApiError> {
  let body: Problem = {};
  try {
    body = (await response.json()) as Problem;
  } catch {
    // A proxy may answer with a page of its own: only the status is known.
  }
  const text = body.detail ?? body.title ?? `The server answered ${response.status}.`;
  return new ApiError(response.status, text, body.errors ?? []);
}

async function read<T>(path: string, options?: Request): Promise<T> {
  return (await (await request(path, options)).json()) as T;
}

/** The ETag of a version, or of any. Not the answer's: a proxy that compresses changes it. */
function etag(version: number | "any"): string {
  return version === "any" ? "*" : `"${version}"`;
}

function address(id: string): string {
  return `/dashboards/${encodeURIComponent(id)}`;
}

/** Address of the stream, on the origin that served the page. */
export function streamAddress(id: string, page: Location): string {
  const scheme = page.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${page.host}/stream/${encodeURIComponent(id)}`;
}

export function listDashboards(query: { readonly query?: string; readonly tag?: string; readonly cursor?: string }, signal?: AbortSignal): Promise<DashboardList> {
  const params = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
  return read(params === "" ? "/dashboards" : `/dashboards?${params}`, { signal });
}

/** Fails with the server's reason when a token is not good for reading. */
export async function checkToken(token: string): Promise<void> {
  await requestWith(token, "/dashboards?limit=1", {});
}

export function getDashboard(id: string, signal?: AbortSignal): Promise<Dashboard> {
  return read(address(id), { signal });
}

/** The changes of this page that are not answered yet, by dashboard. */
const changing = new Map<string, Promise<Dashboard>>();

/** The document of a newer version than known, which the stream has shown: the answer to a change that this page makes, else read anew. */
export async function newerDashboard(known: Dashboard, version: number, signal?: AbortSignal): Promise<Dashboard> {
  const id = known.dashboard_id;
  const own = await changing.get(id)?.catch(() => null);
  if (own && own.version >= version) return own;
  const response = await request(address(id), { signal, ifNoneMatch: etag(known.version) });
  return response.status === NOT_MODIFIED ? known : ((await response.json()) as Dashboard);
}

export function createDashboard(document: object): Promise<Dashboard> {
  return read("/dashboards", { method: "POST", body: document });
}

/**
 * Changes a dashboard of this version: PATCH with a merge patch, of its widgets by id when part is "/widgets"; or PUT with
 * the whole document.
 */
export async function changeDashboard(method: "PATCH" | "PUT", id: string, part: "" | "/widgets", version: number | "any", body: object): Promise<Dashboard> {
  const change = read<Dashboard>(address(id) + part, { method, body, ifMatch: etag(version) });
  changing.set(id, change);
  try {
    return await change;
  } finally {
    if (changing.get(id) === change) changing.delete(id);
  }
}

export async function deleteDashboard(id: string, version: number | "any"): Promise<void> {
  await request(address(id), { method: "DELETE", ifMatch: etag(version) });
}

/** Brings a deleted dashboard back as it was in version. */
export async function undelete(id: string, version: number): Promise<void> {
  // The deletion is a version too, the one after it.
  await request(`${address(id)}/versions/${version}/restore`, { method: "POST", ifMatch: etag(version + 1) });
}

/** The metrics that arrive and have all words of query in their name. */
export function listMetrics(query: string, limit: number, signal?: AbortSignal): Promise<MetricList> {
  return read(`/metrics/catalog?${new URLSearchParams({ query, limit: String(limit) }).toString()}`, { signal });
}

/** Some of what ingest took and refused last. */
export function recentEvents(signal: AbortSignal): Promise<RecentEvents> {
  return read("/ingest/recent", { signal });
}

export function validateDashboard(document: object, signal: AbortSignal): Promise<Validation> {
  return read("/dashboards/validate", { method: "POST", body: document, signal });
}

/** The newest versions, of a deleted dashboard too. */
export function listVersions(id: string): Promise<{ readonly versions: readonly VersionEntry[] }> {
  return read(`${address(id)}/versions`);
}

export function getVersion(id: string, version: number): Promise<Dashboard> {
  return read(`${address(id)}/versions/${version}`);
}
