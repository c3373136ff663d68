/** How many orders each status, country and currency has: the numbers beside the filters of the list. */
import { get } from "./api.js";
import { may } from "./session.js";

/** @typedef {Map<string, number>} Counts */
/** @typedef {{statuses: Counts, countries: Counts, currencies: Counts}} Facets */

/** The filters that analytics knows, too; with any other one the numbers would be those of other orders. */
const KNOWN = new Set(["from", "to", "source", "status", "country", "currency", "sort", "page"]);
const ASKED = ["from", "to", "source"];

let kept = { key: "", figures: /** @type {any[]} */ ([]) };

/** @param {URLSearchParams} query */
function keyOf(query) {
  if (!may("analytics:read") || [...query.keys()].some((name) => !KNOWN.has(name))) return null;
  const asked = new URLSearchParams([["group_by", "status"], ["group_by", "country"]]);
  for (const name of ASKED) if (query.has(name)) asked.set(name, query.get(name) ?? "");
  return asked.toString();
}

/** The numbers, as far as they are known already. @param {URLSearchParams} query @returns {Facets | null} */
export function knownFacets(query) {
  return kept.key && kept.key === keyOf(query) ? counted(kept.figures, query) : null;
}

/** Read the numbers; a list without them is complete, so an error only leaves them out. @param {URLSearchParams} query @param {AbortSignal} signal @returns {Promise<Facets | null>} */
export async function readFacets(query, signal) {
  const key = keyOf(query);
  if (key === null) return null;
  const found = await get("/analytics/orders", { query: new URLSearchParams(key), signal }).catch(() => null);
  signal.throwIfAborted();
  kept = { key: found ? key : "", figures: found?.figures ?? [] };
  return found && counted(found.figures, query);
}

/** Each facet counts the orders that pass the other filters. @param {any[]} figures @param {URLSearchParams} query @returns {Facets} */
function counted(figures, query) {
  const rows = figures.map((each) => ({ status: each.status, country: each.country, currency: each.revenue.currency, orders: each.orders }));
  const of = (/** @type {"status" | "country" | "currency"} */ facet) => sums(rows.filter((row) => passes(row, query, facet)), facet);
  return { statuses: of("status"), countries: of("country"), currencies: of("currency") };
}

/** @param {any} row @param {URLSearchParams} query @param {string} facet the filter that does not count */
function passes(row, query, facet) {
  return ["status", "country", "currency"].every((name) => name === facet || !query.has(name) || query.getAll(name).includes(row[name]));
}

/** @param {any[]} rows @param {string} facet @returns {Counts} */
function sums(rows, facet) {
  const found = /** @type {Counts} */ (new Map());
  for (const row of rows) if (row[facet]) found.set(row[facet], (found.get(row[facet]) ?? 0) + row.orders);
  return found;
}

/** How many orders of the whole shop each list of ATTENTION has. @type {Map<string, number>} */
const needing = new Map();

/** @param {string} name of the filter */
export function attention(name) {
  return needing.get(name);
}

/** Count the orders that a person may have to look into; an error only leaves a number out. @param {readonly (readonly [string, string, string])[]} lists @param {AbortSignal} signal */
export async function readAttention(lists, signal) {
  await Promise.all(lists.map(async ([name, value]) => {
    const found = await get("/orders", { query: { [name]: value, page_size: 1 }, signal }).catch(() => null);
    if (found) needing.set(name, found.total);
    else needing.delete(name);
  }));
  signal.throwIfAborted();
}
