/** One order: its lines, money, goods, parcels, mails and run, its actions, and its past. */
import { LoggedOut, find, get, pause } from "./api.js";
import { h } from "./dom.js";
import { shortType } from "./events.js";
import { country, isZero, money, number, time, words } from "./format.js";
import { actions, documents, resume } from "./order_actions.js";
import { ledger } from "./order_money.js";
import { past } from "./order_past.js";
import { swimlane } from "./swimlane.js";
import { may, session } from "./session.js";
import { action, badge, facts, failure, heading, link, note, nothing, panel, table, unread, unreadPanel } from "./ui.js";

/** @typedef {import("./main.js").View} View */
/** @typedef {{order: any, now: any, run: any, payment: any, shipment: any, mails: any, failed: string[], who: string | undefined}} Parts */

const LOOK_AGAIN_MS = 1_000;
const LOOK_AGAIN_TIMES = 90;
/** Failed messages are read with every tenth look: they wake another service. */
const FAILED_EVERY = 10;
const MOVING = new Set(["pending", "processing", "cancelling"]);

const EDITS = /^zerocart\.orders\.order\.(edit_requested|edit_refused|edited)\./;

/** @param {View} view */
export async function open(view) {
  const id = view.params.id ?? "";
  let parts = /** @type {Parts | null} */ (null);
  for (let times = 0; times < LOOK_AGAIN_TIMES; times++) {
    try {
      parts = await read(id, view, times);
    } catch (error) {
      if (!parts || view.signal.aborted || error instanceof LoggedOut) throw error;
      return view.show(failure(error, view.again), page(view, parts)); // what is known stays
    }
    view.title(`Order ${parts.order.number ?? id}`);
    view.show(page(view, parts));
    if (view.query.has("at") || !moving(parts)) return;
    await pause(LOOK_AGAIN_MS, view.signal);
  }
  if (parts) view.show(note("warn", h("p", null, "The order still moves, but this page does not follow it any more."), h("button", { type: "button", on: { click: view.again } }, "Look again")), page(view, parts));
}

/** Whether something is still done for the order, so that the page looks again; what waits for staff is not. @param {Parts} parts */
function moving({ now, run, payment }) {
  if (run?.status === "stuck" || payment?.capture_by) return false;
  const refunding = (payment?.refunds ?? []).some((/** @type {any} */ refund) => refund.status === "requested");
  const edits = now.timeline.filter((/** @type {any} */ entry) => EDITS.test(entry.type));
  const editing = edits.at(-1)?.type.includes("edit_requested");
  return MOVING.has(now.status) || editing || ["started", "compensating"].includes(run?.status) || refunding;
}

/** The order at once; the rest as each service answers. @param {string} id @param {View} view @param {number} times how often it was read before @returns {Promise<Parts>} */
async function read(id, view, times) {
  const at = view.query.get("at");
  const { signal } = view;
  const part = (/** @type {string} */ scope, /** @type {string} */ path, /** @type {any} */ query = {}) =>
    may(scope) ? find(path, { query, signal }).catch((error) => ({ error })) : null;
  const order = at ? get(`/orders/${id}`, { query: { at }, signal }) : null;
  const [now, then] = await Promise.all([get(`/orders/${id}`, { signal }), order]);
  const both = { now, order: then ?? now, who: session()?.who };
  const before = kept?.now.order_id === id && kept.who === session()?.who ? kept : { run: LOADING, payment: LOADING, shipment: LOADING, mails: LOADING, failed: [] };
  if (times === 0) view.show(page(view, { ...before, ...both }));
  const [run, payment, shipment, mails, failed] = await Promise.all([
    part("fulfillments:read", `/fulfillments/${id}`), part("payments:read", `/payments/${id}`),
    part("shipments:read", `/shipments/${id}`), part("orders:admin", "/notifications", { order_id: id }),
    !MOVING.has(now.status) && !now.stuck_since ? [] : times % FAILED_EVERY === 0 ? failedMessages(id, signal) : before.failed,
  ]);
  return (kept = { ...both, run, payment, shipment, mails, failed });
}

