/** The list of orders. Its state is the query of the address, in the names of `GET /orders`. */
import { get } from "./api.js";
import { h } from "./dom.js";
import { country, money, number, sums, time, words } from "./format.js";
import { attention, knownFacets, readAttention, readFacets } from "./order_facets.js";
import { may } from "./session.js";
import { badge, failure, field, heading, link, nothing, pager, select, table, valuesOf } from "./ui.js";

const STATUSES = ["pending", "on_hold", "processing", "confirmed", "shipped", "delivered", "cancelling", "cancelled", "failed", "draft"];
/** @type {readonly [string, string][]} */
const SORTS = [["", "Best first"], ["-created_at", "Newest first"], ["created_at", "Oldest first"], ["-updated_at", "Last changed"], ["-total", "Largest total"], ["total", "Smallest total"]];
const NARROW = ["from", "to", "total_min", "total_max", "currency", "country", "product_id", "tag", "email", "number", "source"];

/** Lists of orders that a person may have to look into: the filter, its value, and the words for it. @type {readonly [string, string, string][]} */
const ATTENTION = [["stuck", "true", "Stuck"], ["waiting_minutes", "60", "Unchanged for an hour"]];

/** @typedef {import("./main.js").View} View */
/** @typedef {import("./order_facets.js").Facets} Facets */

/** @param {View} view */
export async function open(view) {
  const head = heading("Orders", may("operations:read") && h("p", { class: "muted" }, link("/failed", "Failed messages"), " shows what a service did not accept or could not handle."));
  const shown = (/** @type {import("./dom.js").Child} */ content, /** @type {Facets | null} */ facets = knownFacets(view.query)) => view.show(head, filters(view, facets), h("div", { class: "results", key: "results" }, content));
  const counting = readFacets(view.query, view.signal).catch(() => null); // beside the list, not before it
  try {
    const found = await get("/orders", { query: view.query, signal: view.signal });
    shown(list(view, found));
    shown(list(view, found), await counting);
    await readAttention(ATTENTION, view.signal);
    shown(list(view, found));
  } catch (error) {
    view.signal.throwIfAborted();
    shown([failure(error, view.again), view.query.size > 0 && h("p", null, link("", "Show all orders"))]);
  }
}

/** @param {View} view @param {any} found */
function list(view, found) {
  if (!found.orders.length) return nothing(view.query.size ? "No order matches. " : "There is no order yet.", view.query.size ? link("", "Show all orders") : null);
  return [
    instead(found),
    table("Orders", columns(), found.orders, { key: (order) => order.order_id, foot: sumRows(found.orders) }),
    pager(view.query, found, "", "order"),
  ];
}

/** @returns {import("./ui.js").Column[]} */
function columns() {
  return [
    { name: "Order", cell: (order) => link(`/orders/${order.order_id}`, order.number ?? order.order_id.slice(-8)) },
    { name: "Placed", cell: (order) => time(order.created_at) },
    { name: "Customer", wide: true, cell: customer },
    { name: "Status", cell: (order) => badge(order.status) },
    { name: "Country", cell: (order) => h("span", { class: "place" }, country(order.country)) },
    { name: "Lines", right: true, cell: (order) => order.line_count },
    { name: "Total", right: true, cell: (order) => money(order.total) },
  ];
}

/** @param {any} order */
function customer(order) {
  const found = Object.entries(order.highlights ?? {}).filter(([name]) => name !== "customer_name");
  return [
    order.highlights?.customer_name ? marked([order.highlights.customer_name].flat().join(" … ")) : (order.customer_name ?? h("span", { class: "muted" }, "no name")),
    order.reason && h("small", null, order.reason),
    found.map(([name, text]) => h("small", null, `${words(name)}: `, marked([text].flat().join(" … ")))),
  ];
}

const ENTITIES = /** @type {Record<string, string>} */ ({ "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'", "&#39;": "'", "&amp;": "&" });

