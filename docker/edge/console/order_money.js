/** The money of an order as a ledger: what was held, taken and given back. */
import { h } from "./dom.js";
import { less, money, time, words } from "./format.js";
import { badge, facts, nothing, panel, table, unread, unreadPanel } from "./ui.js";

/** @param {any} payment @param {any} order */
export function ledger(payment, order) {
  if (unread(payment)) return unreadPanel("Money", payment);
  if (!payment || payment.status === "none") return panel("Money", nothing("Nothing was held or taken."));
  const rows = entries(payment, order);
  return panel("Money",
    facts(["Status", badge(payment.status)], ["Transaction", payment.transaction_id && h("code", null, payment.transaction_id)], ["Capture by", payment.capture_by && time(payment.capture_by)],
      ["Dispute", payment.dispute && badge("disputed", words(payment.dispute))], ["Reason", payment.reason]),
    rows.length ? table("Ledger of the payment", COLUMNS, rows, { compact: true, foot: balance(payment) }) : null);
}

/** @type {import("./ui.js").Column[]} */
const COLUMNS = [
  { name: "Entry", wide: true, cell: (row) => [row.text, row.status && [" ", badge(row.status)], row.more && h("small", null, row.more)] },
  { name: "Amount", right: true, cell: (row) => `${row.sign}${money(row.amount)}` },
];

/** @param {any} payment @param {any} order */
function entries(payment, order) {
  if (!payment.amount) return [];
  const captured = !["authorized", "declined", "voided"].includes(payment.status);
  const said = (/** @type {string} */ type) => order.timeline.find((/** @type {any} */ entry) => entry.type === `zerocart.payments.payment.${type}.v1`);
  const at = (/** @type {string} */ type) => said(type) && time(said(type).time);
  return [
    payment.status !== "declined" && { text: "Held on the card", sign: "", amount: payment.amount, more: at("authorized") },
    payment.status === "declined" && { text: "Declined by the provider", sign: "", amount: payment.amount, more: at("declined") },
    payment.status === "voided" && { text: "Hold released", sign: "−", amount: payment.amount, more: at("voided") },
    captured && { text: "Taken", sign: "", amount: payment.amount, more: at("captured") },
    ...(payment.refunds ?? []).map((/** @type {any} */ refund) => ({
      text: "Refund", status: refund.status, sign: ["refused", "failed"].includes(refund.status) ? "" : "−", amount: refund.amount,
      more: [refund.reason, refund.error].filter(Boolean).join(" · "),
    })),
  ].filter(Boolean);
}

/** @param {any} payment */
function balance(payment) {
  if (["authorized", "declined", "voided"].includes(payment.status)) return [];
  const row = (/** @type {string} */ name, /** @type {any} */ amount) =>
    h("tr", { role: "row" }, h("th", { role: "rowheader", scope: "row" }, name), h("td", { role: "cell", class: "right", "data-name": name }, money(amount)));
  return [row("Balance", less(payment.amount, payment.refunded)), payment.refundable && row("Can be refunded", payment.refundable)];
}