/** What failed of the messages that move an order on, in words; an error only leaves them out. @param {string} id @param {AbortSignal} signal @returns {Promise<string[]>} */
async function failedMessages(id, signal) {
  if (!may("operations:read")) return [];
  const read = (/** @type {string} */ path) => get(path, { query: { order_id: id }, signal }).catch(() => ({}));
  const [letters, parked] = await Promise.all([read("/dead-letters"), read("/operations/parked")]);
  return [
    ...(letters.dead_letters ?? []).map((/** @type {any} */ each) => `${each.service || each.destination} did not accept ${shortType(each.type)}. ${each.error_data}`),
    ...(parked.parked ?? []).map((/** @type {any} */ each) => `${each.service} could not handle ${shortType(each.type)}. ${each.last_error}`),
  ];
}

/** What was shown last, until the services answer anew. @type {Parts | null} */
let kept = null;

const LOADING = { loading: true };

/** @param {View} view @param {Parts} parts */
function page(view, parts) {
  const { order, now, run } = parts;
  const then = view.query.get("at");
  return h("article", { class: "order", key: order.order_id },
    heading(`Order ${order.number ?? order.order_id}`,
      h("p", { class: "beside" }, badge(order.status), h("strong", { class: "amount" }, money(order.total)), h("span", { class: "muted" }, "placed ", time(order.created_at))),
      then ? null : actions(view, parts)),
    past(view, now),
    run?.status === "stuck" && !then ? stuck(view, parts) : order.reason && note("warn", h("p", null, h("strong", null, `${words(order.status)}: `), order.reason)),
    !then && parts.failed.length > 0 && note("bad", parts.failed.map((text) => h("p", null, text)), h("p", null, link("/failed", "Failed messages"), " replays them.")),
    !then && run && run.status !== "completed" && swimlane(run, order.order_id),
    h("div", { class: "columns", key: "columns" },
      h("div", null, lines(view, order), timeline(order)),
      h("div", null, people(order), then ? null : [may("payments:read") && ledger(parts.payment, order), goods(parts), parcels(parts.shipment, order), may("orders:admin") && mails(parts.mails), documents(order), notes(order)])),
    !then && run?.status === "completed" && swimlane(run, order.order_id));
}

/** @param {View} view @param {Parts} parts */
function stuck(view, { order, run }) {
  const failed = run.steps.map((/** @type {any} */ step) => ({ name: words(step.name).toLowerCase(), ...(step.compensation ?? step) })).find((/** @type {any} */ work) => work.status === "refused");
  const why = failed ? `Step “${failed.name}” cannot be undone: ${failed.error ?? failed.error_code}.` : (run.error ?? "An undo could not be finished.");
  return note("bad", h("p", null, h("strong", null, "Fulfillment is stuck. "), why, " Resume when the cause is mended."),
    action("Resume …", () => resume({ again: () => anew(view) }, order.order_id), { scope: "fulfillments:write", primary: true }));
}

/** Show the order again, and nothing of the run before the service has answered. @param {View} view */
function anew(view) {
  kept = null;
  view.again();
}

const LINES_SHOWN = 10;

/** @param {View} view @param {any} order */
function lines(view, order) {
  const all = view.query.has("lines") || order.items.length <= LINES_SHOWN + 2;
  const shown = all ? order.items : order.items.slice(0, LINES_SHOWN);
  const more = () => {
    const query = new URLSearchParams(view.query);
    query.set("lines", "all");
    return link(`/orders/${order.order_id}?${query}`, `Show all ${order.items.length} lines`);
  };
  return panel("Lines", table("Lines of the order", LINE_COLUMNS, shown, { key: (line) => String(line.line), compact: true, foot: totals(order, all ? null : more()) }));
}

/** @type {import("./ui.js").Column[]} */
const LINE_COLUMNS = [
  { name: "Product", wide: true, cell: (line) => [line.product_name, h("small", null, link(`/products/${encodeURIComponent(line.product_id)}`, line.product_id))] },
  { name: "Quantity", right: true, cell: (line) => [number(line.quantity), h("small", null, `× ${money(line.unit_price)}`)] },
  { name: "Total", right: true, cell: (line) => [money(line.total ?? line.subtotal), isZero(line.discount) ? null : h("small", null, `after ${money(line.discount)} off`)] },
];

