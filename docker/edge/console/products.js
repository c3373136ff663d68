/** The catalogue: its products, and one product with its prices, stock and past prices. */
import { find, get, send } from "./api.js";
import { h } from "./dom.js";
import { money, number, time, words } from "./format.js";
import { may } from "./session.js";
import { action, ask, badge, facts, failure, field, heading, link, nothing, pager, panel, select, table, valuesOf } from "./ui.js";

/** @typedef {import("./main.js").View} View */

const PRICES_TEXT = "One price a line: amount and currency, then from and until if they have limits.";

/** @param {View} view */
export async function open(view) {
  const head = heading("Products", null, action("New product …", () => edit(view, null), { scope: "catalogue:write" }));
  const shown = (/** @type {import("./dom.js").Child} */ content) => view.show(head, filters(view), h("div", { class: "results", key: "results" }, content));
  try {
    const found = await get("/products", { query: view.query, signal: view.signal });
    shown(found.products.length ? [table("Products", COLUMNS, found.products, { key: (product) => product.sku }), pager(view.query, found, "/products", "product")] : nothing(view.query.size ? "No product matches." : "There is no product yet."));
  } catch (error) {
    view.signal.throwIfAborted();
    shown([failure(error, view.again), view.query.size > 0 && h("p", null, link("/products", "Show all products"))]);
  }
}

/** @type {import("./ui.js").Column[]} */
const COLUMNS = [
  { name: "Sku", cell: (product) => link(`/products/${encodeURIComponent(product.sku)}`, product.sku) },
  { name: "Name", wide: true, cell: (product) => product.name },
  { name: "State", cell: state },
  { name: "Prices", right: true, cell: (product) => product.prices.slice(0, 3).map((/** @type {any} */ price) => h("div", null, money(price))) },
  { name: "Changed", cell: (product) => time(product.updated_at) },
];

/** @param {any} product */
function state(product) {
  if (product.withdrawn) return badge("calm", "Withdrawn");
  return product.active ? badge("active", "On sale") : badge("inactive", "Not on sale");
}

/** @param {View} view */
function filters(view) {
  /** @param {Event} event */
  const change = (event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (/** @type {HTMLElement} */ (event.target).closest("form"));
    const { q = "", show = "" } = valuesOf(form);
    const search = new URLSearchParams();
    if (q) search.set("q", q);
    if (show === "withdrawn") search.set("withdrawn", "true");
    else if (show) search.set("active", show);
    view.go(`/products${search.size ? `?${search}` : ""}`);
  };
  const shown = view.query.get("withdrawn") ? "withdrawn" : (view.query.get("active") ?? "");
  return h("form", { class: "filters", role: "search", key: "filters", on: { submit: change } },
    h("div", { class: may("catalogue:write") ? "search" : "search short" },
      h("label", { for: "q", class: "unseen" }, "Search"),
      h("input", { id: "q", name: "q", type: "search", placeholder: "Name, sku or description", value: view.query.get("q") ?? "", autocomplete: "off" }),
      may("catalogue:write") && [h("label", { for: "sort", class: "unseen" }, "Show"),
        select({ id: "sort", name: "show", value: shown, on: { change } }, [["", "All but withdrawn"], ["true", "On sale"], ["false", "Not on sale"], ["withdrawn", "Withdrawn"]])],
      h("button", { class: "primary" }, "Search")));
}

/** @param {View} view */
export async function openOne(view) {
  const path = view.params.sku ?? "";
  const sku = decodeURIComponent(path);
  const { signal } = view;
  const part = (/** @type {string} */ scope, /** @type {string} */ where) => (may(scope) ? find(where, { signal }).catch((error) => ({ error })) : null);
  const [product, stock, past] = await Promise.all([find(`/products/${path}`, { signal }), part("stock:read", `/stock/${path}`), part("catalogue:write", `/price-changes/${path}`)]);
  view.title(`Product ${sku}`);
  if (!product) return view.show(heading(sku), nothing("The catalogue has no product with this sku. Imported orders can have such products."));
  view.show(
    heading(product.name, h("p", { class: "beside" }, state(product), h("code", null, product.sku)),
      action("Edit …", () => edit(view, product), { scope: "catalogue:write" }),
      action("Withdraw …", () => withdraw(view, product), { scope: "catalogue:write", danger: true, disabled: product.withdrawn && "The product is withdrawn already." })),
    h("div", { class: "columns" },
      h("div", null, prices(product.prices), past && !past.error ? changes(past) : null),
      h("div", null, details(product), level(stock))));
}

