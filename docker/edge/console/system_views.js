/** The views of the read database: how far each is, and the versions that are being built. */
import { h } from "./dom.js";
import { counted, number, percent, time } from "./format.js";
import { badge, nothing, table } from "./ui.js";

/** @param {any[]} found */
export function views(found) {
  if (!found.length) return nothing("operations does not know the address of the read database.");
  return [table("Views of the read database", VIEW_COLUMNS, found, { compact: true, key: (row) => row.view }), builds(found.filter(({ build }) => build)), commands(found)];
}

/** Whether a build goes on, so that the page looks again. @param {any[]} found */
export function building(found) {
  return found.some(({ build }) => build && !waits(build));
}

/** @type {import("./ui.js").Column[]} */
const VIEW_COLUMNS = [
  { name: "View", wide: true, cell: (row) => row.view },
  { name: "State", cell: (row) => (row.stopped ? badge("stopped") : badge(row.events_behind ? "behind" : "serving", row.events_behind ? "Behind" : "Level")) },
  { name: "Events behind", right: true, cell: (row) => number(row.events_behind) },
];

/** @param {any[]} rows */
function builds(rows) {
  if (!rows.length) return null;
  return [h("h3", null, "Builds"), table("Builds of views", BUILD_COLUMNS, rows, { key: (row) => row.view })];
}

/** The commands with which an operator goes on: the edge has no route for them. @param {any[]} found */
function commands(found) {
  const shown = found.flatMap(commandsOf);
  return shown.length > 0 && [
    h("h3", null, "Commands for what waits"),
    h("ul", { class: "plain", key: "commands" }, shown.map(([command, effect]) => h("li", null, h("code", null, `zerocart views ${command}`), h("small", null, effect)))),
    h("p", { class: "muted small" }, "On a cluster, docs/runbooks.md shows the same as requests to the projection (Views)."),
  ];
}

/** @param {any} row @returns {[string, string][]} */
function commandsOf({ view, stopped, build }) {
  if (stopped || build?.stopped) return [
    [view, "shows the event that stopped it, its position and the error"],
    [`${view} --retry`, "applies the event again, after a release that can show it"],
    [`${view} --skip POSITION --reason WHY`, "leaves the event out of this and all later versions"],
  ];
  return build && waits(build) ? [[`${view} --switch ${build.version}`, `lets version ${build.version} serve`], [`${view} --drop ${build.version}`, "drops it; the version that serves stays"]] : [];
}

/** @type {import("./ui.js").Column[]} */
const BUILD_COLUMNS = [
  { name: "View", wide: true, cell: (row) => [row.view, h("small", null, `version ${row.build.version}`)] },
  { name: "State", cell: ({ build }) => progress(build) },
  { name: "Events left", right: true, cell: ({ build }) => number(build.events_behind) },
  { name: "Began", cell: ({ build }) => time(build.began_at) },
];

/** Whether only an operator can go on with a build. @param {any} build */
function waits(build) {
  return build.stopped || (build.compared && (build.then === "wait" || (build.then === "switch_if_equal" && build.differing_tables.length > 0)));
}

/** @param {any} build */
function progress(build) {
  if (build.stopped) return [badge("stopped"), h("small", null, "It cannot show an event.")];
  if (!waits(build)) return [badge("building"), h("small", null, `${percent(build.share_read)} of the events read`)];
  const different = build.differing_tables;
  return [badge("waiting", "Waits for you"), h("small", null, different.length ? `${counted(different.length, "table")} ${different.length === 1 ? "differs" : "differ"}: ${different.join(", ")}` : "Its rows are equal.")];
}
