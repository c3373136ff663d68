/** The log of deliveries of a webhook endpoint, one delivery with its attempts, and redelivery. */
import { get, send } from "./api.js";
import { h } from "./dom.js";
import { counted, number, span, time, words } from "./format.js";
import { action, ask, badge, carriedOut, facts, field, heading, link, nothing, notify, panel, select, table } from "./ui.js";
import { shortType, subject } from "./events.js";

/** @typedef {import("./main.js").View} View */

const STATES = ["all", "pending", "delivered", "failed"];

/** @param {View} view @param {any} endpoint @param {any} log */
export function deliveries(view, endpoint, log) {
  const state = view.query.get("state") ?? "all";
  return panel("Deliveries",
    h("div", { class: "buttons between" }, tabs(endpoint, state), action("Redeliver many …", () => many(view, endpoint), { scope: "webhooks:write", disabled: whyNot(endpoint) })),
    log.deliveries.length ? table("Deliveries", columns(view, endpoint), log.deliveries, { key: (each) => each.id }) : nothing(state === "all" ? "Nothing was sent yet. Send a test event to try the endpoint." : `No delivery is ${state}.`),
    log.next && h("p", null, link(`/webhooks/${endpoint.id}?${new URLSearchParams({ ...(state === "all" ? {} : { state }), before: log.next })}`, "Older deliveries")));
}

/** @param {any} endpoint @param {string} state */
function tabs(endpoint, state) {
  return h("ul", { class: "chips", "aria-label": "States" }, STATES.map((each) =>
    h("li", null, h("a", { class: "chip", href: `/console/webhooks/${endpoint.id}${each === "all" ? "" : `?state=${each}`}`, "aria-current": each === state ? "true" : null }, words(each)))));
}

/** @param {any} endpoint */
function whyNot(endpoint) {
  return !endpoint.active && "The endpoint is switched off.";
}

/** @param {View} view @param {any} endpoint @returns {import("./ui.js").Column[]} */
function columns(view, endpoint) {
  return [
    { name: "Event", wide: true, cell: (each) => [link(`/webhooks/${endpoint.id}/deliveries/${each.id}`, shortType(each.type)), h("small", null, subject(each.subject))] },
    { name: "State", cell: (each) => badge(each.state) },
    { name: "Last answer", wide: true, cell: answer },
    { name: "Attempts", right: true, cell: (each) => number(each.attempts) },
    { name: "Since", cell: (each) => [time(each.created_at, { exact: true }), each.next_attempt_at && h("small", null, "next attempt ", time(each.next_attempt_at, { exact: true }))] },
    { name: "Actions", right: true, cell: (each) => action("Redeliver", () => redeliver(view, endpoint, each), { scope: "webhooks:write", about: shortType(each.type), disabled: whyNot(endpoint) }) },
  ];
}

/** @param {any} delivery */
function answer(delivery) {
  return [delivery.status ?? (delivery.attempts ? "none" : "–"), delivery.error && h("small", null, delivery.error)];
}

/** @param {View} view @param {any} endpoint @param {any} delivery */
function redeliver(view, endpoint, delivery) {
  return carriedOut(view, send("POST", `/webhooks/${endpoint.id}/deliveries/${delivery.id}/redeliver`, {}), "The message is sent again.");
}

/** @param {View} view @param {any} endpoint */
async function many(view, endpoint) {
  let done = 0;
  await ask(view, {
    title: "Redeliver many messages", text: "Each has the same id as before, by which the receiver knows what it has handled. At most 10,000 at once.", done: "Redeliver",
    fields: [
      field("Which", select({ name: "state", value: "failed" }, [["failed", "Those that failed"], ["delivered", "Those that were delivered"], ["all", "All"]])),
      field("Events since", h("input", { name: "since", type: "datetime-local" }), "Empty: from the first that is kept."),
      field("Events before", h("input", { name: "until", type: "datetime-local" }), "Empty: up to now."),
    ],
    submit: async ({ state, since, until }) => {
      const body = { state, ...(since ? { since: new Date(since).toISOString() } : {}), ...(until ? { until: new Date(until).toISOString() } : {}) };
      done = (await send("POST", `/webhooks/${endpoint.id}/redeliver`, body)).deliveries;
    },
  }, "", () => {
    notify(done ? `${counted(done, "message is", "messages are")} sent again.` : "No message matches.");
    view.again();
  });
}

/** @param {View} view */
export async function openOne(view) {
  const { id = "", delivery: deliveryId = "" } = view.params;
  const [endpoint, delivery] = await Promise.all([get(`/webhooks/${id}`, { signal: view.signal }), get(`/webhooks/${id}/deliveries/${deliveryId}`, { signal: view.signal })]);
  view.title("Delivery");
  view.show(
    heading(shortType(delivery.type), h("p", { class: "beside" }, badge(delivery.state), h("span", { class: "muted" }, subject(delivery.subject))),
      action("Redeliver", () => redeliver(view, endpoint, delivery), { scope: "webhooks:write", disabled: whyNot(endpoint) })),
    panel("Message", facts(["To", link(`/webhooks/${id}`, endpoint.url)], ["Id", h("code", null, delivery.id)], ["Type", h("code", null, delivery.type)], ["Position", h("code", null, delivery.position)],
      ["Since", time(delivery.created_at, { exact: true })], ["Next attempt", delivery.next_attempt_at && time(delivery.next_attempt_at, { exact: true })])),
    delivery.tried.length ? [...delivery.tried].reverse().map(attempt) : panel("Attempts", nothing("Nothing was sent yet.")));
}

/** @param {any} tried */
function attempt(tried) {
  return panel(`Attempt ${tried.number}`,
    facts(["At", time(tried.at, { exact: true })], ["Took", span(tried.duration_ms / 1000)], ["Answer", tried.status ?? "none"], ["Error", tried.error], ["URL", h("code", null, tried.request.url)]),
    h("h3", null, "Headers of the request"), facts(...Object.entries(tried.request.headers).map(([name, value]) => /** @type {[string, any]} */ ([name, h("code", null, String(value))]))),
    tried.answer && [h("h3", null, "Beginning of the answer"), h("pre", { tabindex: "0", role: "region", "aria-label": `Answer to attempt ${tried.number}` }, tried.answer)]);
}
