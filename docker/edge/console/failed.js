/** Dead letters and parked messages: look at them, replay them, discard them. */
import { get, send } from "./api.js";
import { h } from "./dom.js";
import { counted, time, words } from "./format.js";
import { shortType, subject } from "./events.js";
import { replayAll } from "./replay_all.js";
import { action, ask, badge, carriedOut, facts, failure, heading, link, nothing, note, panel, reasonField, select, table } from "./ui.js";

/** @typedef {import("./main.js").View} View */

const STATUSES = ["waiting", "replayed", "discarded", "all"];
/** The most that the interface lists. */
const LISTED_MAX = 500;

/** @param {View} view */
export async function open(view) {
  const status = view.query.get("status") ?? "waiting";
  const { signal } = view;
  const read = (/** @type {Promise<any[]>} */ asked) => asked.then((all) => ({ all, error: null }), (error) => ({ all: [], error }));
  const [letters, parked] = await Promise.all([read(lettersOf(status, signal)), read(parkedOf(signal))]);
  signal.throwIfAborted();
  const [foundLetters, foundParked] = [filtered(view, letters.all), filtered(view, parked.all)];
  view.show(
    heading("Failed messages", h("p", { class: "muted" }, "Mend the cause before you replay: the message fails again otherwise.")),
    filters(view, [...letters.all, ...parked.all]),
    panel("Dead letters", h("p", { class: "muted" }, "Events that a service did not accept, however often they were delivered."),
      h("div", { class: "beside between" }, tabs(view, status), replayAllLetters(view, foundLetters, letters.all.length)),
      letters.error ? failure(letters.error, view.again) : deadLetters(view, foundLetters, status), limited(letters.all, "oldest")),
    panel("Parked messages", h("div", { class: "beside between" }, h("p", { class: "muted" }, "Messages that a service accepted and failed to handle five times."), replayAllParked(view, foundParked, parked.all.length)),
      parked.error ? failure(parked.error, view.again) : parkedMessages(view, foundParked), limited(parked.all, "newest")));
}

/** @param {string} status @param {AbortSignal} [signal] @returns {Promise<any[]>} */
async function lettersOf(status, signal) {
  const { dead_letters: found } = await get("/dead-letters", { query: { status, limit: LISTED_MAX }, ...(signal && { signal }) });
  return found.map((/** @type {any} */ letter) => ({ ...letter, service: letter.service || letter.destination }));
}

/** @param {AbortSignal} [signal] @returns {Promise<any[]>} */
async function parkedOf(signal) {
  return (await get("/operations/parked", { query: { limit: LISTED_MAX }, ...(signal && { signal }) })).parked;
}

/** @param {any[]} all @param {string} which */
function limited(all, which) {
  return all.length >= LISTED_MAX && note("warn", h("p", null, `There may be more: this list has the ${which} ${LISTED_MAX}.`));
}

const FILTERS = ["service", "type"];

/** What the filters leave of a list. @param {View} view @param {any[]} all @returns {any[]} */
function filtered({ query }, all) {
  return all.filter((each) => FILTERS.every((name) => !query.has(name) || query.get(name) === each[name]));
}

/** @param {View} view @param {any[]} all */
function filters(view, all) {
  const { query } = view;
  const shown = (/** @type {string} */ name, /** @type {string} */ label, /** @type {(value: string) => string} */ named) => {
    const values = [...new Set([...all.map((each) => each[name]), ...query.getAll(name)])].sort();
    const change = (/** @type {any} */ { target }) => view.go(addressOf(query, name, target.value));
    return [h("label", { for: name, class: "unseen" }, label), select({ id: name, value: query.get(name) ?? "", on: { change } }, [["", `${label}: all`], ...values.map((value) => /** @type {[string, string]} */ ([value, named(value)]))])];
  };
  return (all.length > 0 || FILTERS.some((name) => query.has(name))) && h("div", { class: "filters pair", role: "search", key: "filters" }, shown("service", "Service", (name) => name), shown("type", "Message", shortType));
}

/** The page with another value of a filter. @param {URLSearchParams} query @param {string} name @param {string} value */
function addressOf(query, name, value) {
  const search = new URLSearchParams(query);
  if (value) search.set(name, value);
  else search.delete(name);
  return `/failed${search.size ? `?${search}` : ""}`;
}

/** @param {View} view @param {string} status */
function tabs(view, status) {
  return h("ul", { class: "chips", "aria-label": "Statuses" }, STATUSES.map((each) =>
    h("li", null, h("a", { class: "chip", href: `/console${addressOf(view.query, "status", each === "waiting" ? "" : each)}`, "aria-current": each === status ? "true" : null }, words(each)))));
}

/** @param {View} view @param {any[]} letters @param {string} status */
function deadLetters(view, letters, status) {
  if (!letters.length) return nothing(status === "waiting" ? "No event waits here." : "There is none.");
  /** @type {import("./ui.js").Column[]} */
  const columns = [
    { name: "Event", cell: (letter) => [link(`/failed/${letter.id}`, breakable(letter.type)), h("small", null, subject(letter.subject))] },
    { name: "Not accepted by", cell: (letter) => letter.service },
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

/** @param {View} view @param {any[]} found @param {number} listed */
function replayAllLetters(view, found, listed) {
  const toMessages = (/** @type {any[]} */ all) => filtered(view, all).filter(({ status }) => status === "waiting")
    .map(({ id, type, subject: about }) => ({ name: `${shortType(type)} of ${about}`, path: `/dead-letters/${id}/replay`, body: {} }));
  return replayAllButton(view, "dead letter", toMessages(found), listed, async () => toMessages(await lettersOf("waiting")));
}

/** @param {View} view @param {any[]} found @param {number} listed */
function replayAllParked(view, found, listed) {
  const toMessages = (/** @type {any[]} */ all) => filtered(view, all)
    .map(({ service, key, type, subject: about }) => ({ name: `${shortType(type)} of ${about}`, path: "/operations/parked/replay", body: { service, key } }));
  return replayAllButton(view, "parked message", toMessages(found), listed, async () => toMessages(await parkedOf()));
}

/** @param {View} view @param {string} noun @param {import("./replay_all.js").Message[]} messages @param {number} listed @param {() => Promise<import("./replay_all.js").Message[]>} next */
function replayAllButton(view, noun, messages, listed, next) {
  return action("Replay all …", () => replayAll(view, { noun, messages, more: listed >= LISTED_MAX, next }),
    { scope: "operations:write", about: `${noun}s`, disabled: !messages.length && `No ${noun} of this list waits.` });
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
