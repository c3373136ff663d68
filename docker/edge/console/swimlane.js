/** The run of an order: a lane for each step, with its attempts and its undo on one axis of time. */
import { h, svg } from "./dom.js";
import { span, time, words } from "./format.js";
import { badge, failure, panel, nothing, table } from "./ui.js";

/** @typedef {{status: string, attempts: number, started_at: string | null, ended_at: string | null, error_code: string | null, error: string | null, data: Record<string, unknown>}} Work */
/** @typedef {Work & {name: string, compensation: Work | null}} Step */
/** @typedef {(at: number) => number} Scale from an instant to a share of the width */

const WIDTH = 300;
const HEIGHT = 22;
const BAR_MIN = 3;
/** A wait counts as at most this many of the usual ones, so that a run of days stays readable. */
const WAITS_MAX = 6;

/** @param {any} run @param {string} orderId */
export function swimlane(run, orderId) {
  if (!run) return null;
  if (run.loading) return panel("Fulfillment", h("p", { class: "waiting" }, "Loading …"));
  if (run.error instanceof Error) return panel("Fulfillment", failure(run.error));
  if (!run.steps?.length || run.status === "not_started") return panel("Fulfillment", nothing("Fulfillment has not begun."));
  const steps = /** @type {Step[]} */ (run.steps);
  const scale = scaleOf(steps);
  return panel("Fulfillment",
    h("p", { class: "beside" }, badge(run.status), h("span", { class: "muted" }, "began ", time(run.started_at, { exact: true }), ended(run)), run.cause && h("span", null, `Undone because: ${words(run.cause).toLowerCase()}`)),
    table(`Steps of order ${orderId}`, columns(scale), steps, { key: (step) => step.name }),
    h("p", { class: "legend", "aria-hidden": "true" }, legend("good", "done"), legend("busy", "under way"), legend("bad", "failed"), legend("undo", "undone"), h("span", { class: "muted" }, "Long waits are drawn shorter.")));
}

/** @param {any} run */
function ended(run) {
  if (run.status === "stuck") return [", stuck since ", time(run.updated_at, { exact: true })];
  const moves = ["started", "compensating"].includes(run.status);
  return moves ? "" : `, took ${span((Date.parse(run.updated_at) - Date.parse(run.started_at)) / 1000)}`;
}

/** @param {string} tone @param {string} text */
function legend(tone, text) {
  return h("span", null, h("i", { class: `swatch ${tone}` }), text);
}

/** @param {Scale} scale @returns {import("./ui.js").Column[]} */
function columns(scale) {
  return [
    { name: "Step", cell: (step) => h("strong", { class: "name" }, words(step.name)) },
    { name: "Status", cell: (step) => [badge(step.status), step.compensation && step.compensation.status !== "done" ? [" ", badge(step.compensation.status, `Undo: ${words(step.compensation.status).toLowerCase()}`)] : null] },
    { name: "Time", wide: true, cell: (step) => lane(step, scale) },
    { name: "Took", right: true, cell: (step) => took(step) },
    { name: "Attempts", right: true, cell: (step) => attempts(step) },
    { name: "Result", wide: true, cell: (step) => result(step) },
  ];
}

/** @param {Step} step */
function attempts(step) {
  const undo = step.compensation?.attempts;
  return undo ? `${step.attempts} + ${undo} undo` : step.attempts || "–";
}

/** @param {Work} work */
function took(work) {
  if (!work.started_at) return "–";
  return work.ended_at ? span((Date.parse(work.ended_at) - Date.parse(work.started_at)) / 1000) : "under way";
}

/** @param {Step} step */
function result(step) {
  const work = step.compensation ?? step;
  const error = work.error ?? step.error;
  if (error && UNDER_WAY.has(work.status)) return h("small", null, `The last attempt failed: ${error}`);
  if (error) return h("small", null, h("span", { class: "error" }, error));
  const data = Object.entries(step.data ?? {}).filter(([, value]) => typeof value === "string" || typeof value === "number");
  return data.length > 0 && h("small", null, data.map(([name, value], index) => [index ? " · " : "", `${words(name)}: `, INSTANT.test(String(value)) ? time(String(value)) : String(value)]));
}

const UNDER_WAY = new Set(["in_progress", "retrying"]);
const INSTANT = /^\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-]\d{2}:\d{2})$/;

/** @param {Step} step @param {Scale} scale */
function lane(step, scale) {
  const tone = /** @type {Record<string, string>} */ ({ done: "good", compensated: "good", refused: "bad", unknown: "bad" });
  const bars = [bar(step, scale, tone[step.status] ?? "busy"), step.compensation && bar(step.compensation, scale, step.compensation.status === "refused" ? "bad" : "undo")];
  return svg("svg", { class: "lane", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": spoken(step) }, svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT / 2, y2: HEIGHT / 2 }), bars);
}

/** @param {Step} step */
function spoken(step) {
  const undo = step.compensation ? `, undo ${words(step.compensation.status).toLowerCase()}` : "";
  return `${words(step.status)}${step.started_at ? `, ${took(step)}` : ""}${undo}`;
}

/** @param {Work} work @param {Scale} scale @param {string} tone */
function bar(work, scale, tone) {
  if (!work.started_at) return null;
  const from = scale(Date.parse(work.started_at));
  const to = scale(work.ended_at ? Date.parse(work.ended_at) : Date.now());
  const width = Math.max(BAR_MIN, (to - from) * WIDTH);
  return svg("rect", { class: tone, x: Math.min(from * WIDTH, WIDTH - width).toFixed(1), y: 4, width: width.toFixed(1), height: HEIGHT - 8, rx: 3 });
}

/** An axis on which long waits are shortened. @param {readonly Step[]} steps @returns {Scale} */
function scaleOf(steps) {
  const works = steps.flatMap((step) => [step, step.compensation]);
  const known = works.flatMap((work) => (work?.started_at ? [Date.parse(work.started_at), work.ended_at ? Date.parse(work.ended_at) : Date.now()] : []));
  const marks = [...new Set(known)].sort((one, other) => one - other);
  const gaps = marks.slice(1).map((mark, index) => mark - /** @type {number} */ (marks[index]));
  const usual = [...gaps].sort((one, other) => one - other)[Math.floor(gaps.length / 2)] ?? 1;
  const shares = gaps.map((gap) => Math.min(gap, usual * WAITS_MAX));
  const whole = shares.reduce((sum, share) => sum + share, 0) || 1;
  const places = new Map([[marks[0] ?? 0, 0]]);
  let place = 0;
  shares.forEach((share, index) => places.set(/** @type {number} */ (marks[index + 1]), (place += share) / whole));
  return (at) => places.get(at) ?? 1;
}
