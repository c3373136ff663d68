/** Dead letters and parked messages: look at them, replay them, discard them. */
import { get, send } from "./api.js";
import { h } from "./dom.js";
import { counted, time, words } from "./format.js";
import { shortType, subject } from "./events.js";
import { action, ask, badge, carriedOut, facts, failure, heading, link, nothing, panel, reasonField, table } from "./ui.js";

/** @typedef {import("./main.js").View} View */

const STATUSES = ["waiting", "replayed", "discarded", "all"];

/** @param {View} view */
export async function open(view) {
  const status = view.query.get("status") ?? "waiting";
  const { signal } = view;
  const [letters, parked] = await Promise.all([
    get("/dead-letters", { query: { status }, signal }).catch((error) => ({ error })),
    get("/operations/parked", { signal }).catch((error) => ({ error })),
  ]);
  signal.throwIfAborted();
  const waiting = (letters.dead_letters ?? []).filter((/** @type {any} */ letter) => letter.status === "waiting");
  view.show(
    heading("Failed messages", h("p", { class: "muted" }, "Mend the cause before you replay: the message fails again otherwise."),
      action("Replay all that wait …", () => replayAll(view, waiting.length), { scope: "operations:write", disabled: !waiting.length && "No dead letter waits." })),
    panel("Dead letters", h("p", { class: "muted" }, "Events that a service did not accept, however often they were delivered."), tabs(status),
      letters.error ? failure(letters.error, view.again) : deadLetters(view, letters.dead_letters, status)),
    panel("Parked messages", h("p", { class: "muted" }, "Messages that a service accepted and failed to handle five times."),
      parked.error ? failure(parked.error, view.again) : parkedMessages(view, parked.parked)));
}

/** @param {string} status */
function tabs(status) {
  return h("ul", { class: "chips", "aria-label": "Statuses" }, STATUSES.map((each) =>
    h("li", null, h("a", { class: "chip", href: `/console/failed${each === "waiting" ? "" : `?status=${each}`}`, "aria-current": each === status ? "true" : null }, words(each)))));
}

/** @param {View} view @param {any[]} letters @param {string} status */
function deadLetters(view, letters, status) {
  if (!letters.length) return nothing(status === "waiting" ? "No event waits here: all were delivered." : "There is none.");
  /** @type {import("./ui.js").Column[]} */
  const columns = [
    { name: "Event", cell: (letter) => [link(`/failed/${letter.id}`, breakable(letter.type)), h("small", null, subject(letter.subject))] },
    { name: "Not accepted by", cell: (letter) => letter.service || letter.destination },
    { name: "Answer", wide: true, cell: (letter) => [letter.error_code || "none", letter.error_data && h("small", null, letter.error_data)] },
    { name: "Since", cell: (letter) => [time(letter.first_at), letter.deliveries > 1 && h("small", null, `given up ${counted(letter.deliveries, "time")}`)] },
    ...(status === "all" ? [{ name: "Status", cell: (/** @type {any} */ letter) => badge(letter.status) }] : []),
    { name: "Actions", right: true, cell: (letter) => h("div", { class: "buttons end" }, letterActions(view, letter)) },
  ];
  return table("Dead letters", columns, letters, { key: (letter) => letter.id });
}

/** A type that breaks at its dots only. @param {string} type */
function breakable(type) {
  return shortType(type).split(".").map((part, index) => (index ? [".", h("wbr"), part] : part));
}

/** What the service answered, and what that means. @param {any} letter */
function answer(letter) {
  if (!letter.error_code) return "none: the service could not be reached";
  const meaning = MEANINGS[letter.error_code];
  return meaning ? `${letter.error_code}: ${meaning}` : letter.error_code;
}

/** `services/kit/events/outcome.py` answers these. */
const MEANINGS = /** @type {Record<string, string>} */ ({
  400: "it cannot handle such an event", 401: "it does not know who delivered the event", 405: "it takes no events",
  503: "it was busy, or something that it needs was down",
});

