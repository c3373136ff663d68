/** Refunding: units of lines and the shipping cost, or an amount. */
import { get, send } from "./api.js";
import { h } from "./dom.js";
import { isZero, money } from "./format.js";
import { ask, field, reasonField, told } from "./ui.js";

/** @typedef {import("./main.js").View} View */
/** @typedef {{amount: string, currency: string}} Money */

/** @param {View} view @param {string} id */
export async function refund(view, id) {
  let left = /** @type {any} */ (null);
  await told(get(`/payments/${id}/refundable`, { signal: view.signal }).then((found) => (left = found)));
  if (!left) return;
  const lines = (left.lines ?? []).filter((/** @type {any} */ line) => line.refundable_quantity > 0);
  await ask(view, {
    title: "Refund", text: `At most ${money(left.refundable)} can go back to the customer. A refund cannot be taken back.`,
    fields: [lines.length > 0 && linesFields(lines, left.shipping), amountField(left.refundable, lines.length > 0), reasonField("The customer can read it.")],
    done: "Refund", danger: true,
    submit: (values) => send("POST", `/payments/${id}/refunds`, bodyOf(values, lines, left.refundable)),
  }, "The refund was requested.");
}

/** @param {any[]} lines @param {Money | null} shipping */
function linesFields(lines, shipping) {
  return h("fieldset", null, h("legend", null, "Units to refund"),
    h("div", { class: "lines" }, lines.map((line) => {
      const input = h("input", { name: `line-${line.line}`, id: `line-${line.line}`, type: "number", min: "0", max: String(line.refundable_quantity), value: "0" });
      return h("div", { class: "line" }, h("label", { for: `line-${line.line}` }, line.product_name, h("small", null, `${line.refundable_quantity} of ${line.quantity}, ${money(line.refundable)}`)), input);
    })),
    !isZero(shipping) && h("label", { class: "check" }, h("input", { type: "checkbox", name: "shipping", value: "true" }), `The shipping cost, ${money(shipping)}`),
    h("label", { class: "check" }, h("input", { type: "checkbox", name: "restock", value: "true" }), "The units can be sold again"));
}

/** @param {Money} most @param {boolean} optional */
function amountField(most, optional) {
  const input = h("input", { name: "amount", required: !optional, inputmode: "decimal", pattern: "[0-9]+([.][0-9]+)?", title: "Digits with a point, such as 2.50", value: optional ? "" : most.amount, placeholder: most.amount, autocomplete: "off" });
  return field(`${optional ? "Or an amount" : "Amount"} in ${most.currency}`, input);
}

/** @param {Record<string, string>} values @param {any[]} lines @param {Money} most */
function bodyOf(values, lines, most) {
  const chosen = lines.map((line) => ({ line: line.line, quantity: Number(values[`line-${line.line}`]) })).filter((line) => line.quantity > 0);
  const parts = chosen.length > 0 || values.shipping === "true";
  if (parts && values.amount) throw new Error("Choose units and the shipping cost, or an amount, not both.");
  if (!parts && !values.amount) throw new Error("Choose what to refund: units, the shipping cost, or an amount.");
  const { reason } = values;
  if (values.amount) return { amount: { amount: values.amount, currency: most.currency }, reason };
  return { reason, ...(chosen.length ? { lines: chosen, restock: values.restock === "true" } : {}), ...(values.shipping === "true" ? { shipping: true } : {}) };
}
