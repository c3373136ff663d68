/** The shell: navigation, log-in, theme, and the page that the address names. */
import { LoggedOut, Problem, onExpiry } from "./api.js";
import { h, mount } from "./dom.js";
import { loginDialog, showLogin, startAnew } from "./login.js";
import { pages } from "./pages.js";
import { may, session } from "./session.js";
import { failure, link, slowPage, waiting } from "./ui.js";
import { nextTheme, themeName } from "./theming.js";

/** @typedef {import("./pages.js").Page} Page */
/** `params` are parts of the address as they stand in it, so that they can stand in the path of a request too. @typedef {{params: Record<string, string>, query: URLSearchParams, signal: AbortSignal, show: (...nodes: import("./dom.js").Child[]) => void, title: (text: string) => void, go: (path: string, replace?: boolean) => void, again: () => void}} View */

const LOADING_SHOWN_AFTER_MS = 250;
const QUIET_MS = 300;
let leave = new AbortController();
let shown = "";

function path() {
  return location.pathname.replace(/^\/console/, "").replace(/\/$/, "") || "/";
}

/** @returns {[Page, Record<string, string>] | null} */
function found() {
  for (const page of pages) {
    const match = new RegExp(`^${page.path.replaceAll(/:(\w+)/g, "(?<$1>[^/]+)")}$`).exec(path());
    if (match && Object.values(match.groups ?? {}).every(isText)) return [page, { ...match.groups }];
  }
  return null;
}

/** Whether a part of an address is text in which no server finds a step to another path. @param {string} part */
function isText(part) {
  try {
    return !/(^|[/\\])\.*([/\\]|$)/.test(decodeURIComponent(part));
  } catch {
    return false;
  }
}

/** @param {string} to @param {boolean} [replace] */
function go(to, replace = false) {
  history[replace ? "replaceState" : "pushState"](null, "", `/console${to}`);
  void open({ scroll: !replace });
}

/** `y` is where the person was on the page when they left it. @param {{scroll?: boolean, y?: number}} [options] */
async function open(options = {}) {
  leave.abort();
  leave = new AbortController();
  for (const box of document.querySelectorAll("dialog")) box.close(); // a form belongs to its page
  if (!session()) return askToLogIn();
  const [page, params] = found() ?? [null, {}];
  const place = page ? path() : "nowhere";
  const fresh = place !== shown;
  shown = place;
  mount(document.body, shell(page));
  const main = /** @type {HTMLElement} */ (document.getElementById("main"));
  if (!page) return settle(main, "Not found", h("h1", { tabindex: "-1" }, "There is no such page"), h("p", null, h("a", { href: "/console" }, "Go to the orders")));
  await openPage(page, params, main, fresh, options);
}

/** @param {HTMLElement} main @param {string} title @param {...import("./dom.js").Child} nodes */
function settle(main, title, ...nodes) {
  mount(main, ...nodes);
  document.title = `${title} · zerocart`;
}

/** @param {Page} page @param {Record<string, string>} params @param {HTMLElement} main @param {boolean} fresh @param {{scroll?: boolean, y?: number}} options */
async function openPage(page, params, main, fresh, options) {
  const { signal } = leave;
  let arrived = !fresh;
  const show = (/** @type {import("./dom.js").Child[]} */ ...nodes) => {
    if (signal.aborted) return;
    if (!arrived) main.replaceChildren(); // nothing that a person typed belongs to another page
    mount(main, ...nodes);
    main.removeAttribute("aria-busy");
    if (!arrived) arrive(main, options);
    arrived = true;
  };
  document.title = `${page.title} · zerocart`;
  main.setAttribute("aria-busy", "true");
  if (fresh) setTimeout(() => !arrived && !signal.aborted && mount(main, waiting()), LOADING_SHOWN_AFTER_MS);
  /** @type {View} */
  const view = {
    params, query: new URLSearchParams(location.search), signal, show, go,
    title: (text) => signal.aborted || (document.title = `${text} · zerocart`),
    again: () => void open(),
  };
  try {
    await (await loaded(page))(view);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof LoggedOut)) show(h("h1", { tabindex: "-1" }, page.title), refusal(page, error, view));
    else if (!document.querySelector("dialog[open]")) startAnew(); // a form that is open would be lost
  } finally {
    main.removeAttribute("aria-busy");
  }
}