/** @param {View} view @param {any} letter */
function letterActions(view, letter) {
  const decided = letter.status !== "waiting" && `The dead letter is ${letter.status} already.`;
  const name = shortType(letter.type);
  return [
    action("Replay", () => replay(view, letter), { scope: "operations:write", about: name, disabled: letter.status === "discarded" && decided }),
    action("Discard …", () => discard(view, letter), { scope: "operations:write", danger: true, about: name, disabled: decided }),
  ];
}

/** @param {View} view @param {any[]} parked */
function parkedMessages(view, parked) {
  if (!parked.length) return nothing("No message is parked.");
  /** @type {import("./ui.js").Column[]} */
  const columns = [
    { name: "Service", cell: (message) => h("strong", null, message.service) },
    { name: "Message", wide: true, cell: (message) => [h("span", { title: message.key }, shortType(message.type)), h("small", null, subject(message.subject))] },
    { name: "Last error", wide: true, cell: (message) => message.last_error },
    { name: "Attempts", right: true, cell: (message) => message.attempts },
    { name: "Last at", cell: (message) => time(message.last_at) },
    { name: "Actions", right: true, cell: (message) => action("Replay", () => replayParked(view, message), { scope: "operations:write", about: shortType(message.type) }) },
  ];
  return table("Parked messages", columns, parked, { key: (message) => `${message.service} ${message.key}` });
}

/** @param {View} view @param {any} letter */
function replay(view, letter) {
  return carriedOut(view, send("POST", `/dead-letters/${letter.id}/replay`, {}), "The event was published again. If it fails again, it comes back here.");
}

/** @param {View} view @param {any} message */
function replayParked(view, message) {
  return carriedOut(view, send("POST", "/operations/parked/replay", { service: message.service, key: message.key }), "The message was published again.");
}

/** @param {View} view @param {number} waiting */
function replayAll(view, waiting) {
  return ask(view, {
    title: "Replay all that wait?", text: `${counted(waiting, "event")} will be published again. A service that handled one before ignores it.`, done: "Replay all",
    submit: () => send("POST", "/dead-letters/replay", { limit: Math.max(1, waiting) }),
  }, "The events were published again.");
}

/** @param {View} view @param {any} letter */
function discard(view, letter) {
  return ask(view, {
    title: "Discard the dead letter?", text: `Nobody will replay ${shortType(letter.type)} of ${letter.subject}. This cannot be taken back.`,
    fields: reasonField(), done: "Discard", danger: true,
    submit: ({ reason }) => send("POST", `/dead-letters/${letter.id}/discard`, { reason }),
  }, "The dead letter is discarded.");
}

/** @param {View} view */
export async function openOne(view) {
  const letter = await get(`/dead-letters/${view.params.id}`, { signal: view.signal });
  view.title("Dead letter");
  view.show(
    heading(shortType(letter.type), h("p", { class: "beside" }, badge(letter.status), h("span", { class: "muted" }, subject(letter.subject))), ...letterActions(view, letter)),
    panel("Why", facts(["Not accepted by", letter.service || letter.destination], ["Answer", answer(letter)], ["Why", letter.error_data && h("pre", { tabindex: "0", role: "region", "aria-label": "Why" }, letter.error_data)],
      ["Given up", counted(letter.deliveries, "time")], ["First", time(letter.first_at, { exact: true })], ["Last", time(letter.last_at, { exact: true })], ["Reason", letter.reason])),
    panel("Event", facts(["Id", h("code", null, letter.event_id)], ["Type", h("code", null, letter.type)], ["Source", h("code", null, letter.source)]),
      h("h3", null, "Data"), h("pre", { tabindex: "0", role: "region", "aria-label": "Data of the event" }, pretty(letter.data)),
      h("h3", null, "Attributes"), facts(...Object.entries(letter.attributes).map(([name, value]) => /** @type {[string, any]} */ ([name, h("code", null, String(value))])))));
}

/** @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // what could not be delivered may not be JSON
  }
}
