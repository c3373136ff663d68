/** The parts that pages are made of: badges, tables, pagers, dialogs, messages. */
import { Problem } from "./api.js";
import { h, mount } from "./dom.js";
import { counted, number, words } from "./format.js";
import { may } from "./session.js";

/** @typedef {import("./dom.js").Child} Child */
/** @typedef {{name: string, right?: boolean, wide?: boolean, cell: (row: any) => Child}} Column */

const TONES = /** @type {Record<string, string>} */ ({
  confirmed: "good", shipped: "good", delivered: "good", captured: "good", completed: "good", done: "good", sent: "good",
  succeeded: "good", active: "good", serving: "good", created: "good", dispatched: "good", replayed: "good", awake: "good",
  pending: "busy", processing: "busy", cancelling: "busy", started: "busy", in_progress: "busy", retrying: "busy",
  requested: "busy", refund_pending: "busy", compensating: "busy", authorized: "busy", prepared: "busy", building: "busy",
  behind: "busy", on_hold: "warn", waiting: "warn", refund_failed: "warn", disputed: "warn", unknown: "warn", low: "warn", inactive: "warn",
  suspended: "warn", failed: "bad", declined: "bad", refused: "bad", stuck: "bad", stopped: "bad", out: "bad",
});

/** A status as a word with a colour. @param {string} status @param {string} [text] */
export function badge(status, text = words(status)) {
  return h("span", { class: `badge ${TONES[status] ?? "calm"}` }, text);
}

/** A link inside the console. @param {string} path @param {...Child} children */
export function link(path, ...children) {
  return h("a", { href: `/console${path}` }, ...children);
}

/** A titled part of a page. @param {string} title @param {...Child} children */
export function panel(title, ...children) {
  return h("section", { class: "panel", key: title, "aria-label": title }, h("h2", null, title), ...children);
}

/** Names and values. @param {...[string, Child] | null | false | undefined} pairs */
export function facts(...pairs) {
  const shown = pairs.filter((pair) => pair && pair[1] !== null && pair[1] !== undefined && pair[1] !== "");
  return h("dl", { class: "facts" }, shown.map((pair) => pair && [h("dt", null, pair[0]), h("dd", null, pair[1])]));
}

/**
 * A table; in narrow places each row is a card. The roles keep its meaning, which the cards' layout takes away.
 * @param {string} caption @param {readonly Column[]} columns @param {readonly any[]} rows
 * @param {{key?: (row: any) => string, foot?: Child[], compact?: boolean}} [options]
 */
export function table(caption, columns, rows, options = {}) {
  const name = (/** @type {Column} */ column) => `${column.right ? "right" : ""} ${column.wide ? "wide" : ""}`.trim() || null;
  const head = columns.map((column) => h("th", { scope: "col", role: "columnheader", class: name(column) }, column.name));
  const body = rows.map((row) =>
    h("tr", { role: "row", key: options.key?.(row) },
      columns.map((column) => h("td", { role: "cell", class: name(column), "data-name": column.name }, column.cell(row)))));
  return h("table", { role: "table", class: options.compact ? "compact" : "cards", key: caption },
    h("caption", { class: "unseen" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)),
    h("tbody", { role: "rowgroup" }, body),
    options.foot && h("tfoot", { role: "rowgroup" }, options.foot));
}

/** What is said where nothing is. @param {string} text @param {...Child} more */
export function nothing(text, ...more) {
  return h("p", { class: "nothing" }, text, ...more);
}

/** A part of a page that waits for its data. The style sheet shows the sentence about a long wait after two seconds. @param {string} [text] */
export function waiting(text = "Loading …") {
  return h("p", { class: "waiting", role: "status" }, text, h("span", { class: "late" }, SLOW));
}

/** Says the same of a page that is shown already and waits for newer data. */
export function slowPage() {
  return h("p", { class: "slow", role: "status", key: "slow" }, h("span", { class: "late" }, SLOW));
}

const SLOW = " It takes longer than usual: a service starts, or something that it needs does not answer.";

/** Show the page anew, as `again` of its view does. */
export function lookAgain() {
  dispatchEvent(new PopStateEvent("popstate"));
}

/** An error in words, with the fields that it names. @param {unknown} error @param {(() => void) | undefined} [retry] */
export function failure(error, retry) {
  const problem = error instanceof Problem ? error : null;
  const text = error instanceof Error ? error.message : String(error);
  return h("div", { class: "failure", role: "alert" },
    h("p", null, explained(problem, text)),
    problem?.errors.length ? h("ul", null, problem.errors.map((each) => h("li", null, h("code", null, each.field.replace(/^(query|body|path)\./, "")), ` ${each.detail}`))) : null,
    retry && problem?.status !== 422 && h("button", { type: "button", on: { click: retry } }, "Try again"));
}

