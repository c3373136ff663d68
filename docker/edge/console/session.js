/** Who is logged in: the token in the tab's session storage, its renewal, and its scopes. */

/** @typedef {{token: string, expires: number, scopes: string[], refresh: string | null, who: string}} Session */

/** The base path of the REST interface. */
export const API = "/v1";
const STORED = "zerocart-session";
const RENEWED_BEFORE_MS = 60_000;
const IDLE_MS_MAX = 30 * 60_000;
const ANSWER_MS_MAX = 30_000;

/** @type {Session | null} */
let current = restored();
/** @type {{id: string, secret: string} | null} the secret of a client, only in memory and only while the tab is used */
let client = null;
let usedAt = Date.now();

for (const event of ["pointerdown", "keydown"]) addEventListener(event, () => (usedAt = Date.now()), { passive: true });

/** @returns {Session | null} */
function restored() {
  const text = sessionStorage.getItem(STORED);
  return text ? JSON.parse(text) : null;
}

/** @param {Session | null} session */
function keep(session) {
  current = session;
  if (session) sessionStorage.setItem(STORED, JSON.stringify(session));
  else sessionStorage.removeItem(STORED);
}

/** Who is logged in, or null. */
export function session() {
  return current;
}

/** Whether the token permits a scope. @param {string | undefined} scope */
export function may(scope) {
  return scope === undefined || (current?.scopes.includes(scope) ?? false);
}

export class LoginRefused extends Error {}

/**
 * Log in as a person (an e-mail address and a password) or as a program (a client id and its secret).
 * @param {string} name @param {string} secret
 */
export async function logIn(name, secret) {
  const person = name.includes("@");
  /** @type {Record<string, string>} */
  const form = person
    ? { grant_type: "password", username: name, password: secret }
    : { grant_type: "client_credentials", client_id: name, client_secret: secret };
  keep(await granted(form, name));
  client = person ? null : { id: name, secret };
}

export function logOut() {
  client = null;
  keep(null);
}

/** A token that is still valid, renewed if it must be; null if the person has to log in again. @returns {Promise<string | null>} */
export async function token() {
  if (current && current.expires - Date.now() > RENEWED_BEFORE_MS) return current.token;
  await (renewing ??= renewed().finally(() => (renewing = null)));
  return current && current.expires > Date.now() ? current.token : null;
}

/** @type {Promise<void> | null} */
let renewing = null;

async function renewed() {
  const form = Date.now() - usedAt < IDLE_MS_MAX ? renewalForm() : null;
  if (!form || !current) return;
  try {
    keep(await granted(form, current.who));
  } catch (error) {
    if (!(error instanceof LoginRefused)) throw error;
  }
}

/** @returns {Record<string, string> | null} */
function renewalForm() {
  if (current?.refresh) return { grant_type: "refresh_token", refresh_token: current.refresh };
  return client && { grant_type: "client_credentials", client_id: client.id, client_secret: client.secret };
}

/** The token was refused, although it has not expired: it was revoked. */
export function revoked() {
  if (current) keep({ ...current, expires: 0, refresh: null });
}

/** @param {Record<string, string>} form @param {string} who @returns {Promise<Session>} */
async function granted(form, who) {
  const answer = await fetch(`${API}/token`, { method: "POST", body: new URLSearchParams(form), signal: AbortSignal.timeout(ANSWER_MS_MAX) }).catch(() => null);
  const body = await answer?.json().catch(() => null);
  if (!answer || !body) throw new Error("The users service does not answer. Try again in a moment.");
  if (!answer.ok) throw new LoginRefused(refusal(answer.status, body));
  const expires = Date.now() + body.expires_in * 1000;
  return { token: body.access_token, expires, scopes: body.scope.split(" "), refresh: body.refresh_token ?? null, who };
}

/** @param {number} status @param {any} body */
function refusal(status, body) {
  if (status === 429) return "Too many attempts. Wait a minute, then try again.";
  if (status >= 500) return "The users service does not answer. Try again in a moment.";
  if (["invalid_grant", "invalid_client"].includes(body.error)) return "The name or the secret is wrong.";
  return body.error_description ?? body.detail ?? `The log-in was refused (${status}).`;
}