/** Why a page is not shown, and the way on: to its list if there is no such thing, else another attempt. @param {Page} page @param {unknown} error @param {View} view */
function refusal(page, error, view) {
  const isNoId = error instanceof Problem && error.errors.length > 0 && error.errors.every(({ field }) => field.startsWith("path."));
  if (!isNoId && !(error instanceof Problem && error.status === 404)) return failure(error, error instanceof NotLoaded ? () => location.reload() : view.again);
  const list = pages.find((each) => each.path === page.within);
  return [
    failure(isNoId ? new Error(`There is no such ${page.title.toLowerCase()}. Check the address of this page.`) : error),
    list && h("p", null, link(list.path === "/" ? "" : list.path, `Back to ${list.title}`)),
  ];
}

/** @param {Page} page */
async function loaded(page) {
  try {
    return await page.load();
  } catch {
    throw new NotLoaded("The console cannot load this page. A newer version may have been installed.");
  }
}

/** A module is missing; browsers remember that until the console is loaded anew. */
class NotLoaded extends Error {}

/** Fetch the modules of all pages while nobody waits. */
function loadTheRest() {
  for (const page of pages) void page.load().catch(() => null);
}

let first = true;

/** @param {HTMLElement} main @param {{scroll?: boolean, y?: number}} options */
function arrive(main, options) {
  if (options.scroll) scrollTo(0, 0);
  else if (options.y !== undefined) scrollTo(0, options.y);
  if (!first) main.querySelector("h1")?.focus({ preventScroll: true });
  else setTimeout(loadTheRest, QUIET_MS);
  first = false;
}

function askToLogIn() {
  shown = "";
  showLogin(() => open({ scroll: true }));
  setTimeout(loadTheRest, QUIET_MS);
}

/** @param {Page | null} current */
function shell(current) {
  const items = pages.filter((page) => page.menu && may(page.scope)).map((page) => {
    const here = current === page || current?.within === page.path;
    return h("li", null, h("a", { href: `/console${page.path === "/" ? "" : page.path}`, "aria-current": here ? "page" : null }, page.menu));
  });
  return [
    h("a", { class: "skip", href: "#main", on: { click: skip } }, "Skip to content"),
    h("header", { class: "bar" },
      h("a", { class: "brand", href: "/console" }, "zerocart"),
      h("button", { class: "menu", type: "button", "aria-expanded": "false", "aria-controls": "menu", on: { click: toggleMenu } }, "Menu"),
      h("nav", { id: "menu", "aria-label": "Console" }, h("ul", null, items)),
      h("div", { class: "person" },
        h("span", { class: "who", title: session()?.scopes.join(", ") ?? null }, session()?.who),
        h("button", { type: "button", class: "plain", on: { click: changeTheme } }, `Theme: ${themeName()}`),
        h("button", { type: "button", class: "plain", on: { click: startAnew } }, "Log out"))),
    h("main", { id: "main", tabindex: "-1", key: "main", "data-keep": true }),
    slowPage(),
    h("div", { id: "notices", role: "status", "aria-live": "polite", key: "notices", "data-keep": true }),
  ];
}

/** @param {MouseEvent} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** @param {MouseEvent} event */
function toggleMenu(event) {
  const button = /** @type {HTMLElement} */ (event.currentTarget);
  button.setAttribute("aria-expanded", String(button.getAttribute("aria-expanded") !== "true"));
}

/** @param {MouseEvent} event */
function changeTheme(event) {
  nextTheme();
  /** @type {HTMLElement} */ (event.currentTarget).textContent = `Theme: ${themeName()}`;
}

/** Follow links of the console without loading the page anew. @param {MouseEvent} event */
function follow(event) {
  const anchor = event.target instanceof Element ? event.target.closest("a") : null;
  if (!anchor || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const here = anchor.origin === location.origin && /^\/console(\/|$)/.test(anchor.pathname);
  if (!here || anchor.hasAttribute("download") || anchor.target) return;
  event.preventDefault();
  go(anchor.pathname.replace(/^\/console/, "") + anchor.search);
}

onExpiry(() => loginDialog());
addEventListener("click", follow);
history.scrollRestoration = "manual"; // the browser scrolls before the page has its rows
addEventListener("scrollend", () => history.replaceState({ y: scrollY }, ""));
addEventListener("popstate", ({ state }) => void open({ y: state?.y }));
void open({ y: history.state?.y });
