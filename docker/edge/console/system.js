/** The system: what waits and what is stuck, cold starts, and what each service used. */
import { get } from "./api.js";
import { h } from "./dom.js";
import { shortType } from "./events.js";
import { counted, number, span, time, words } from "./format.js";
import { may } from "./session.js";
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
    heading("System", h("p", { class: "muted" }, "Looking at this page wakes only operations."), h("button", { type: "button", on: { click: view.again } }, "Look again")),
    system.stuck.length > 0 && note("bad", h("p", null, h("strong", null, `Fulfillment is stuck for ${counted(system.stuck.length, "order")}: `), system.stuck.map((/** @type {string} */ id, /** @type {number} */ index) => [index ? ", " : "", link(`/orders/${id}`, id)]))),
    tiles(system),
    panel("Services", services(system)),
    h("div", { class: "columns even" },
      h("div", null, panel("What waits", waiting(system.waiting),
        may("webhooks:read") && h("p", { class: "muted small" }, link("/webhooks", "Webhooks"), " shows the messages that wait for other programs; it wakes webhooks."))),
      h("div", null, panel("Views of the read database", views(system.views)))),
    panel("What the services used", costs(system.days)));
}

/** @param {any} system */
function tiles(system) {
  const awake = system.services.filter((/** @type {any} */ each) => each.awake).length;
  const count = (/** @type {string} */ what) => system.waiting.filter((/** @type {any} */ row) => row.what === what).reduce((/** @type {number} */ all, /** @type {any} */ row) => all + row.count, 0);
  /** @type {[string, string, string][]} */
  const shown = [
    ["Stuck runs", number(system.stuck.length), `${number(count("saga_runs"))} open`],
    ["Dead letters", number(count("dead_letters_waiting")), `${number(count("messages_waiting_parked"))} parked messages`],
    ["To be published", number(count("outbox_depth")), "events in the outbox"],
    ["Awake", number(awake), `of ${counted(system.services.length, "service")}`],
    ["Behind", number(Math.max(0, ...system.views.map((/** @type {any} */ view) => view.events_behind))), "events that a view has not read"],
  ];
  return h("dl", { class: "tiles", key: "tiles" }, shown.map(([name, value, more]) => h("div", null, h("dt", null, name), h("dd", null, TILE_LINKS[name] ? link(TILE_LINKS[name], value) : value, h("small", null, more)))));
}

const TILE_LINKS = /** @type {Record<string, string>} */ ({ "Dead letters": "/failed" });

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

/** @param {any} system */
function services({ services: found, cold_starts: starts, days }) {
  const started = new Map(starts.map((/** @type {any} */ each) => [each.service, each]));
  const today = days.find((/** @type {any} */ day) => day.day === new Date().toISOString().slice(0, 10));
  const used = new Map((today?.services ?? []).map((/** @type {any} */ each) => [each.service, each]));
  /** @type {import("./ui.js").Column[]} */
  const columns = [
    { name: "Service", cell: (row) => h("strong", null, row.service) },
    { name: "State", cell: (row) => (row.awake === null ? badge("unknown", "Not known") : badge(row.awake ? "awake" : "asleep")) },
    { name: "What it did last", wide: true, cell: why },
    { name: "Cold starts", right: true, cell: (row) => [number(started.get(row.service)?.starts ?? 0), started.has(row.service) && h("small", null, `${span(started.get(row.service).average_seconds)} on average`)] },
    { name: "Ran today", right: true, cell: (row) => [used.has(row.service) ? span(used.get(row.service).process_seconds) : "–", used.has(row.service) && h("small", null, `${span(used.get(row.service).cpu_seconds)} of a processor`)] },
  ];
  return [
    table("Services", columns, found, { key: (row) => row.service }),
    h("p", { class: "muted small" }, "A service is awake while one of its processes has a connection to its database. What it ran is written every 15 seconds while it works, and when it ends."),
  ];
}

/** What a service that is awake does, as far as it is known. */
const READS = /** @type {Record<string, string>} */ ({ query: "It answers lists and searches.", operations: "It answers this page.", projection: "It writes the read database.", users: "It issues and checks tokens." });

/** @param {any} row */
function why(row) {
  const last = row.last_event && [h("code", null, shortType(row.last_event)), h("small", null, "stored last, ", time(row.last_event_at, { exact: true }))];
  return row.awake && READS[row.service] && !recent(row) ? [READS[row.service], last] : (last || "–");
}

/** @param {any} row */
function recent(row) {
  return row.last_event_at && Date.now() - Date.parse(row.last_event_at) < RECENT_MS;
}

const RECENT_MS = 60_000;

/** @param {any[]} found */
function views(found) {
  if (!found.length) return nothing("operations does not know the address of the read database.");
  /** @type {import("./ui.js").Column[]} */
  const columns = [
    { name: "View", wide: true, cell: (row) => row.view },
    { name: "State", cell: (row) => (row.stopped ? badge("stopped") : badge(row.events_behind ? "behind" : "serving", row.events_behind ? "Behind" : "Level")) },
    { name: "Events behind", right: true, cell: (row) => number(row.events_behind) },
  ];
  return table("Views of the read database", columns, found, { compact: true });
}

/** @param {any[]} days */
function costs(days) {
  const rows = days.flatMap((day) => day.services.map((/** @type {any} */ each) => ({ ...each, day: day.day })));
  if (!rows.length) return nothing("Nothing yet. A working process records what it used every 15 seconds, and when it ends.");
  return [
    table("What all services used by day", DAY_COLUMNS, days, { key: (day) => day.day }),
    h("details", { key: "by-service" }, h("summary", null, "By service"), table("What each service used by day", SERVICE_COLUMNS, rows, { key: (row) => `${row.day} ${row.service}` })),
  ];
}

/** @param {any} day @param {string} name */
function sumOf(day, name) {
  return (day?.services ?? []).reduce((/** @type {number} */ all, /** @type {any} */ each) => all + each[name], 0);
}

/** A sum of a day, and its part for each order. @param {string} name @param {(value: number) => string} shown */
function dayCell(name, shown) {
  return (/** @type {any} */ day) => [shown(sumOf(day, name)), day.orders > 0 && h("small", null, `${shown(sumOf(day, name) / day.orders)} an order`)];
}

const rounded = (/** @type {number} */ value) => number(Math.round(value));

/** @type {import("./ui.js").Column[]} */
const DAY_COLUMNS = [
  { name: "Day", wide: true, cell: (day) => day.day },
  { name: "Orders", right: true, cell: (day) => number(day.orders) },
  { name: "Processes ran", right: true, cell: dayCell("process_seconds", span) },
  { name: "Processor", right: true, cell: dayCell("cpu_seconds", span) },
  { name: "Transactions", right: true, cell: dayCell("transactions", rounded) },
];

/** @type {import("./ui.js").Column[]} */
const SERVICE_COLUMNS = [
  { name: "Service", wide: true, cell: (row) => h("strong", null, row.service) },
  { name: "Day", cell: (row) => row.day },
  { name: "Processes ran", right: true, cell: (row) => span(row.process_seconds) },
  { name: "Processor", right: true, cell: (row) => span(row.cpu_seconds) },
  { name: "Transactions", right: true, cell: (row) => rounded(row.transactions) },
];
