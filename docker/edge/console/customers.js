/** Customers: those who ordered most, and one customer with account, figures and orders. */
import { find, get, send } from "./api.js";
import { h } from "./dom.js";
import { money, number, time, words } from "./format.js";
import { may } from "./session.js";
import { action, ask, badge, facts, failure, field, heading, link, nothing, pager, panel, reasonField, table, unread, unreadPanel, valuesOf } from "./ui.js";

/** @typedef {import("./main.js").View} View */

const SHOWN = 50;

/** @param {View} view */
export async function open(view) {
  const head = heading("Customers", h("p", { class: "muted" }, "Customers with an account, by what they bought. Guests are found by their orders."));
  const shown = (/** @type {import("./dom.js").Child} */ content) => view.show(head, finder(view), h("div", { class: "results", key: "results" }, content));
  if (!may("analytics:read")) return shown(nothing("Your log-in has no permission to list customers (analytics:read). Find a customer by an order."));
  try {
    const { figures } = await get("/analytics/orders", { query: { group_by: "customer", limit: SHOWN, sort: view.query.get("sort") ?? "-revenue" }, signal: view.signal });
    shown(figures.length ? table("Customers", COLUMNS, figures, { key: (each) => `${each.customer_id} ${each.revenue.currency}` }) : nothing("No customer with an account has ordered yet."));
  } catch (error) {
    view.signal.throwIfAborted();
    shown(failure(error, view.again));
  }
}

/** @type {import("./ui.js").Column[]} */
const COLUMNS = [
  { name: "Customer", wide: true, cell: (each) => link(`/customers/${encodeURIComponent(each.customer_id)}`, each.customer_name ?? each.customer_id) },
  { name: "Orders", right: true, cell: (each) => number(each.orders) },
  { name: "Sold", right: true, cell: (each) => number(each.sold) },
  { name: "Refunded", right: true, cell: (each) => money(each.refunded) },
  { name: "Revenue", right: true, cell: (each) => money(each.revenue) },
];

/** @param {View} view */
function finder(view) {
  /** @param {SubmitEvent} event */
  const submit = (event) => {
    event.preventDefault();
    const { q = "" } = valuesOf(/** @type {HTMLFormElement} */ (event.target));
    if (/^usr_[0-9a-z]{26}$/.test(q)) view.go(`/customers/${q}`);
    else view.go(`?${new URLSearchParams(q.includes("@") ? { email: q } : { q })}`);
  };
  return h("form", { class: "filters", role: "search", key: "filters", on: { submit } },
    h("div", { class: "search short" },
      h("label", { for: "q", class: "unseen" }, "Find the orders of a customer"),
      h("input", { id: "q", name: "q", type: "search", required: true, placeholder: "E-mail, name or account id", autocomplete: "off" }),
      h("button", { class: "primary" }, "Find")));
}

/** @param {View} view */
export async function openOne(view) {
  const path = view.params.id ?? "";
  const id = decodeURIComponent(path);
  const { signal } = view;
  const part = (/** @type {string} */ scope, /** @type {Promise<any>} */ asked) => (may(scope) ? asked.catch((error) => ({ error })) : Promise.resolve(null));
  const account = id.startsWith("usr_") ? part("users:read", find(`/users/${id}`, { signal })) : Promise.resolve(null);
  const figures = part("analytics:read", get("/analytics/orders", { query: { customer_id: id, group_by: "customer" }, signal }));
  const query = new URLSearchParams(view.query);
  const orders = await get(`/customers/${path}/orders`, { query, signal });
  const [user, report] = await Promise.all([account, figures]);
  const name = user?.name ?? orders.orders[0]?.customer_name ?? id;
  view.title(name);
  view.show(
    heading(name, h("p", { class: "beside" }, user?.status && badge(user.status), h("code", null, id)), ...(user && !user.error ? accountActions(view, user) : [])),
    h("div", { class: "columns" },
      h("div", null, panel("Orders", orders.orders.length ? [table("Orders of the customer", ORDER_COLUMNS, orders.orders, { key: (order) => order.order_id, compact: true }), pager(view.query, orders, `/customers/${path}`, "order")] : nothing("The customer has no order."))),
      h("div", null, profile(user), totals(report))));
}

/** @type {import("./ui.js").Column[]} */
const ORDER_COLUMNS = [
  { name: "Order", cell: (order) => link(`/orders/${order.order_id}`, order.number ?? order.order_id.slice(-8)) },
  { name: "Placed", cell: (order) => time(order.created_at) },
  { name: "Status", cell: (order) => badge(order.status) },
  { name: "Total", right: true, cell: (order) => money(order.total) },
];

/** @param {any} user */
function profile(user) {
  if (unread(user)) return unreadPanel("Account", user);
  if (!user) return null;
  return panel("Account", facts(["E-mail", user.email], ["Company", user.company], ["Role", user.role], ["Phone", user.phone], ["Newsletter", user.preferences.newsletter ? "yes" : "no"], ["Mails about orders", user.preferences.notifications ? "yes" : "no"]));
}

/** @param {any} report */
function totals(report) {
  if (!report || report.error) return null;
  return report.figures.map((/** @type {any} */ each) =>
    panel(`Figures in ${each.revenue.currency}`, facts(["Orders", number(each.orders)], ["Sold", number(each.sold)], ["Cancelled", number(each.cancelled)], ["Failed", number(each.failed)], ["Revenue", money(each.revenue)], ["Refunded", money(each.refunded)], ["Average", each.average && money(each.average)])));
}

/** @param {View} view @param {any} user */
function accountActions(view, user) {
  const suspended = user.status === "suspended";
  return [
    suspended
      ? action("Reinstate …", () => change(view, user, REINSTATE), { scope: "users:admin" })
      : action("Suspend …", () => change(view, user, SUSPEND), { scope: "users:admin" }),
    action("Erase …", () => erase(view, user), { scope: "users:admin", danger: true }),
  ];
}

const SUSPEND = { title: "Suspend the account?", text: "The customer cannot log in or order until somebody reinstates the account.", done: "Suspend", verb: "suspend", reason: true };
const REINSTATE = { title: "Reinstate the account?", text: "The customer can log in and order again.", done: "Reinstate", verb: "reinstate", reason: false };

/** @param {View} view @param {any} user @param {typeof SUSPEND} about */
function change(view, user, about) {
  return ask(view, {
    title: about.title, text: about.text, done: about.done, danger: about.reason,
    fields: about.reason ? reasonField() : null,
    submit: ({ reason }) => send("POST", `/users/${user.id}/${about.verb}`, about.reason ? { reason } : undefined),
  }, `${words(about.done)}: done.`);
}

/** @param {View} view @param {any} user */
function erase(view, user) {
  return ask(view, {
    title: `Erase ${user.name}?`, text: "The account and every name, address and e-mail of this person are destroyed, in backups too. Nobody can bring them back.",
    fields: field("Type the e-mail address of the account", h("input", { name: "email", required: true, autocomplete: "off" })), done: "Erase", danger: true,
    submit: async ({ email }) => {
      if (email !== user.email) throw new Error(`This is not the address of the account. Type ${user.email} to erase it.`);
      await send("DELETE", `/users/${user.id}`);
    },
  }, "The person is erased.");
}