/** @param {Problem | null} problem @param {string} text */
function explained(problem, text) {
  const told = text.replace(": `errors` names them", ""); // the list below names them
  const sentence = told.charAt(0).toUpperCase() + told.slice(1) + (/[.!?]$/.test(told) ? "" : ".");
  return problem?.status === 503 ? `${sentence} Try again in a moment.` : sentence;
}

/**
 * A button for an action; without the scope it is disabled and says why.
 * @param {string} text @param {() => unknown} act @param {{scope?: string, danger?: boolean, primary?: boolean, disabled?: string | false | null | undefined, about?: string}} [options] `about` tells buttons of the same name apart
 */
export function action(text, act, options = {}) {
  const reason = options.disabled || (may(options.scope) ? null : `Your log-in has no permission for this (${options.scope}).`);
  const name = `${options.danger ? "danger" : ""} ${options.primary ? "primary" : ""}`.trim() || null;
  /** @param {MouseEvent} event */
  const run = async (event) => {
    const button = /** @type {HTMLElement} */ (event.currentTarget);
    if (reason !== null || button.ariaBusy) return;
    button.ariaBusy = "true";
    await Promise.resolve(act()).finally(() => (button.ariaBusy = null));
  };
  return h("button", { type: "button", key: text, class: name, "aria-disabled": reason ? "true" : null, title: reason, on: { click: run } },
    text, options.about && h("span", { class: "unseen" }, ` ${options.about}`), reason && h("span", { class: "unseen" }, `: ${reason}`));
}

/** Pages of a list, by links that keep its filters. @param {URLSearchParams} query @param {any} list @param {string} path @param {string} noun */
export function pager(query, list, path, noun) {
  const page = list.page ?? 1;
  const pages = list.total_pages ?? page + (list.next_cursor ? 1 : 0);
  const to = (/** @type {number} */ wanted) => {
    const search = new URLSearchParams(query);
    search.set("page", String(wanted));
    return `/console${path}?${search}`;
  };
  const step = (/** @type {string} */ text, /** @type {number} */ wanted, /** @type {boolean} */ possible) =>
    possible ? h("a", { class: "button", href: to(wanted) }, text) : h("span", { class: "button off", "aria-hidden": "true" }, text);
  const total = list.total === undefined ? "" : `${list.total_relation === "at_least" ? "more than " : ""}${counted(list.total, noun)}`;
  return h("nav", { class: "pager", "aria-label": "Pages" },
    h("p", { role: "status" }, total, pages > 1 ? ` · page ${number(page)} of ${number(pages)}` : ""),
    pages > 1 && h("div", null, step("Previous", page - 1, page > 1), step("Next", page + 1, page < pages)));
}

/** A labelled field. @param {string} text @param {HTMLElement} input @param {string} [hint] */
export function field(text, input, hint) {
  const id = input.id || `field-${text.toLowerCase().replaceAll(/\W+/g, "-")}`;
  input.id = id;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: "field" }, h("label", { for: id }, text), input, hint && h("small", { id: `${id}-hint` }, hint));
}

/** A choice from a list. @param {Props} props @param {readonly (string | [string, string])[]} choices @typedef {import("./dom.js").Props} Props */
export function select(props, choices) {
  const { value, ...rest } = props;
  const pairs = choices.map((choice) => (typeof choice === "string" ? [choice, words(choice)] : choice));
  const options = pairs.map(([name, text]) => h("option", { value: name, selected: name === value }, text));
  return h("select", { ...rest, value: value ?? "" }, options);
}

/**
 * A dialog with a form. `submit` gets the form's values; the dialog closes when it is done and shows its error otherwise.
 * `only` leaves the button out that goes back. Resolves to whether it was done. The browser keeps the focus inside, and gives it back.
 * @param {{title: string, text?: Child, fields?: Child, done: string, danger?: boolean, wide?: boolean, only?: boolean, submit: (values: Record<string, string>) => Promise<unknown>}} about
 * @returns {Promise<boolean>}
 */