/** @param {any} order @param {import("./dom.js").Child} more */
function totals(order, more) {
  const rows = /** @type {[string, any][]} */ ([
    ["Subtotal", order.subtotal], ["Discounts", order.discount_total], ["Shipping", order.shipping_total],
    [order.tax_included ? "Tax, included" : "Tax", order.tax_total], ["Total", order.total],
  ]).filter(([name, amount]) => amount && (name === "Total" || !isZero(amount)));
  return [
    more && h("tr", { role: "row" }, h("td", { role: "cell", colspan: "3", class: "left" }, more)),
    rows.map(([name, amount]) => h("tr", { role: "row", class: name === "Total" ? "sum" : null },
      h("th", { role: "rowheader", scope: "row", colspan: "2" }, name), h("td", { role: "cell", class: "right", "data-name": name }, money(amount)))),
  ];
}

/** @param {any} order */
function timeline(order) {
  const entries = [...order.timeline].reverse();
  return panel("Timeline", h("ol", { class: "timeline" }, entries.map((entry) =>
    h("li", { key: `${entry.time}${entry.type}` },
      h("p", null, sentence(entry.text), entry.why && h("span", { class: "muted" }, ` – ${entry.why}`)),
      h("small", null, time(entry.time, { exact: true }), ` · ${entry.who}`, entry.on_behalf_of && entry.on_behalf_of !== entry.who ? ` for ${entry.on_behalf_of}` : "")))));
}

/** @param {string} text */
function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {any} order */
function people(order) {
  const customer = order.customer_id ? link(`/customers/${encodeURIComponent(order.customer_id)}`, order.customer_name ?? order.customer_id) : order.customer_name;
  return panel("Customer", facts(
    ["Name", customer ?? "–"], ["E-mail", order.email], ["Account", order.customer_id ? null : "Guest"],
    ["Ship to", address(order.shipping_address)], ["Bill to", order.billing_address ? address(order.billing_address) : null],
    ["Their order number", order.purchase_order_number], ["Shipping method", order.shipping_method], ["Priority", words(order.priority)],
    ["Tags", order.tags?.join(", ")], ["Imported from", order.source]));
}

/** @param {any} found */
function address(found) {
  if (!found) return h("span", { class: "muted" }, "not known");
  const parts = [found.name, found.line1, found.line2, [found.postal_code, found.city].filter(Boolean).join(" "), found.region, country(found.country)];
  return h("address", null, parts.filter(Boolean).map((part) => h("span", null, part)));
}

/** The goods as the run's steps say. @param {Parts} parts */
function goods({ run, order }) {
  if (!run || run.loading || run.error instanceof Error) return null;
  const step = (/** @type {string} */ name) => run.steps?.find((/** @type {any} */ each) => each.name === name);
  const held = step("reserve_inventory");
  if (!held || held.status === "not_started") return null;
  const left = order.timeline.filter((/** @type {any} */ entry) => entry.service === "inventory");
  return panel("Goods", facts(
    ["Reservation", badge(held.status)], ["Held until", held.data?.expires_at && held.status !== "compensated" && run.status === "started" ? time(held.data.expires_at) : null],
    ["Given back", held.compensation ? badge(held.compensation.status) : null]),
    h("ul", { class: "plain small" }, left.map((/** @type {any} */ entry) => h("li", null, time(entry.time), ` ${entry.text}`))));
}

/** @param {any} shipment @param {any} order */
function parcels(shipment, order) {
  if (unread(shipment)) return unreadPanel("Parcels", shipment);
  if (!shipment) return order.tracking_number ? panel("Parcels", facts(["Tracking number", order.tracking_number])) : null;
  return panel("Parcels", facts(["Status", badge(shipment.status)], ["Parcels", shipment.parcels], ["Carrier", shipment.carrier], ["Tracking number", shipment.tracking_number]));
}

/** @param {any} found */
function mails(found) {
  if (unread(found)) return unreadPanel("Mails", found);
  if (!found?.mails.length) return panel("Mails", nothing("No mail was sent."));
  return panel("Mails", h("ul", { class: "plain" }, found.mails.map((/** @type {any} */ mail) =>
    h("li", null, words(mail.kind), " ", badge(mail.status), h("small", null, time(mail.at), mail.error ? ` · ${mail.error}` : "")))));
}

/** @param {any} order */
function notes(order) {
  if (!order.internal_notes?.length) return null;
  return panel("Internal notes", h("ul", { class: "plain" }, order.internal_notes.map((/** @type {any} */ each) =>
    h("li", null, each.text, h("small", null, time(each.added_at), each.by ? ` · ${each.by}` : "")))));
}
