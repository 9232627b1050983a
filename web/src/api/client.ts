import { keeper } from "./token";
import type { Dashboard, DashboardList, MetricList, Problem, ProblemDetail, Validation, VersionEntry } from "./types";

/** A document and the ETag of the version that was read. */
export interface Versioned<T> {
  readonly value: T;
  readonly etag: string;
}

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

  /** Someone else changed the document since it was read. */
  get conflict(): boolean {
    return this.status === 412;
  }
}

/** A failure in words for people: the rules that were broken with their places, else the error's message. */
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
      const refused = error instanceof ApiError && error.status === 401;
      if (!refused) throw error;
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
      // What is deleted on leaving is deleted although the page is gone.
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

async function versioned(response: Response): Promise<Versioned<Dashboard>> {
  const value = (await response.json()) as Dashboard;
  // Not the header: a proxy that compresses changes it.
  return { value, etag: `"${value.version}"` };
}

function address(id: string): string {
  return `/dashboards/${encodeURIComponent(id)}`;
}

export interface ListQuery {
  readonly query?: string;
  readonly tag?: string;
  readonly cursor?: string;
}

export async function listDashboards(query: ListQuery, signal?: AbortSignal): Promise<DashboardList> {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) params.set(name, String(value));
  const text = params.toString();
  const response = await request(text === "" ? "/dashboards" : `/dashboards?${text}`, { signal });
  return (await response.json()) as DashboardList;
}

/** Fails with the server's reason when a token is not good for reading. */
export async function checkToken(token: string): Promise<void> {
  await requestWith(token, "/dashboards?limit=1", {});
}

export async function getDashboard(id: string, signal?: AbortSignal): Promise<Versioned<Dashboard>> {
  return versioned(await request(address(id), { signal }));
}

/** The changes of this page that are not answered yet, by dashboard. */
const changing = new Map<string, Promise<Versioned<Dashboard>>>();

/**
 * The document after the stream has shown a newer version than the known one: the
 * answer to a change that this page has made itself, else read if it is another one.
 */
export async function newerDashboard(id: string, known: Versioned<Dashboard>, version: number, signal?: AbortSignal): Promise<Versioned<Dashboard>> {
  const own = await changing.get(id)?.catch(() => null);
  if (own && own.value.version >= version) return own;
  const response = await request(address(id), { signal, ifNoneMatch: known.etag });
  return response.status === NOT_MODIFIED ? known : versioned(response);
}

export async function createDashboard(document: object): Promise<Versioned<Dashboard>> {
  return versioned(await request("/dashboards", { method: "POST", body: document }));
}

export async function deleteDashboard(id: string, etag: string): Promise<void> {
  await request(address(id), { method: "DELETE", ifMatch: etag });
}


/** Address of the stream, on the origin that served the page. */
export function streamAddress(id: string, page: Location): string {
  const scheme = page.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${page.host}/stream/${encodeURIComponent(id)}`;
}

/** Brings a deleted dashboard back as it was in version. */
export async function undelete(id: string, version: number): Promise<void> {
  // The deletion is a version too, the one after it.
  await request(`${address(id)}/versions/${version}/restore`, { method: "POST", ifMatch: `"${version + 1}"` });
}

/** The metrics that arrive, those with all words of query in their name. */
export async function listMetrics(query: string, limit: number, signal?: AbortSignal): Promise<MetricList> {
  const response = await request(`/metrics/catalog?${new URLSearchParams({ query, limit: String(limit) }).toString()}`, { signal });
  return (await response.json()) as MetricList;
}

/** Changes a dashboard: PATCH with a merge patch, of its widgets by id when part is "/widgets", or PUT with the whole. */
export async function changeDashboard(method: "PATCH" | "PUT", id: string, part: "" | "/widgets", etag: string, body: object): Promise<Versioned<Dashboard>> {
  const change = request(address(id) + part, { method, body, ifMatch: etag }).then(versioned);
  changing.set(id, change);
  try {
    return await change;
  } finally {
    if (changing.get(id) === change) changing.delete(id);
  }
}

async function read<T>(path: string, options?: Request): Promise<T> {
  return (await (await request(path, options)).json()) as T;
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