/** The text of a match, whose words are in <em>. @param {string} html */
function marked(html) {
  const plain = (/** @type {string} */ text) => text.replaceAll(/&(lt|gt|quot|amp|#x27|#39);/g, (entity) => ENTITIES[entity] ?? entity);
  return html.split(/<em>|<\/em>/).map((part, index) => (index % 2 ? h("mark", null, plain(part)) : plain(part)));
}

/** @param {any[]} orders */
function sumRows(orders) {
  return sums(orders.map((order) => order.total)).map((sum) =>
    h("tr", { role: "row" },
      h("th", { role: "rowheader", scope: "row", colspan: "6" }, `Sum of this page in ${sum.currency}`),
      h("td", { role: "cell", class: "right", "data-name": "Sum" }, money(sum))));
}

/** @param {any} found */
function instead(found) {
  const pairs = Object.entries(found.instead ?? {}).map(([word, similar]) => `“${word}” was read as ${[similar].flat().join(", ")}`);
  return pairs.length ? h("p", { class: "muted", role: "status" }, `${pairs.join("; ")}.`) : null;
}

/** @param {View} view @param {Facets | null} facets */
function filters(view, facets) {
  const { query } = view;
  const value = (/** @type {string} */ name) => query.get(name) ?? "";
  const set = NARROW.filter((name) => query.has(name));
  /** @param {Event} event */
  const change = (event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (/** @type {HTMLElement} */ (event.target).closest("form"));
    apply(view, valuesOf(form));
  };
  return h("form", { class: "filters", role: "search", key: "filters", on: { submit: change } },
    h("div", { class: "search" },
      h("label", { for: "q", class: "unseen" }, "Search"),
      h("input", { id: "q", name: "q", type: "search", placeholder: "Name, product, city or number", value: value("q"), autocomplete: "off" }),
      h("label", { for: "sort", class: "unseen" }, "Sort"),
      select({ id: "sort", name: "sort", value: value("sort") || (value("q") ? "" : "-created_at"), on: { change } }, value("q") ? SORTS : SORTS.slice(1)),
      h("button", { class: "primary" }, "Search")),
    chips(query, facets),
    h("details", { open: set.length > 0, key: "more" },
      h("summary", null, set.length ? `Filters (${set.length})` : "Filters"),
      h("div", { class: "grid" },
        field("Placed from", h("input", { name: "from", type: "date", value: value("from").slice(0, 10) }), "A day in the time zone of the shop."),
        field("Placed before", h("input", { name: "to", type: "date", value: value("to").slice(0, 10) })),
        field("Total at least", h("input", { name: "total_min", inputmode: "decimal", pattern: "[0-9]+([.][0-9]{1,6})?", value: value("total_min") })),
        field("Total at most", h("input", { name: "total_max", inputmode: "decimal", pattern: "[0-9]+([.][0-9]{1,6})?", value: value("total_max") })),
        field("Currency", h("input", { name: "currency", placeholder: "GBP", pattern: "[A-Z]{3}", list: "currencies", value: value("currency") })),
        field("Country", h("input", { name: "country", placeholder: "GB", pattern: "[A-Z]{2}", list: "countries", value: value("country") })),
        field("Product id", h("input", { name: "product_id", value: value("product_id") })),
        field("Tag", h("input", { name: "tag", value: value("tag") })),
        may("orders:admin") && field("E-mail", h("input", { name: "email", type: "email", value: value("email") }))),
      choices("currencies", facets?.currencies, (code) => code), choices("countries", facets?.countries, country),
      h("div", { class: "buttons" }, h("button", null, "Apply"), set.length ? link("", "Clear") : null)));
}

/** @param {View} view @param {Record<string, string>} values */
function apply(view, values) {
  const search = new URLSearchParams();
  for (const status of view.query.getAll("status")) search.append("status", status);
  for (const [name] of ATTENTION) if (view.query.has(name)) search.set(name, view.query.get(name) ?? "");
  const usual = values.q && view.query.has("q") ? "" : "-created_at"; // a first search has the best first, whatever the list had
  for (const [name, value] of Object.entries(values)) if (value && !(name === "sort" && value === usual)) search.set(name, value);
  view.go(search.size ? `?${search}` : "");
}

/** What a field offers, with numbers. @param {string} id @param {import("./order_facets.js").Counts | undefined} counts @param {(name: string) => string} named */
function choices(id, counts, named) {
  const most = [...(counts ?? [])].sort(([, one], [, other]) => other - one);
  return h("datalist", { id }, most.map(([name, count]) => h("option", { value: name }, `${named(name)} (${number(count)})`)));
}

/** @param {URLSearchParams} query @param {Facets | null} facets */
function chips(query, facets) {
  const chosen = new Set(query.getAll("status"));
  return h("ul", { class: "chips", "aria-label": "Statuses" },
    h("li", null, chip("All", query, [], chosen.size === 0)),
    STATUSES.map((status) => {
      const wanted = new Set(chosen);
      if (!wanted.delete(status)) wanted.add(status);
      return h("li", null, chip(words(status), query, [...wanted], chosen.has(status), status === "draft" ? undefined : facets && (facets.statuses.get(status) ?? 0)));
    }),
    ATTENTION.map(([name, value, text]) => h("li", null, attentionChip(name, value, text, query.has(name)))));
}

/** A list of the whole shop, whatever the other filters are: so is its number. @param {string} name @param {string} value @param {string} text @param {boolean} on */
function attentionChip(name, value, text, on) {
  const count = attention(name);
  return h("a", { class: `chip ${count ? "warn" : ""}`.trim(), href: on ? "/console" : `/console?${name}=${value}`, "aria-current": on ? "true" : null }, text, count !== undefined && h("span", { class: "count" }, ` ${number(count)}`));
}

/** @param {string} text @param {URLSearchParams} query @param {readonly string[]} statuses @param {boolean} on @param {number | null} [count] */
function chip(text, query, statuses, on, count) {
  const search = new URLSearchParams(query);
  search.delete("status");
  search.delete("page");
  for (const status of statuses) search.append("status", status);
  return h("a", { class: "chip", href: `/console${search.size ? `?${search}` : ""}`, "aria-current": on ? "true" : null }, text, typeof count === "number" && h("span", { class: "count" }, ` ${number(count)}`));
}
