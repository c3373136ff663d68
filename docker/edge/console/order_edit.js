/** Editing the lines of a placed order: choose, look at the new totals, then carry it out. */
import { get, send } from "./api.js";
import { h } from "./dom.js";
import { isZero, money } from "./format.js";
import { dialog, field, note, notify, reasonField, table } from "./ui.js";

/** @typedef {import("./main.js").View} View */
/** @typedef {Record<string, string>} Values */

const FOUND_MAX = 10;
const QUANTITY_MAX = "1000000";

/** @param {View} view @param {any} order */
export async function edit(view, order) {
  let values = /** @type {Values} */ ({});
  let outdated = false;
  for (;;) {
    let body = /** @type {any} */ (null);
    let preview = /** @type {any} */ (null);
    const chosen = await dialog({
      title: "Edit the order", text: "Lines that stay keep their prices; added ones have those of the catalogue. Next you see the new totals.", wide: true, done: "Preview",
      fields: [linesFields(order, values), addedFields(values), reasonField("The customer can read it.", values.reason)],
      submit: async (given) => {
        values = given;
        body = bodyOf(order, given);
        outdated = !(await hasLinesOf(order));
        if (outdated) throw new Error("Somebody has changed the lines of this order meanwhile. Go back, look at them, and edit them again.");
        preview = await send("POST", `/orders/${order.order_id}/edits/preview`, body);
      },
    });
    if (!chosen) return outdated ? view.again() : undefined;
    if (await confirmed(view, order, body, preview)) return;
  }
}

/** Whether the lines are still those that the form shows: their numbers change with an edit. @param {any} order */
async function hasLinesOf(order) {
  const told = (/** @type {any} */ { items }) => JSON.stringify(items.map((/** @type {any} */ line) => [line.line, line.product_id, line.quantity]));
  return told(await get(`/orders/${order.order_id}`)) === told(order);
}

/** @param {View} view @param {any} order @param {any} body @param {any} preview */
async function confirmed(view, order, body, preview) {
  let done = /** @type {any} */ (null);
  const carriedOut = await dialog({
    title: "Carry out this edit?", wide: true, done: "Carry out", fields: [outcome(preview), table("Lines after the edit", LINE_COLUMNS, preview.lines, { compact: true }), totals(preview)],
    submit: async () => { done = await send("POST", `/orders/${order.order_id}/edits`, { ...body, expected_difference: preview.difference }); },
  });
  if (!carriedOut) return false;
  notify(done.status === "done" ? "The order is changed." : "The edit has started: the timeline shows how it ends.");
  view.again();
  return true;
}

/** @param {any} preview */
function outcome({ difference }) {
  if (isZero(difference)) return note("calm", h("p", null, "The total stays the same."));
  const less = difference.amount.startsWith("-");
  const amount = money(less ? { ...difference, amount: difference.amount.slice(1) } : difference);
  return note(less ? "calm" : "warn", h("p", null, less ? `The order costs ${amount} less. If the customer has paid, this amount is refunded.` : `The order costs ${amount} more.`));
}

/** @type {import("./ui.js").Column[]} */
const LINE_COLUMNS = [
  { name: "Product", wide: true, cell: (line) => [line.product_name, h("small", null, line.product_id)] },
  { name: "Quantity", right: true, cell: (line) => line.quantity },
  { name: "Total", right: true, cell: (line) => money(line.total ?? line.subtotal) },
];
/** @type {readonly [string, string][]} */
const AMOUNTS = [["Subtotal", "subtotal"], ["Discounts", "discount_total"], ["Shipping", "shipping_total"], ["Tax", "tax_total"], ["Total", "total"]];

/** @param {any} preview */
function totals({ before, after }) {
  const rows = AMOUNTS.filter(([, name]) => name === "total" || !isZero(before[name]) || !isZero(after[name]));
  return table("Totals before and after the edit", [
    { name: "Amount", wide: true, cell: ([text]) => text },
    { name: "Before", right: true, cell: ([, name]) => money(before[name]) },
    { name: "After", right: true, cell: ([, name]) => h("strong", null, money(after[name])) },
  ], rows, { compact: true });
}

/** @param {any} order @param {Values} values */
function linesFields(order, values) {
  return h("fieldset", null, h("legend", null, "Quantities"),
    h("div", { class: "lines" }, order.items.map((/** @type {any} */ line) => {
      const id = `line-${line.line}`;
      const input = h("input", { name: id, id, type: "number", min: "0", max: QUANTITY_MAX, required: true, value: values[id] ?? String(line.quantity) });
      return h("div", { class: "line" }, h("label", { for: id }, line.product_name, h("small", null, `${line.product_id}, ${money(line.unit_price)} each; 0 removes the line`)), input);
    })));
}

/** @param {Values} values */
function addedFields(values) {
  const kept = Object.keys(values).filter((name) => name.startsWith("added-") && values[name]).length;
  const rows = h("div", { class: "lines" }, Array.from({ length: Math.max(1, kept) }, (_, index) => addedRow(index, values)));
  const more = () => rows.append(addedRow(rows.children.length, {}));
  return h("fieldset", null, h("legend", null, "Add products"), h("datalist", { id: "found" }), rows, h("button", { type: "button", on: { click: more } }, "Another product"));
}

/** @param {number} index @param {Values} values */
function addedRow(index, values) {
  const input = h("input", { name: `added-${index}`, id: `added-${index}`, list: "found", maxlength: "64", autocomplete: "off", value: values[`added-${index}`] ?? "", on: { input: suggest } });
  const quantity = h("input", { name: `units-${index}`, id: `units-${index}`, type: "number", min: "1", max: QUANTITY_MAX, value: values[`units-${index}`] ?? "1" });
  return h("div", { class: "line" }, field(`Product id ${index + 1}`, input), field(`Units ${index + 1}`, quantity));
}

/** Offer the products that match what was typed. @param {any} event */
async function suggest({ target }) {
  const q = target.value.trim();
  if (q.length < 2) return;
  const found = await get("/products", { query: { q, page_size: FOUND_MAX } }).catch(() => ({ products: [] }));
  if (target.value.trim() !== q) return;
  document.getElementById("found")?.replaceChildren(...found.products.map((/** @type {any} */ product) => h("option", { value: product.sku }, product.name)));
}

/** @param {any} order @param {Values} values */
function bodyOf(order, values) {
  const changed = order.items
    .map((/** @type {any} */ line) => ({ line: line.line, quantity: Number(values[`line-${line.line}`]) }))
    .filter((/** @type {any} */ line, /** @type {number} */ index) => line.quantity !== order.items[index].quantity);
  const added = Object.entries(values)
    .filter(([name, value]) => name.startsWith("added-") && value)
    .map(([name, value]) => ({ product_id: value, quantity: Number(values[name.replace("added", "units")]) }));
  if (!changed.length && !added.length) throw new Error("Change a quantity or add a product.");
  return { lines: [...changed, ...added], reason: values.reason };
}
