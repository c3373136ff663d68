/** Time travel: a slider over the moments at which something happened to an order. */
import { h } from "./dom.js";
import { time } from "./format.js";
import { link, note } from "./ui.js";

/** @typedef {import("./main.js").View} View */

/** @param {View} view @param {any} order the order as it is now */
export function past(view, order) {
  const moments = momentsOf(order);
  if (moments.length < 2) return null;
  const at = view.query.get("at");
  const index = at ? Math.max(0, moments.findLastIndex((moment) => moment.at <= at)) : moments.length - 1;
  const slider = h("input", {
    type: "range", id: "moment", min: "0", max: String(moments.length - 1), step: "1", value: String(index),
    "aria-valuetext": describe(moments[index], !at),
    on: { change: (/** @type {any} */ event) => travel(view, order, moments, Number(event.target.value)), input: (/** @type {any} */ event) => preview(event.target, moments) },
  });
  return h("div", { class: `past ${at ? "then" : ""}`, key: "past" },
    h("label", { for: "moment" }, "Go back in time"), slider,
    h("output", { for: "moment", id: "moment-text" }, describe(moments[index], !at)),
    at && note("calm", h("p", null, h("strong", null, "You look at the past: "), time(at, { exact: true }), ". "), link(`/orders/${order.order_id}`, "Back to now")));
}

/** @typedef {{at: string, text: string}} Moment */

/** @param {any} order @returns {Moment[]} */
function momentsOf(order) {
  const entries = [...order.timeline].sort((one, other) => (one.time < other.time ? -1 : 1));
  return entries.map((entry) => ({ at: entry.time, text: entry.text }));
}

/** @param {Moment | undefined} moment @param {boolean} now */
function describe(moment, now) {
  return now ? "Now" : (moment?.text ?? "");
}

/** @param {HTMLInputElement} slider @param {Moment[]} moments */
function preview(slider, moments) {
  const index = Number(slider.value);
  const text = describe(moments[index], index === moments.length - 1);
  slider.setAttribute("aria-valuetext", text);
  const output = document.getElementById("moment-text");
  if (output) output.textContent = text;
}

/** @param {View} view @param {any} order @param {Moment[]} moments @param {number} index */
function travel(view, order, moments, index) {
  const moment = moments[index];
  const now = index === moments.length - 1 || !moment;
  view.go(`/orders/${order.order_id}${now ? "" : `?${new URLSearchParams({ at: moment.at })}`}`, true);
}
