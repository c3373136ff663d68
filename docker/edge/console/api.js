/** Calls of the REST interface with the person's own token. */
import { API, revoked, token } from "./session.js";

/** @typedef {Record<string, string | number | boolean | null | undefined | readonly string[]>} Query */
/** @typedef {{query?: Query | URLSearchParams, body?: unknown, signal?: AbortSignal, headers?: Record<string, string>}} Options */

const WAITS_MAX = 6;
/** After so long a page says that there is no answer. A service that starts takes a few seconds. */
const ANSWER_MS_MAX = 30_000;
const WAIT_MS_MAX = 5_000;
const POSITION_MS_MAX = 60_000;
const DOWNLOAD_MS = 60_000;
/** The routes that wait for a position. */
const READ_SIDE = /^\/(orders|customers|analytics|products|price-changes|stock)(\/|$)/;

/** A refusal (RFC 9457), in words for people. */
export class Problem extends Error {
  /** @param {number} status @param {any} body */
  constructor(status, body) {
    super(body?.detail || body?.title || `The request was refused (${status}).`);
    this.status = status;
    /** @type {string} */
    this.code = body?.code ?? "";
    /** @type {{field: string, detail: string}[]} */
    this.errors = body?.errors ?? [];
  }

  /** Whether the request certainly changed nothing. */
  get isFinal() {
    return this.status >= 400 && this.status < 500;
  }
}

/** The person has to log in again. */
export class LoggedOut extends Error {}

/** @type {() => Promise<void>} */
let askToLogIn = async () => {
  throw new LoggedOut();
};

/** @param {() => Promise<void>} ask resolves when the person has logged in again */
export function onExpiry(ask) {
  askToLogIn = ask;
}

let latest = { position: "", at: 0 };

/** @param {any} body */
function remember(body) {
  if (typeof body?.position === "string" && body.position > latest.position) {
    latest = { position: body.position, at: Date.now() };
  }
}

/** @param {string} path @param {Query | URLSearchParams} query */
function addressed(path, query) {
  const search = query instanceof URLSearchParams ? new URLSearchParams(query) : parameters(query);
  const recent = Date.now() - latest.at < POSITION_MS_MAX;
  if (recent && READ_SIDE.test(path) && !search.has("at")) search.set("position", latest.position);
  return search.size ? `${path}?${search}` : path;
}

/** @param {Query} query */
function parameters(query) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined && each !== "") found.append(name, String(each));
    }
  }
  return found;
}

/** Read; waits while a service starts or the read side catches up. @param {string} path @param {Options} [options] @returns {Promise<any>} */
export async function get(path, options = {}) {
  return bodyOf((await answered("GET", () => addressed(path, options.query ?? {}), options)).answer);
}

/** The same, or null if the resource does not exist. @param {string} path @param {Options} [options] @returns {Promise<any>} */
export async function find(path, options = {}) {
  try {
    return await get(path, options);
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}

/** Download a document. @param {string} path @param {string} name of the file @returns {Promise<void>} */
export async function download(path, name) {
  const { answer } = await answered("GET", () => addressed(path, {}), {});
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(await answer.blob());
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), DOWNLOAD_MS);
}

/** The keys of changes whose outcome is not known: the same change, sent again, has the same key and takes effect once. @type {Map<string, string>} */
const unanswered = new Map();

/** Change something, once, however often the request is repeated. @param {string} method @param {string} path @param {unknown} [body] @param {Options} [options] @returns {Promise<any>} */
export async function send(method, path, body, options = {}) {
  const change = `${method} ${path} ${JSON.stringify(body)}`;
  const key = unanswered.get(change) ?? newKey();
  unanswered.set(change, key);
  const headers = { "Idempotency-Key": key, ...options.headers };
  try {
    const { answer } = await answered(method, () => addressedPlainly(path, options.query ?? {}), { ...options, body, headers });
    unanswered.delete(change);
    const found = await bodyOf(answer);
    remember(found);
    return found;
  } catch (error) {
    if (error instanceof Problem && error.isFinal) unanswered.delete(change);
    throw error;
  }
}

/** @param {string} path @param {Query | URLSearchParams} query */
function addressedPlainly(path, query) {
  const search = query instanceof URLSearchParams ? query : parameters(query);
  return search.size ? `${path}?${search}` : path;
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `console-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** @param {string} method @param {() => string} url @param {Options} options */
async function answered(method, url, options) {
  let until = Date.now() + ANSWER_MS_MAX;
  for (let attempt = 1; ; attempt++) {
    const answer = await asked(method, url(), options, until);
    if (answer?.ok) return { answer };
    const isLast = attempt >= WAITS_MAX || Date.now() >= until;
    if (answer?.status === 401) {
      await loggedInAgain();
      until = Date.now() + ANSWER_MS_MAX;
    } else if (isLast || (answer && answer.status !== 503)) throw await problemOf(answer, `${method} ${url()}`);
    else await waited(answer, options.signal);
  }
}

async function loggedInAgain() {
  revoked();
  await askToLogIn();
}

/** The answer, or null if the network failed or there was none in time. @param {string} method @param {string} url @param {Options} options @param {number} until */
async function asked(method, url, options, until) {
  let bearer = await token();
  while (bearer === null) {
    await askToLogIn();
    bearer = await token();
  }
  /** @type {Record<string, string>} */
  const headers = { Authorization: `Bearer ${bearer}`, ...options.headers };
  const body = options.body === undefined ? undefined : JSON.stringify(options.body);
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const stop = new AbortController();
  const late = setTimeout(() => stop.abort(), Math.max(0, until - Date.now()));
  options.signal?.addEventListener("abort", () => stop.abort(), { once: true });
  try {
    options.signal?.throwIfAborted();
    return await fetch(API + url, { method, headers, body, signal: stop.signal });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    return null;
  } finally {
    clearTimeout(late);
  }
}

/** @param {Response | null} answer @param {AbortSignal | undefined} signal */
async function waited(answer, signal) {
  const seconds = Number(answer?.headers.get("retry-after") ?? 1);
  await pause(Math.min(seconds * 1000, WAIT_MS_MAX), signal);
}

/** Wait, unless the person leaves the page. @param {number} milliseconds @param {AbortSignal} [signal] */
export async function pause(milliseconds, signal) {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  signal?.throwIfAborted();
}

/** @param {Response} answer */
async function bodyOf(answer) {
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

/** @param {Response | null} answer @param {string} request */
async function problemOf(answer, request) {
  const what = request.replace(/\?.*/, "");
  if (!answer) return new Problem(0, { detail: `There is no answer to ${what}: the service, or something that it needs, does not work now. Try again; if that does not help, look at System.` });
  const body = await bodyOf(answer).catch(() => null);
  if (answer.status === 503 || !body) return new Problem(answer.status, { ...body, detail: `${what} was refused: ${body?.detail ?? `status ${answer.status}`}` });
  return new Problem(answer.status, body);
}
