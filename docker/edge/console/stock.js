/** Stock levels: find them, count them, adjust them. */
import { get, send } from "./api.js";
import { h } from "./dom.js";
import { number, time } from "./format.js";
import { action, ask, badge, failure, field, heading, link, nothing, pager, reasonField, table, valuesOf } from "./ui.js";

/** @typedef {import("./main.js").View} View */

const LEVEL_MAX = "1000000000";

/** @param {View} view */
export async function open(view) {
  const head = heading("Stock", null, action("Count a product …", () => count(view, null), { scope: "stock:write" }));
  const shown = (/** @type {import("./dom.js").Child} */ content) => view.show(head, filters(view), h("div", { class: "results", key: "results" }, content));
  try {
    const found = await get("/stock", { query: view.query, signal: view.signal });
    shown(found.stock.length ? [table("Stock levels", columns(view), found.stock, { key: (level) => level.product_id }), pager(view.query, found, "/stock", "product")] : nothing(view.query.size ? "No stock level matches." : "No product was counted yet."));
  } catch (error) {
    view.signal.throwIfAborted();
    shown([failure(error, view.again), view.query.size > 0 && h("p", null, link("/stock", "Show all stock levels"))]);
  }
}

/** @param {View} view @returns {import("./ui.js").Column[]} */
function columns(view) {
  return [
    { name: "Product", wide: true, cell: (level) => [link(`/products/${encodeURIComponent(level.product_id)}`, level.product_id), level.product_name && h("small", null, level.product_name)] },
    { name: "State", cell: state },
    { name: "Available", right: true, cell: (level) => number(level.available) },
    { name: "On hand", right: true, cell: (level) => number(level.on_hand) },
    { name: "Reserved", right: true, cell: (level) => number(level.reserved) },
    { name: "Changed", cell: (level) => time(level.updated_at) },
    { name: "Actions", right: true, cell: (level) => h("div", { class: "buttons end" },
      action("Adjust …", () => adjust(view, level), { scope: "stock:write", about: level.product_id }), action("Count …", () => count(view, level), { scope: "stock:write", about: level.product_id })) },
  ];
}

/** @param {any} level */
function state(level) {
  if (level.available <= 0) return badge("out", "Out of stock");
  return level.available < level.low_below ? badge("low", "Low") : badge("active", "In stock");
}

/** @param {View} view */
function filters(view) {
  const low = view.query.get("low_stock") === "true";
  /** @param {Event} event */
  const change = (event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (/** @type {HTMLElement} */ (event.target).closest("form"));
    const search = new URLSearchParams(Object.entries(valuesOf(form)).filter(([, value]) => value));
    view.go(`/stock${search.size ? `?${search}` : ""}`);
  };
  return h("form", { class: "filters", role: "search", key: "filters", on: { submit: change } },
    h("div", { class: "search short" },
      h("label", { for: "q", class: "unseen" }, "Search"),
      h("input", { id: "q", name: "q", type: "search", placeholder: "Product id or name", value: view.query.get("q") ?? "", autocomplete: "off" }),
      h("button", { class: "primary" }, "Search")),
    h("label", { class: "check" }, h("input", { type: "checkbox", name: "low_stock", value: "true", checked: low, on: { change } }), "Only what is low"));
}

/** @param {View} view @param {any} level the level as it is; null for a product that the person names */
function count(view, level) {
  return ask(view, {
    title: level ? `Count ${level.product_id}` : "Count a product", text: "The number of units on the shelf, as counted. Reservations stay.",
    fields: [
      level ? null : field("Product id", h("input", { name: "product_id", required: true, maxlength: "64", autocomplete: "off" })),
      level ? null : field("Name", h("input", { name: "product_name", maxlength: "200", autocomplete: "off" })),
      field("On hand", h("input", { name: "on_hand", type: "number", min: "0", max: LEVEL_MAX, required: true, value: level?.on_hand ?? "" })),
      field("Low below", h("input", { name: "low_below", type: "number", min: "0", max: LEVEL_MAX, value: level?.low_below ?? "0" }), "The list marks the product while fewer are available."),
      field("Reason", h("input", { name: "reason", maxlength: "200", autocomplete: "off" })),
    ],
    done: "Record the count",
    submit: ({ product_id = level?.product_id, product_name = level?.product_name, on_hand, low_below, reason }) =>
      send("PUT", `/stock/${encodeURIComponent(product_id)}`, { on_hand: Number(on_hand), low_below: Number(low_below), ...(product_name ? { product_name } : {}), ...(reason ? { reason } : {}) }),
  }, "The count is recorded.");
}

/** @param {View} view @param {any} level */
function adjust(view, level) {
  return ask(view, {
    title: `Adjust ${level.product_id}`, text: `${number(level.on_hand)} on hand, ${number(level.available)} of them available.`,
    fields: [
      field("Change", h("input", { name: "delta", type: "number", required: true, autocomplete: "off" }), "Units to add; a negative number takes units away."),
      reasonField(),
    ],
    done: "Adjust",
    submit: ({ delta, reason }) => send("POST", `/stock/${encodeURIComponent(level.product_id)}/adjustments`, { delta: Number(delta), reason }),
  }, "The stock is adjusted.");
}
