/** Analytics: revenue over time, and orders by status, country and product, as plots with their tables. */
import { get } from "./api.js";
import { h } from "./dom.js";
import { counted, country, money, number, percent, words } from "./format.js";
import { namePlot, timePlot } from "./plots.js";
import { badge, failure, field, heading, link, nothing, panel, select, table, valuesOf } from "./ui.js";

/** @typedef {import("./main.js").View} View */

const INTERVALS = ["day", "week", "month"];
const TOP = 10;
const COMPACT = new Intl.NumberFormat(navigator.language, { notation: "compact", maximumFractionDigits: 1 });

/** @param {View} view */
export async function open(view) {
  const interval = view.query.get("interval") ?? "day";
  const [from, to] = [view.query.get("from"), view.query.get("to")];
  const { signal } = view;
  const asked = (/** @type {Record<string, any>} */ more) => get("/analytics/orders", { query: { from, to, currency: view.query.get("currency"), country: view.query.get("country"), ...more }, signal });
  try {
    const [whole, over, statuses, countries, products] = await Promise.all([
      asked({}), asked({ interval }), asked({ group_by: "status" }), asked({ group_by: "country" }), asked({ group_by: "product", limit: TOP }),
    ]);
    const currencies = whole.figures.map((/** @type {any} */ each) => each.revenue.currency);
    const currency = view.query.get("currency") ?? mostUsed(whole.figures);
    const only = (/** @type {any} */ report) => report.figures.filter((/** @type {any} */ each) => each.revenue.currency === currency);
    view.show(heading("Analytics", h("p", { class: "muted" }, `${whole.from} to ${whole.to}, days of ${whole.time_zone}`)), filters(view, currencies, currency),
      whole.figures.length ? [
        tiles(only(whole)[0]), overTime(only(over), interval, currency),
        h("div", { class: "columns even" }, h("div", null, byProduct(only(products))), h("div", null, byStatus(only(statuses)), byCountry(only(countries)))),
      ] : nothing("No order was placed in this time."));
  } catch (error) {
    signal.throwIfAborted();
    view.show(heading("Analytics"), filters(view, [], null), failure(error, view.again));
  }
}

/** @param {any[]} figures */
function mostUsed(figures) {
  return [...figures].sort((one, other) => other.orders - one.orders)[0]?.revenue.currency ?? null;
}

/** @param {View} view @param {readonly string[]} currencies @param {string | null} currency */
function filters(view, currencies, currency) {
  /** @param {Event} event */
  const change = (event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (/** @type {HTMLElement} */ (event.target).closest("form"));
    const search = new URLSearchParams(Object.entries(valuesOf(form)).filter(([name, value]) => value && !(name === "interval" && value === "day")));
    view.go(`/analytics${search.size ? `?${search}` : ""}`);
  };
  const value = (/** @type {string} */ name) => view.query.get(name) ?? "";
  return h("form", { class: "filters", key: "filters", "aria-label": "Period", on: { submit: change } },
    h("div", { class: "grid" },
      field("From", h("input", { name: "from", type: "date", value: value("from") })),
      field("Before", h("input", { name: "to", type: "date", value: value("to") })),
      field("Each", select({ name: "interval", value: value("interval") || "day" }, INTERVALS)),
      currencies.length > 1 && field("Currency", select({ name: "currency", value: currency }, currencies.map((each) => /** @type {[string, string]} */ ([each, each])))),
      h("div", { class: "field low" }, h("button", { class: "primary" }, "Show"))));
}

const DAY = new Intl.DateTimeFormat(navigator.language, { day: "numeric", month: "short", timeZone: "UTC" });

/** A day in few letters; weeks and months as they are. @param {string} period */
function short(period) {
  return /^\d{4}-\d{2}-\d{2}$/.test(period) ? DAY.format(new Date(period)) : period;
}

/** @param {any} figures */
function tiles(figures) {
  if (!figures) return null;
  /** @type {[string, import("./dom.js").Child, import("./dom.js").Child][]} */
  const shown = [
    ["Revenue", money(figures.revenue), `${money(figures.refunded)} refunded`],
    ["Orders", number(figures.orders), `${number(figures.open)} open`],
    ["Average order", figures.average ? money(figures.average) : "–", `${number(figures.sold)} sold`],
    ["Cancelled", percent(figures.cancelled_share), counted(figures.cancelled, "order")],
    ["Failed", percent(figures.failed_share), counted(figures.failed, "order")],
  ];
  return h("dl", { class: "tiles", key: "tiles" }, shown.map(([name, value, more]) => h("div", null, h("dt", null, name), h("dd", null, value, h("small", null, more)))));
}

/** @param {any[]} figures @param {string} interval @param {string | null} currency */
function overTime(figures, interval, currency) {
  const points = figures.map((each) => ({ name: short(each.period), value: Number(each.revenue.amount), shown: `${money(each.revenue)}, ${counted(each.orders, "order")}` }));
  /** @type {import("./ui.js").Column[]} */
  const columns = [
    { name: words(interval), cell: (each) => each.period },
    { name: "Orders", right: true, cell: (each) => number(each.orders) },
    { name: "Sold", right: true, cell: (each) => number(each.sold) },
    { name: "Refunded", right: true, cell: (each) => money(each.refunded) },
    { name: "Revenue", right: true, cell: (each) => money(each.revenue) },
  ];
  return panel(`Revenue by ${interval} in ${currency}`, timePlot(`Revenue by ${interval}`, points, (value) => COMPACT.format(value)),
    h("details", { key: "figures" }, h("summary", null, "Show as a table"), table(`Figures by ${interval}`, columns, [...figures].reverse(), { key: (each) => each.period })));
}

/** @param {any[]} figures */
function byProduct(figures) {
  const points = figures.map((each) => ({ name: each.product_id, value: Number(each.revenue.amount), shown: money(each.revenue), detail: `${number(each.units_sold)} sold in ${counted(each.sold, "order")}`, label: each.product_name }));
  const label = (/** @type {any} */ point) => link(`/products/${encodeURIComponent(point.name)}`, point.label);
  return panel("Products by revenue", points.length ? namePlot("Products by revenue", points, label) : nothing("Nothing was sold."));
}

/** @param {any[]} figures */
function byStatus(figures) {
  const points = figures.map((each) => ({ name: each.status, value: each.orders, shown: number(each.orders) })).sort((one, other) => other.value - one.value);
  return panel("Orders by status", namePlot("Orders by status", points, (point) => link(`?status=${point.name}`, badge(point.name))));
}

/** @param {any[]} figures */
function byCountry(figures) {
  const points = figures.map((each) => ({ name: each.country, value: Number(each.revenue.amount), shown: money(each.revenue), detail: `${counted(each.orders, "order")}` })).sort((one, other) => other.value - one.value).slice(0, TOP);
  return panel("Countries by revenue", namePlot("Countries by revenue", points, (point) => link(`?country=${point.name}`, country(point.name))));
}
