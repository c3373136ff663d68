/** Webhooks: the endpoints of other programs, and one endpoint with the log of its deliveries. */
import { get, pause, send } from "./api.js";
import { h } from "./dom.js";
import { counted, number, time, words } from "./format.js";
import { session } from "./session.js";
import { action, ask, badge, carriedOut, facts, field, heading, link, note, nothing, panel, showOnce, table } from "./ui.js";
import { deliveries } from "./webhook_deliveries.js";

/** @typedef {import("./main.js").View} View */

/** The types that the form offers; `services/published.py` has all. */
const GROUPS = ["orders", "payments", "shipping", "fulfillment", "inventory", "catalogue", "users", "notifications", "webhooks"];
const LOOK_AGAIN_MS = 1_000;
/** How long the page follows an endpoint to which something was just sent. */
const FOLLOWED_MS = 20_000;
let followedUntil = 0;

/** @param {View} view */
export async function open(view) {
  const { endpoints } = await get("/webhooks", { signal: view.signal });
  view.show(
    heading("Webhooks", h("p", { class: "muted" }, "URLs of other programs that receive events of the shop."),
      action("New endpoint …", () => make(view), { scope: "webhooks:write", primary: true })),
    endpoints.length ? h("div", { class: "results" }, table("Endpoints", COLUMNS, endpoints, { key: (each) => each.id })) : nothing("No program receives events yet."));
}

/** @type {import("./ui.js").Column[]} */
const COLUMNS = [
  { name: "Endpoint", wide: true, cell: (each) => [link(`/webhooks/${each.id}`, each.url), each.description && h("small", null, each.description)] },
  { name: "Status", cell: state },
  { name: "Events", wide: true, cell: (each) => h("small", null, each.types.join(", ")) },
  { name: "Waiting", right: true, cell: (each) => number(each.pending) },
  { name: "Registered", cell: (each) => time(each.created_at) },
];

/** @param {any} endpoint */
function state(endpoint) {
  if (!endpoint.active) return badge("stopped", endpoint.disabled_reason ? "Switched off by zerocart" : "Switched off");
  return endpoint.failures ? badge("failed", `Failing, ${number(endpoint.failures)} in a row`) : badge("active");
}

/** @param {View} view */
export async function openOne(view) {
  const id = view.params.id ?? "";
  for (;;) {
    const query = { state: view.query.get("state"), before: view.query.get("before") };
    const [endpoint, log] = await Promise.all([get(`/webhooks/${id}`, { signal: view.signal }), get(`/webhooks/${id}/deliveries`, { query, signal: view.signal })]);
    view.title(endpoint.url);
    view.show(page(view, endpoint, log));
    if (Date.now() > followedUntil) return;
    await pause(LOOK_AGAIN_MS, view.signal);
  }
}

/** @param {View} view @param {any} endpoint @param {any} log */
function page(view, endpoint, log) {
  const off = !endpoint.active && "The endpoint is switched off.";
  return h("article", { key: endpoint.id },
    heading(endpoint.url, h("p", { class: "beside" }, state(endpoint), endpoint.description && h("span", { class: "muted" }, endpoint.description)),
      action("Send a test event", () => test(view, endpoint), { scope: "webhooks:write", disabled: off }),
      action("Edit …", () => change(view, endpoint), { scope: "webhooks:write" }),
      action("New secret …", () => rotate(view, endpoint), { scope: "webhooks:write" }),
      endpoint.active
        ? action("Switch off …", () => switchTo(view, endpoint, OFF), { scope: "webhooks:write" })
        : action("Switch on …", () => switchTo(view, endpoint, ON), { scope: "webhooks:write", primary: true }),
      action("Remove …", () => remove(view, endpoint), { scope: "webhooks:write", danger: true })),
    trouble(endpoint),
    panel("Endpoint", facts(["Id", h("code", null, endpoint.id)], ["Contact", endpoint.contact], ["Events", endpoint.types.map((/** @type {string} */ type) => h("code", { class: "row" }, type))], ["Registered by", endpoint.owner],
      ["Waiting", endpoint.pending ? counted(endpoint.pending, "message") : "nothing"], ["Registered", time(endpoint.created_at)],
      ["Previous secret", endpoint.previous_secret_until && h("span", null, "valid until ", time(endpoint.previous_secret_until))])),
    deliveries({ ...view, again: () => followed(view) }, endpoint, log));
}

/** @param {any} endpoint */
function trouble(endpoint) {
  if (endpoint.disabled_reason) return note("bad", h("p", null, h("strong", null, "zerocart switched the endpoint off: "), endpoint.disabled_reason, ". Mend the receiver, switch the endpoint on, then redeliver what failed."));
  if (endpoint.failures) return note("warn", h("p", null, "No attempt has succeeded since ", time(endpoint.failing_since), ". zerocart goes on trying, less and less often."));
  return null;
}

