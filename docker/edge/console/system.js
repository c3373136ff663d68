/** The system: what waits and what is stuck, cold starts, and what each service used. */
import { get } from "./api.js";
import { h } from "./dom.js";
import { counted, number, span, words } from "./format.js";
import { namePlot } from "./plots.js";
import { badge, heading, link, note, nothing, panel, table } from "./ui.js";

/** @typedef {import("./main.js").View} View */

/** @type {Record<string, [string, string]>} what waits, in words, and where to look */
const WAITING = {
  outbox_depth: ["Events to be published", ""],
  messages_waiting_parked: ["Parked messages", "/failed"],
  dead_letters_waiting: ["Dead letters", "/failed"],
  saga_runs: ["Open runs", ""],
};

/** @param {View} view */
export async function open(view) {
  const system = await get("/operations/system", { signal: view.signal });
  view.show(
    heading("System", h("p", { class: "muted" }, "Figures that the services wrote when they last worked. Looking at them wakes only operations.")),
    system.stuck.length > 0 && note("bad", h("p", null, h("strong", null, `${counted(system.stuck.length, "run")} stuck: `), system.stuck.map((/** @type {string} */ id, /** @type {number} */ index) => [index ? ", " : "", link(`/orders/${id}`, id)]))),
    tiles(system),
    h("div", { class: "columns even" },
      h("div", null, panel("What waits", waiting(system.waiting))),
      h("div", null, panel("Cold starts", starts(system.cold_starts)))),
    panel("What the services used", costs(system.days)));
}

/** @param {any} system */
function tiles(system) {
  const [today] = system.days;
  const sum = (/** @type {string} */ name) => (today?.services ?? []).reduce((/** @type {number} */ all, /** @type {any} */ each) => all + each[name], 0);
  const perOrder = today?.orders ? `${span(sum("process_seconds") / today.orders)} an order` : "no order";
  const count = (/** @type {string} */ what) => system.waiting.filter((/** @type {any} */ row) => row.what === what).reduce((/** @type {number} */ all, /** @type {any} */ row) => all + row.count, 0);
  /** @type {[string, string, string][]} */
  const shown = [
    ["Stuck runs", number(system.stuck.length), `${number(count("saga_runs"))} open`],
    ["Dead letters", number(count("dead_letters_waiting")), `${number(count("messages_waiting_parked"))} parked messages`],
    ["To be published", number(count("outbox_depth")), "events in the outbox"],
    ["Process time", today ? span(sum("process_seconds")) : "–", today ? `${today.day}, ${perOrder}` : "nothing yet"],
    ["Transactions", number(Math.round(sum("transactions"))), today?.orders ? `${number(Math.round(sum("transactions") / today.orders))} an order` : "no order"],
  ];
  return h("dl", { class: "tiles", key: "tiles" }, shown.map(([name, value, more]) => h("div", null, h("dt", null, name), h("dd", null, value, h("small", null, more)))));
}

/** @param {any[]} rows */
function waiting(rows) {
  const found = rows.filter((row) => row.count > 0);
  if (!found.length) return nothing("Nothing waits.");
  /** @type {import("./ui.js").Column[]} */
  const columns = [
    { name: "What", wide: true, cell: (row) => { const [text, path] = WAITING[row.what] ?? [words(row.what), ""]; return path ? link(path, text) : text; } },
    { name: "Where", cell: (row) => (row.what === "saga_runs" ? badge(row.label) : row.label || "–") },
    { name: "Count", right: true, cell: (row) => number(row.count) },
  ];
  return table("What waits", columns, found, { compact: true });
}

/** @param {any[]} found */
function starts(found) {
  if (!found.length) return nothing("No service has started yet.");
  const points = found.map((each) => ({ name: each.service, value: each.average_seconds, shown: span(each.average_seconds), detail: counted(each.starts, "start") })).sort((one, other) => other.value - one.value);
  return namePlot("Average cold start by service", points);
}

/** @param {any[]} days */
function costs(days) {
  const rows = days.flatMap((day) => day.services.map((/** @type {any} */ each) => ({ ...each, day: day.day })));
  if (!rows.length) return nothing("Nothing yet. A working process records what it used every 15 seconds, and when it ends.");
  /** @type {import("./ui.js").Column[]} */
  const columns = [
    { name: "Service", cell: (row) => h("strong", null, row.service) },
    { name: "Day", cell: (row) => row.day },
    { name: "Processes ran", right: true, cell: (row) => span(row.process_seconds) },
    { name: "Processor", right: true, cell: (row) => span(row.cpu_seconds) },
    { name: "Transactions", right: true, cell: (row) => number(Math.round(row.transactions)) },
  ];
  return [table("What the services used by day", columns, rows, { key: (row) => `${row.day} ${row.service}` }), h("p", { class: "muted small" }, "query and projection, which work on the read database, are not in these figures.")];
}