/** @type {import("./ui.js").Column[]} */
const PRICE_COLUMNS = [
  { name: "Price", cell: (price) => h("strong", null, money(price)) },
  { name: "Instead of", cell: (price) => (price.compare_at ? h("s", null, money({ ...price, amount: price.compare_at })) : "–") },
  { name: "From", cell: (price) => (price.valid_from ? time(price.valid_from) : "always") },
  { name: "Until", cell: (price) => (price.valid_until ? time(price.valid_until) : "no end") },
];

/** @param {any[]} found */
function prices(found) {
  return panel("Prices", found.length ? table("Prices of the product", PRICE_COLUMNS, found) : nothing("The product has no price."));
}

/** @param {any} past */
function changes(past) {
  if (past.changes.length < 2) return null;
  return panel("Past prices", h("ol", { class: "timeline" }, past.changes.map((/** @type {any} */ change) =>
    h("li", null, change.prices.map((/** @type {any} */ price) => money(price)).join(", ") || "no price", h("small", null, time(change.changed_at))))));
}

/** @param {any} product */
function details(product) {
  return panel("Product", facts(["Description", product.description], ["Tax class", words(product.tax_class)], ["Weight", product.weight_grams === null ? null : `${number(product.weight_grams)} g`],
    ["Backorder", words(product.backorder)], ["Defined", time(product.created_at)], ["Changed", time(product.updated_at)],
    ["Orders", link(`?product_id=${encodeURIComponent(product.sku)}`, "Orders with this product")]));
}

/** @param {any} stock */
function level(stock) {
  if (!stock || stock.error) return null;
  return panel("Stock", facts(["Available", number(stock.available)], ["On hand", number(stock.on_hand)], ["Reserved", number(stock.reserved)], ["Counted", link(`/stock?q=${encodeURIComponent(stock.product_id)}`, "Adjust or count")]));
}

/** @param {any} price */
function priceLine(price) {
  const limits = price.valid_from || price.valid_until ? ` ${price.valid_from ?? "-"}${price.valid_until ? ` ${price.valid_until}` : ""}` : "";
  return `${price.amount} ${price.currency}${limits}`;
}

/** @param {string} text @param {readonly any[]} before */
function pricesOf(text, before) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
    const [amount, currency, from, until] = line.split(/\s+/);
    const old = before.find((price) => price.amount === amount && price.currency === currency);
    return { amount, currency, ...(from && from !== "-" ? { valid_from: from } : {}), ...(until ? { valid_until: until } : {}), ...(old?.compare_at ? { compare_at: old.compare_at } : {}) };
  });
}

/** @param {View} view @param {any} product null for a new one */
function edit(view, product) {
  const before = product?.prices ?? [];
  let sku = product?.sku;
  const done = () => (product ? view.again() : view.go(`/products/${encodeURIComponent(sku)}`));
  return ask(view, {
    title: product ? `Edit ${product.sku}` : "New product",
    fields: [
      product ? null : field("Sku", h("input", { name: "sku", required: true, maxlength: "64", autocomplete: "off" })),
      field("Name", h("input", { name: "name", required: true, maxlength: "200", value: product?.name ?? "", autocomplete: "off" })),
      field("Description", h("textarea", { name: "description", rows: "3" }, product?.description ?? "")),
      field("Prices", h("textarea", { name: "prices", rows: "3", placeholder: "4.50 GBP" }, before.map(priceLine).join("\n")), PRICES_TEXT),
      h("label", { class: "check" }, h("input", { type: "checkbox", name: "active", value: "true", checked: product?.active ?? true }), "On sale"),
    ],
    done: "Save",
    submit: ({ name, description, prices: text = "", active, ...values }) => {
      sku = product?.sku ?? values.sku;
      const body = { name, description: description || null, active: active === "true", prices: pricesOf(text, before) };
      const headers = product ? { "If-Match": `"${product.version}"` } : undefined;
      return send(product ? "PATCH" : "PUT", `/products/${encodeURIComponent(sku)}`, body, headers ? { headers } : {});
    },
  }, "The product is saved.", done);
}

/** @param {View} view @param {any} product */
function withdraw(view, product) {
  return ask(view, {
    title: `Withdraw ${product.name}?`, text: "Nobody can order it any more. Orders that have it stay as they are.", done: "Withdraw", danger: true,
    submit: () => send("DELETE", `/products/${encodeURIComponent(product.sku)}`),
  }, "The product is withdrawn.");
}
