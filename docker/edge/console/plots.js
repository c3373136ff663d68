/** Plots as SVG: bars over time and bars by name. Each has a table beside it, so that a plot is only a picture of it. */
import { h, svg } from "./dom.js";

/** @typedef {{name: string, value: number, shown: string, detail?: string}} Point */

const HEIGHT = 220;
const AXIS = 56;
const BOTTOM = 26;
const TOP = 10;
const LINES = 4;
const NAMES_MAX = 6;
/** The part of its place that a bar takes. */
const BAR = 0.72;

/**
 * Bars over time. Places are shares of the width and heights are pixels, so that letters keep their size.
 * @param {string} title @param {readonly Point[]} points @param {(value: number) => string} unit how a value on the axis reads
 */
export function timePlot(title, points, unit) {
  const top = niceTop(Math.max(0, ...points.map((point) => point.value)));
  const step = 100 / Math.max(points.length, 1);
  const y = (/** @type {number} */ value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const every = Math.ceil(points.length / NAMES_MAX);
  const marks = Array.from({ length: LINES + 1 }, (_, index) => (top * index) / LINES);
  return h("figure", { class: "plot", role: "img", "aria-label": `${title}: ${spoken(points)}` },
    svg("svg", { width: AXIS, height: HEIGHT, "aria-hidden": "true" }, marks.map((mark) => svg("text", { x: AXIS - 10, y: (y(mark) + 4).toFixed(1), "text-anchor": "end" }, unit(mark)))),
    svg("svg", { width: "100%", height: HEIGHT, "aria-hidden": "true" },
      marks.map((mark) => svg("line", { x1: "0", x2: "100%", y1: y(mark).toFixed(1), y2: y(mark).toFixed(1) })),
      points.map((point, index) => column(point, step * index, step, y)),
      points.map((point, index) => index % every === 0 && svg("text", { x: `${(step * (index + 0.5)).toFixed(2)}%`, y: HEIGHT - 6, "text-anchor": "middle" }, point.name))));
}

/** @param {Point} point @param {number} x @param {number} step @param {(value: number) => number} y */
function column(point, x, step, y) {
  const height = Math.max(point.value > 0 ? 1 : 0, y(0) - y(Math.max(point.value, 0)));
  const width = Math.min(step * BAR, 8);
  return svg("rect", { x: `${(x + (step - width) / 2).toFixed(2)}%`, y: (y(0) - height).toFixed(1), width: `${width.toFixed(2)}%`, height: height.toFixed(1), rx: 2 },
    svg("title", null, `${point.name}: ${point.shown}`));
}

/** Bars by name, the longest first; as a list that reads without them. @param {string} title @param {readonly Point[]} points @param {(point: Point) => import("./dom.js").Child} [label] */
export function namePlot(title, points, label = (point) => point.name) {
  const top = Math.max(1e-9, ...points.map((point) => point.value));
  return h("ul", { class: "bars", "aria-label": title }, points.map((point) =>
    h("li", { key: point.name },
      h("span", { class: "bar-name" }, label(point), point.detail && h("small", null, point.detail)), h("span", { class: "bar-value" }, point.shown),
      svg("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { class: "ground", x: 0, y: 0, width: 100, height: 6 }), svg("rect", { x: 0, y: 0, width: Math.max(0, (point.value / top) * 100).toFixed(2), height: 6 })))));
}

/** The next 1, 2, 2.5 or 5 times a power of ten. @param {number} value */
function niceTop(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= value) ?? 10) * power;
}

/** @param {readonly Point[]} points */
function spoken(points) {
  if (!points.length) return "no values";
  const most = points.reduce((best, point) => (point.value > best.value ? point : best));
  return `${points.length} values, the greatest is ${most.shown} (${most.name}). The table has all of them.`;
}