/** Show the page anew and follow what happens. @param {View} view */
function followed(view) {
  followedUntil = Date.now() + FOLLOWED_MS;
  view.again();
}

/** @param {View} view @param {any} endpoint */
function test(view, endpoint) {
  return carriedOut({ again: () => followed(view) }, send("POST", `/webhooks/${endpoint.id}/test`, {}), "The test event is on its way.");
}

/** @param {any} [endpoint] */
function fields(endpoint) {
  const chosen = new Set(endpoint?.types ?? []);
  const groups = GROUPS.map((group) => ({ group, type: `zerocart.${group}.*` }));
  const others = [...chosen].filter((type) => !groups.some((each) => each.type === type));
  return [
    field("URL", h("input", { name: "url", type: "url", required: true, maxlength: "2000", placeholder: "https://shop.example.com/zerocart", value: endpoint?.url ?? "", autocomplete: "off" })),
    field("Description", h("input", { name: "description", maxlength: "500", value: endpoint?.description ?? "", autocomplete: "off" })),
    field("Contact", h("input", { name: "contact", type: "email", maxlength: "254", value: endpoint?.contact ?? "", autocomplete: "off" }), "This address gets a mail when zerocart switches the endpoint off. May stay empty."),
    h("fieldset", null, h("legend", null, "Events"),
      h("div", { class: "checks" }, groups.map(({ group, type }) => h("label", { class: "check" }, h("input", { type: "checkbox", name: `type-${group}`, value: type, checked: chosen.has(type) }), words(group)))),
      field("Other types", h("input", { name: "others", value: others.join(" "), placeholder: "zerocart.payments.refund.*", autocomplete: "off" }), "Separated by spaces; * at the end selects all that begin so.")),
  ];
}

/** @param {Record<string, string>} values */
function bodyOf({ url, description, contact, others = "", ...boxes }) {
  const types = [...Object.values(boxes), ...others.split(/[\s,]+/).filter(Boolean)];
  if (!types.length) throw new Error("Choose at least one kind of event.");
  return { url, description: description || null, contact: contact || null, types };
}

/** @param {View} view */
async function make(view) {
  let made = /** @type {any} */ (null);
  const done = () => void showOnce({ again: () => view.go(`/webhooks/${made.id}`) }, "The secret of the endpoint", [["Secret", made.secret]]);
  await ask(view, {
    title: "New endpoint", text: `It receives what ${session()?.who} may see, without personal data. Messages are signed by the Standard Webhooks scheme.`, fields: fields(), done: "Register", wide: true,
    submit: async (values) => { made = await send("POST", "/webhooks", bodyOf(values)); },
  }, "The endpoint is registered.", done);
}

/** @param {View} view @param {any} endpoint */
function change(view, endpoint) {
  return ask(view, {
    title: "Edit the endpoint", text: "Other types count for events from now on.", fields: fields(endpoint), done: "Save", wide: true,
    submit: (values) => send("PATCH", `/webhooks/${endpoint.id}`, bodyOf(values)),
  }, "The endpoint is changed.");
}

/** @param {View} view @param {any} endpoint */
async function rotate(view, endpoint) {
  let made = /** @type {any} */ (null);
  await ask(view, {
    title: "Make a new secret?", text: "Until the previous secret ends, messages are signed with both secrets.", done: "Make a new secret",
    fields: field("Hours until the previous secret ends", h("input", { name: "hours", type: "number", min: "0", max: "168", required: true, value: "24" }), "0 if somebody else may know it."),
    submit: async ({ hours }) => { made = await send("POST", `/webhooks/${endpoint.id}/secret`, { overlap_hours: Number(hours) }); },
  }, "The secret is made.", () => void showOnce(view, "The new secret of the endpoint", [["Secret", made.secret]]));
}

const OFF = { active: false, title: "Switch the endpoint off?", text: "It receives nothing until somebody switches it on. Events of that time can be read from the event stream only.", done: "Switch off" };
const ON = { active: true, title: "Switch the endpoint on?", text: "It receives events from now on. What failed before can be redelivered.", done: "Switch on" };

/** @param {View} view @param {any} endpoint @param {typeof OFF} about */
function switchTo(view, endpoint, about) {
  return ask(view, {
    title: about.title, text: about.text, done: about.done, danger: !about.active,
    submit: () => send("PATCH", `/webhooks/${endpoint.id}`, { active: about.active }),
  }, `The endpoint is switched ${about.active ? "on" : "off"}.`);
}

/** @param {View} view @param {any} endpoint */
function remove(view, endpoint) {
  return ask(view, {
    title: "Remove the endpoint?", text: `Nothing more is sent to ${endpoint.url}, and the log of its deliveries is deleted. This cannot be taken back.`, done: "Remove", danger: true,
    submit: () => send("DELETE", `/webhooks/${endpoint.id}`),
  }, "The endpoint is removed.", () => view.go("/webhooks"));
}
