/** The system: what waits and what is stuck, who is awake and why, and what each service used. */
import { get, pause } from "./api.js";
import { h } from "./dom.js";
import { shortType } from "./events.js";
import { counted, number, span, time, words } from "./format.js";
import { may } from "./session.js";
import { building, views } from "./system_views.js";
import { badge, heading, link, note, nothing, panel, table } from "./ui.js";

/** @typedef {import("./main.js").View} View */

/** @type {Record<string, [string, string]>} what waits, in words, and where to look */
const WAITING = {
  outbox_depth: ["Events to be published", ""],
  messages_waiting_parked: ["Parked messages", "/failed"],
  dead_letters_waiting: ["Dead letters", "/failed"],
  saga_runs: ["Open runs", ""],
};

/** A relay publishes an event within a second. */
const UNPUBLISHED_SECONDS = 10;
const LOOK_AGAIN_MS = 2_000;
/** The longest time for which a page follows a build, ten minutes. */
const LOOK_AGAIN_TIMES = 300;

/** @param {View} view */
export async function open(view) {
  for (let times = 0; times < LOOK_AGAIN_TIMES; times++) {
    const system = await get("/operations/system", { signal: view.signal });
    show(view, system);
    if (!building(system.views)) return;
    await pause(LOOK_AGAIN_MS, view.signal);
  }
}

/** @param {View} view @param {any} system */
function show(view, system) {
  view.show(
    heading("System", h("p", { class: "muted" }, "As of ", time(system.at, { exact: true }), ". Looking at this page wakes only operations."), h("button", { type: "button", on: { click: view.again } }, "Look again")),
    system.stuck.length > 0 && note("bad", h("p", null, h("strong", null, `Fulfillment is stuck for ${counted(system.stuck.length, "order")}: `), system.stuck.map((/** @type {string} */ id, /** @type {number} */ index) => [index ? ", " : "", link(`/orders/${id}`, id)]))),
    system.oldest_unpublished_seconds > UNPUBLISHED_SECONDS && note("bad", h("p", null, h("strong", null, `Events have waited for ${span(system.oldest_unpublished_seconds)} to be published: `), "Kafka does not take them. Orders are accepted meanwhile. Services publish the events as soon as Kafka takes them, or when they start again, at the latest an hour later.")),
    tiles(system),
    panel("Services", services(system)),
    h("div", { class: "columns even" },
      h("div", null, panel("What waits", waiting(system.waiting)), panel("Webhooks", webhooks(system.webhooks))),
      h("div", null, panel("Views of the read database", views(system.views)))),
    panel("What the services used", costs(system.days)));
}

/** @param {any} system */
function tiles(system) {
  const awake = system.services.filter((/** @type {any} */ each) => each.awake).length;
  const count = (/** @type {string} */ what) => system.waiting.filter((/** @type {any} */ row) => row.what === what).reduce((/** @type {number} */ all, /** @type {any} */ row) => all + row.count, 0);
  const [letters, parked] = [count("dead_letters_waiting"), count("messages_waiting_parked")];
  /** @type {[string, string, string][]} */
  const shown = [
    ["Stuck runs", number(system.stuck.length), `${number(count("saga_runs"))} open`],
    ["Failed messages", number(letters + parked), `${counted(letters, "dead letter")}, ${number(parked)} parked`],
    ["To be published", number(count("outbox_depth")), "events in the outbox"],
    ["Awake", number(awake), `of ${counted(system.services.length, "service")}`],
    ["Behind", number(Math.max(0, ...system.views.map((/** @type {any} */ view) => view.events_behind))), "events that a view has not read"],
  ];
  return h("dl", { class: "tiles", key: "tiles" }, shown.map(([name, value, more]) => h("div", null, h("dt", null, name), h("dd", null, TILE_LINKS[name] && value !== number(0) ? link(TILE_LINKS[name], value) : value, h("small", null, more)))));
}

const TILE_LINKS = /** @type {Record<string, string>} */ ({ "Stuck runs": "?stuck=true", "Failed messages": "/failed" });

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
function services({ at, services: found, cold_starts: starts, days }) {
  const started = new Map(starts.map((/** @type {any} */ each) => [each.service, each]));
  const today = days.find((/** @type {any} */ day) => day.day === at.slice(0, 10));
  const used = new Map((today?.services ?? []).map((/** @type {any} */ each) => [each.service, each]));
  /** @type {import("./ui.js").Column[]} */
  const columns = [
    { name: "Service", cell: (row) => h("strong", null, row.service) },
    { name: "State", cell: (row) => (row.awake === null ? badge("unknown", "Not known") : badge(row.awake ? "awake" : "asleep")) },
    { name: "Awake for", wide: true, cell: handled },
    { name: "Last event stored", wide: true, cell: stored },
    { name: "Cold starts", right: true, cell: (row) => [number(started.get(row.service)?.starts ?? 0), started.has(row.service) && h("small", null, `${span(started.get(row.service).average_seconds)} on average`)] },
    { name: "Ran today", right: true, cell: (row) => [used.has(row.service) ? span(used.get(row.service).process_seconds) : "–", used.has(row.service) && h("small", null, `${span(used.get(row.service).cpu_seconds)} of a processor`)] },
  ];
  return [
    table("Services", columns, found, { key: (row) => row.service }),
    h("p", { class: "muted small" }, "A service is awake while one of its processes has a connection to its database. It tells the request, event or timer that it handled last at once when it wakes, then every 15 seconds; without another one it falls asleep: after a minute on Knative, after 10 seconds on a local cluster, unless a setting says otherwise. Behind a pooler neither is known."),
  ];
}

/** What an awake service handled last: so long after it, the platform lets the service sleep. @param {any} row */
function handled(row) {
  if (!row.awake) return row.awake === null ? "not known" : "–";
  if (!row.handled) return ["No request yet", h("small", null, "another service started it early, for a request that will come")];
  const isRequest = row.handled.includes(" ");
  return [isRequest ? "Request " : "Event ", h("code", null, isRequest ? row.handled : shortType(row.handled)), h("small", null, time(row.handled_at, { exact: true }))];
}

/** @param {any} row */
function stored(row) {
  return row.last_event ? [h("code", null, shortType(row.last_event)), h("small", null, time(row.last_event_at, { exact: true }))] : "–";
}

/** What waits for other programs. @param {any[]} rows */
function webhooks(rows) {
  if (!rows.length) return nothing("No message waits, and no endpoint fails.");
  /** @type {import("./ui.js").Column[]} */
  const columns = [
    { name: "Endpoint", wide: true, cell: (row) => (may("webhooks:read") ? link(`/webhooks/${row.endpoint_id}`, row.endpoint_id) : row.endpoint_id) },
    { name: "State", cell: (row) => (row.failing_since ? [badge("failed", "Failing"), h("small", null, "since ", time(row.failing_since))] : badge("waiting")) },
    { name: "Messages", right: true, cell: (row) => [number(row.waiting), row.oldest_at && h("small", null, "oldest ", time(row.oldest_at))] },
    { name: "Next attempt", cell: (row) => time(row.next_at) },
  ];
  return table("Webhooks", columns, rows, { key: (row) => row.endpoint_id });
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
