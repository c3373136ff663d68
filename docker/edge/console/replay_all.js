/** Replays a whole list of failed messages, each by a request of its own, and tells which could not be replayed and why. */
import { Problem, send } from "./api.js";
import { h, mount } from "./dom.js";
import { counted, number } from "./format.js";
import { dialog, notify } from "./ui.js";

/** @typedef {{name: string, path: string, body: unknown}} Message */
/** `next` reads the list again, for the messages behind those that it had. @typedef {{noun: string, messages: Message[], more: boolean, next: () => Promise<Message[]>}} List */
/** @typedef {{replayed: number, failed: [Message, string][], total: number, stopped: boolean, left: Message[]}} Run */

const AT_A_TIME = 4;
const NAMES_SHOWN = 3;

/** Ask, replay, and show how it went. @param {{again: () => void}} view @param {List} list */
export async function replayAll(view, list) {
  const found = counted(list.messages.length, list.noun);
  const asked = await dialog({
    title: `Replay ${found}?`, done: "Replay all", submit: async () => {},
    text: `${list.more ? `The list shows ${number(list.messages.length)} at most; those behind them are replayed too. ` : ""}Each is published again. A service that handled one before ignores it. One that fails again comes back.`,
  });
  if (!asked) return;
  await replaying(list);
  view.again();
}

/** Replay in a dialog; resolves when it is closed. To close it earlier stops. @param {List} list */
function replaying(list) {
  return new Promise((resolve) => {
    /** @type {Run} */
    const run = { replayed: 0, failed: [], total: list.messages.length, stopped: false, left: [...list.messages] };
    const content = h("div", { class: "plain" });
    const button = h("button", { type: "button", on: { click: () => (working ? stop() : box.close()) } }, "Stop");
    const box = /** @type {HTMLDialogElement} */ (h("dialog", { class: "wide", "aria-labelledby": "replaying" },
      h("form", { method: "dialog" }, h("h2", { id: "replaying" }, "Replay all"), content, h("div", { class: "buttons" }, button))));
    let working = true;
    const show = () => mount(content, working ? progress(run) : summary(run, list.noun));
    const stop = () => {
      run.stopped = true;
      show();
    };
    box.oncancel = (event) => {
      if (!working) return;
      event.preventDefault();
      stop();
    };
    box.onclose = () => {
      run.stopped = true;
      box.remove();
      resolve(undefined);
    };
    document.body.append(box);
    show();
    box.showModal();
    void replayed(run, list, show).finally(() => {
      working = false;
      button.textContent = "Close";
      show();
      if (!box.open) notify(`${said(run, list.noun)}.`); // the person has left the page
    });
  });
}

/** @param {Run} run @param {List} list @param {() => void} show */
async function replayed(run, list, show) {
  const tried = new Set();
  while (run.left.length && !run.stopped) {
    for (const { body, path } of run.left) tried.add(path + JSON.stringify(body));
    await Promise.all(Array.from({ length: AT_A_TIME }, () => each(run, show)));
    if (!list.more || run.stopped) return;
    run.left = (await list.next().catch(() => [])).filter(({ body, path }) => !tried.has(path + JSON.stringify(body)));
    run.total += run.left.length;
  }
}

/** @param {Run} run @param {() => void} show */
async function each(run, show) {
  for (let message; !run.stopped && (message = run.left.shift()); show()) {
    try {
      await send("POST", message.path, message.body);
      run.replayed++;
    } catch (error) {
      run.failed.push([message, error instanceof Error ? error.message : String(error)]);
      run.stopped ||= !(error instanceof Problem && error.isFinal); // without an answer, or logged out: the others would have none either
    }
  }
}

/** @param {Run} run */
function progress(run) {
  const ended = run.replayed + run.failed.length;
  return [
    h("progress", { max: run.total, value: ended, "aria-label": "Replayed" }),
    h("p", null, run.stopped ? "Stopping …" : `${number(ended)} of ${number(run.total)}`, run.failed.length > 0 && `, ${number(run.failed.length)} failed`),
  ];
}

/** @param {Run} run @param {string} noun */
function said(run, noun) {
  const left = run.left.length;
  return [`${counted(run.replayed, noun)} published again`, run.failed.length && `${number(run.failed.length)} failed`, left && `${number(left)} not tried`].filter(Boolean).join(", ");
}

/** @param {Run} run @param {string} noun */
function summary(run, noun) {
  /** @type {Map<string, string[]>} */
  const reasons = new Map();
  for (const [{ name }, reason] of run.failed) reasons.set(reason, [...(reasons.get(reason) ?? []), name]);
  return [
    h("p", { role: "status" }, said(run, noun), "."),
    reasons.size > 0 && h("ul", { class: "plain" }, [...reasons].map(([reason, names]) =>
      h("li", null, h("strong", null, number(names.length)), ` ${reason}`, h("small", null, names.slice(0, NAMES_SHOWN).join(", "), names.length > NAMES_SHOWN && ` and ${number(names.length - NAMES_SHOWN)} more`)))),
    run.stopped && run.left.length > 0 && h("p", null, "Replay all again to go on with the others."),
  ];
}
