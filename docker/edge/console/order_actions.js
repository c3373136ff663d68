/** What staff can do with an order; each is a request of the public interface. */
import { send } from "./api.js";
import { h } from "./dom.js";
import { isZero, money } from "./format.js";
import { action, dialog, field, notify, select } from "./ui.js";

/** @typedef {import("./main.js").View} View */

const CANCELLABLE = new Set(["draft", "pending", "processing", "confirmed"]);

/** @param {View} view @param {import("./order.js").Parts} parts */
export function actions(view, { order, payment, shipment, run }) {
  const id = order.order_id;
  const refundable = payment?.refundable;
  const byHand = payment?.capture_by;
  return [
    action("Add a note …", () => addNote(view, id), { scope: "orders:admin" }),
    byHand && action("Capture …", () => capture(view, id, payment), { scope: "payments:write", primary: true }),
    byHand && action("Void …", () => voidPayment(view, id), { scope: "payments:write", danger: true }),
    refundable && action("Refund …", () => refund(view, id, refundable), { scope: "payments:write", disabled: isZero(refundable) && "Nothing is left to refund." }),
    shipment?.status && ["created", "dispatched"].includes(shipment.status) && action("Tracking …", () => track(view, id, shipment), { scope: "shipments:write" }),
    action("Cancel the order …", () => cancel(view, id), { scope: "orders:write", danger: true, disabled: whyNotCancelled(order, run) }),
  ];
}

/** @param {any} order @param {any} run */
function whyNotCancelled(order, run) {
  if (order.source) return "The order was imported: another system fulfilled it.";
  if (CANCELLABLE.has(order.status) && run?.status !== "stuck") return null;
  return `An order that is ${order.status} cannot be cancelled.`;
}

/** @param {View} view @param {import("./ui.js").dialog extends (about: infer A) => any ? A : never} about @param {string} said */
async function ask(view, about, said) {
  if (!(await dialog(about))) return;
  notify(said);
  view.again();
}

/** @param {string} label @param {string} [hint] */
function reasonField(label = "Reason", hint) {
  return field(label, h("input", { name: "reason", required: true, maxlength: "200", autocomplete: "off" }), hint);
}

/** @param {View} view @param {string} id */
function cancel(view, id) {
  return ask(view, {
    title: "Cancel the order?", text: "What was done is undone: goods go back, money is given back. This cannot be taken back.",
    fields: reasonField("Reason", "The customer can read it."), done: "Cancel the order", danger: true,
    submit: ({ reason }) => send("POST", `/orders/${id}/cancel`, { reason }),
  }, "The cancellation has started.");
}

/** @param {View} view @param {string} id @param {any} refundable */
function refund(view, id, refundable) {
  return ask(view, {
    title: "Refund", text: `At most ${money(refundable)} can go back to the customer. A refund cannot be taken back.`,
    fields: [
      field(`Amount in ${refundable.currency}`, h("input", { name: "amount", required: true, inputmode: "decimal", pattern: "[0-9]+([.][0-9]+)?", value: refundable.amount, autocomplete: "off" })),
      reasonField("Reason", "The customer can read it."),
    ],
    done: "Refund", danger: true,
    submit: ({ amount, reason }) => send("POST", `/payments/${id}/refunds`, { amount: { amount, currency: refundable.currency }, reason }),
  }, "The refund was requested.");
}

/** @param {View} view @param {string} id @param {any} payment */
function capture(view, id, payment) {
  return ask(view, {
    title: "Capture the payment?", text: `${money(payment.amount)} is taken from the customer, and fulfillment goes on.`, done: "Capture",
    submit: () => send("POST", `/payments/${id}/capture`),
  }, "The capture was requested.");
}

/** @param {View} view @param {string} id */
function voidPayment(view, id) {
  return ask(view, {
    title: "Void the payment?", text: "The money is not taken, and the order is undone.", fields: reasonField("Reason", "The customer can read it."),
    done: "Void the payment", danger: true, submit: ({ reason }) => send("POST", `/payments/${id}/void`, { reason }),
  }, "The void was requested.");
}

/** @param {View} view @param {string} id @param {any} shipment */
function track(view, id, shipment) {
  const next = shipment.status === "created" ? ["dispatched", "delivered"] : ["delivered"];
  return ask(view, {
    title: "Record a tracking status", fields: field("Status", select({ name: "status", value: next[0] }, next)), done: "Record",
    submit: ({ status }) => send("POST", `/shipments/${id}/tracking`, { status }),
  }, "The tracking status was recorded.");
}

/** @param {View} view @param {string} id */
function addNote(view, id) {
  return ask(view, {
    title: "Add an internal note", text: "Only staff read it.", fields: field("Note", h("textarea", { name: "text", required: true, rows: "4", maxlength: "2000" })),
    done: "Add", submit: ({ text }) => send("POST", `/orders/${id}/notes`, { text }),
  }, "The note was added.");
}

/** @param {View} view @param {string} id */
export function resume(view, id) {
  return ask(view, {
    title: "Resume fulfillment", text: "The run goes on undoing its steps. Mend the cause first: it gets stuck again otherwise.",
    fields: field("Mended by", h("input", { name: "by", maxlength: "100", autocomplete: "name" })), done: "Resume",
    submit: ({ by }) => send("POST", `/fulfillments/${id}/resume`, by ? { by } : {}),
  }, "The run goes on.");
}
