/** What staff can do with an order; each is a request of the public interface. */
import { download, send } from "./api.js";
import { h } from "./dom.js";
import { isZero, money } from "./format.js";
import { edit } from "./order_edit.js";
import { refund } from "./refund.js";
import { action, ask, field, panel, reasonField, select, told } from "./ui.js";

/** @typedef {import("./main.js").View} View */

const EDITABLE = new Set(["pending", "on_hold", "processing", "confirmed"]);
const CANCELLABLE = new Set(["draft", "pending", "on_hold", "processing", "confirmed"]);

/** @param {View} view @param {import("./order.js").Parts} parts */
export function actions(view, { order, payment, shipment, run }) {
  const id = order.order_id;
  const refundable = payment?.refundable;
  const byHand = payment?.capture_by;
  return [
    action("Add a note …", () => addNote(view, id), { scope: "orders:admin" }),
    EDITABLE.has(order.status) && !order.source && action("Edit …", () => edit(view, order), { scope: "orders:admin" }),
    ["pending", "processing"].includes(order.status) && !order.source && !byHand && action("Hold …", () => hold(view, id), { scope: "orders:admin" }),
    order.status === "on_hold" && action("Release …", () => release(view, id), { scope: "orders:admin", primary: true }),
    byHand && action("Capture …", () => capture(view, id, payment), { scope: "payments:write", primary: true }),
    byHand && action("Void …", () => voidPayment(view, id), { scope: "payments:write", danger: true }),
    refundable && action("Refund …", () => refund(view, id), { scope: "payments:write", disabled: isZero(refundable) && "Nothing is left to refund." }),
    shipment?.status && ["created", "dispatched"].includes(shipment.status) && action("Tracking …", () => track(view, id, shipment), { scope: "shipments:write" }),
    action("Cancel the order …", () => cancel(view, id), { scope: "orders:write", danger: true, disabled: whyNotCancelled(order, run) }),
  ];
}

/** The documents of an order, to save. @param {any} order */
export function documents(order) {
  const name = order.number ?? order.order_id;
  const disabled = order.status === "draft" && "A draft has no documents.";
  return panel("Documents", h("div", { class: "buttons" },
    action("Invoice", () => save(`/orders/${order.order_id}/invoice`, `invoice-${name}.pdf`), { scope: "orders:read", disabled }),
    action("Packing slip", () => save(`/orders/${order.order_id}/packing-slip`, `packing-slip-${name}.pdf`), { scope: "orders:read", disabled })));
}

/** @param {string} path @param {string} name */
function save(path, name) {
  return told(download(path, name));
}

/** @param {any} order @param {any} run */
function whyNotCancelled(order, run) {
  if (order.source) return "The order was imported: another system fulfilled it.";
  if (run?.status === "stuck") return "Fulfillment is stuck: resume it first.";
  if (CANCELLABLE.has(order.status)) return null;
  return `An order that is ${order.status} cannot be cancelled.`;
}

/** @param {View} view @param {string} id */
function cancel(view, id) {
  return ask(view, {
    title: "Cancel the order?", text: "What was done is undone: goods go back, money is given back. This cannot be taken back.",
    fields: reasonField("The customer can read it."), done: "Cancel the order", danger: true,
    submit: ({ reason }) => send("POST", `/orders/${id}/cancel`, { reason }),
  }, "The cancellation has started.");
}

/** @param {View} view @param {string} id */
function hold(view, id) {
  return ask(view, {
    title: "Put the order on hold?", text: "Nothing is charged before somebody releases it. After six days the authorization lapses and the order fails.",
    fields: reasonField("The customer can read it."), done: "Hold", submit: ({ reason }) => send("POST", `/orders/${id}/hold`, { reason }),
  }, "The order is on hold.");
}

/** @param {View} view @param {string} id */
function release(view, id) {
  return ask(view, {
    title: "Release the order?", text: "Fulfillment goes on, and the payment can be captured.",
    fields: field("Reason", h("input", { name: "reason", maxlength: "200", autocomplete: "off" }), "The customer can read it."), done: "Release",
    submit: ({ reason }) => send("POST", `/orders/${id}/release`, reason ? { reason } : {}),
  }, "The order is released.");
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
    title: "Void the payment?", text: "The money is not taken, and the order is undone.", fields: reasonField("The customer can read it."),
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

/** @param {Pick<View, "again">} view @param {string} id */
export function resume(view, id) {
  return ask(view, {
    title: "Resume fulfillment", text: "zerocart tries the step that could not be undone again, then goes on undoing the others. If the cause is still there, the run gets stuck again.",
    fields: field("Mended by", h("input", { name: "by", maxlength: "100", autocomplete: "name" }), "Who mended the cause. May stay empty."), done: "Resume",
    submit: ({ by }) => send("POST", `/fulfillments/${id}/resume`, by ? { by } : {}),
  }, "Resumed: the step is tried again.");
}