export function dialog(about) {
  return new Promise((resolve) => {
    let done = false;
    const title = `dialog-${document.querySelectorAll("dialog").length}`; // a log-in may open over a form
    const errors = h("div", { "aria-live": "assertive" });
    const button = /** @type {HTMLButtonElement} */ (h("button", { class: about.danger ? "danger" : "primary" }, about.done));
    const cancel = h("button", { type: "button", on: { click: () => box.close() } }, "Back");
    /** @param {SubmitEvent} event */
    const submit = async (event) => {
      event.preventDefault();
      if (button.getAttribute("aria-disabled")) return;
      button.setAttribute("aria-disabled", "true");
      mount(errors);
      const slow = setTimeout(() => mount(errors, waiting("Waiting for the answer …")), SLOW_MS);
      try {
        await about.submit(valuesOf(/** @type {HTMLFormElement} */ (event.target)));
        done = true;
        box.close();
      } catch (error) {
        mount(errors, failure(error), unsure(error) && h("small", null, "It is not known whether the change took effect. Send it again: it takes effect once, however often you send it."));
      } finally {
        clearTimeout(slow);
        button.removeAttribute("aria-disabled");
      }
    };
    const box = /** @type {HTMLDialogElement} */ (h("dialog", { class: about.wide ? "wide" : null, "aria-labelledby": title },
      h("form", { on: { submit } },
        h("h2", { id: title }, about.title), about.text && h("p", null, about.text), about.fields, errors,
        h("div", { class: "buttons" }, !about.only && cancel, button))));
    const opener = /** @type {HTMLElement | null} */ (document.activeElement);
    box.onclose = () => {
      box.remove();
      opener?.focus();
      resolve(done);
    };
    document.body.append(box);
    box.showModal();
  });
}

/** Whether a change may have taken effect although it was answered with this error. @param {unknown} error */
function unsure(error) {
  return error instanceof Problem && !error.isFinal;
}

const SLOW_MS = 1_500;

/**
 * Ask by a dialog; when it is done, say so and show the page anew.
 * @param {{again: () => void}} view @param {Parameters<typeof dialog>[0]} about @param {string} said @param {() => void} [then] instead of showing the page anew
 */
export async function ask(view, about, said, then = view.again) {
  let refused = false;
  const submit = async (/** @type {Record<string, string>} */ values) => {
    try {
      await about.submit(values);
    } catch (error) {
      refused ||= error instanceof Problem;
      throw error;
    }
  };
  if (await dialog({ ...about, submit })) {
    notify(said);
    then();
  } else if (refused) view.again(); // perhaps somebody else did it meanwhile
}

/**
 * Do it without asking, say how it went, and show the page anew.
 * @param {{again: () => void}} view @param {Promise<unknown>} doing @param {string} said
 */
export async function carriedOut(view, doing, said) {
  if (await told(doing, said)) view.again();
}

/** Wait for it and say so, or why not; whether the page may show something new. @param {Promise<unknown>} doing @param {string} [said] */
export async function told(doing, said) {
  try {
    await doing;
    if (said) notify(said);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return false;
    complain(error);
  }
  return true;
}

/**
 * Show what nobody can read again, such as a new secret, then the page anew.
 * @param {{again: () => void}} view @param {string} title @param {readonly [string, string][]} values by label
 */
export async function showOnce(view, title, values) {
  await dialog({
    title, text: "Copy the secret now: nobody can read it again.", done: "Done", only: true, submit: async () => {},
    fields: values.map(([name, value]) => field(name, h("input", { readonly: true, value, on: { focus: (/** @type {any} */ event) => event.target.select() } }))),
  });
  view.again();
}

/** @param {string} [hint] @param {string} [value] */
export function reasonField(hint, value = "") {
  return field("Reason", h("input", { name: "reason", required: true, maxlength: "200", autocomplete: "off", value }), hint);
}

/** The values of a form by name. @param {HTMLFormElement} form @returns {Record<string, string>} */
export function valuesOf(form) {
  return Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value).trim()]));
}

/** Say something for a moment, also to screen readers. @param {string} text */
export function notify(text) {
  const notice = h("p", { class: "notice" }, text);
  document.getElementById("notices")?.append(notice);
  setTimeout(() => notice.remove(), NOTICE_MS);
}

/** Say what went wrong, until the person has read it. @param {unknown} error */
function complain(error) {
  const close = h("button", { type: "button", on: { click: () => notice.remove() } }, "Close");
  const notice = h("div", { class: "notice" }, failure(error), close);
  document.getElementById("notices")?.append(notice);
}

const NOTICE_MS = 6_000;

/** A note above a page or part. @param {string} tone @param {...Child} children */
export function note(tone, ...children) {
  return h("div", { class: `note ${tone}` }, ...children);
}

/** The head of a page. @param {string} title @param {Child} [beside] @param {...Child} buttons */
export function heading(title, beside, ...buttons) {
  return h("header", { class: "page-head" },
    h("div", null, h("h1", { tabindex: "-1" }, title), beside),
    buttons.length ? h("div", { class: "buttons" }, ...buttons) : null);
}

/** Whether a part of a page has no data yet, or could not be read. @param {any} part */
export function unread(part) {
  return part?.loading || part?.error instanceof Error;
}

/** The place of such a part. @param {string} title @param {any} part */
export function unreadPanel(title, part) {
  return panel(title, part.loading ? waiting() : failure(part.error, lookAgain));
}
