/** Logging in, by the form of the page or in a dialog over the page whose token expired. */
import { LoggedOut } from "./api.js";
import { h, mount } from "./dom.js";
import { logIn, logOut, session } from "./session.js";
import { dialog, failure, field, lookAgain, valuesOf } from "./ui.js";

/** Show the form of index.html, which the browser paints before any module is there. @param {() => unknown} done */
export function showLogin(done) {
  const form = /** @type {HTMLFormElement | null} */ (document.getElementById("login"));
  if (!form) return startAnew();
  document.documentElement.dataset.login = "";
  document.title = "Log in · zerocart";
  form.onsubmit = (event) => submitted(event, form, done);
}

/** Leave nothing of the person who was logged in. */
export function startAnew() {
  logOut();
  location.reload();
}

/** @param {SubmitEvent} event @param {HTMLFormElement} form @param {() => unknown} done */
async function submitted(event, form, done) {
  event.preventDefault();
  const errors = /** @type {HTMLElement} */ (document.getElementById("login-errors"));
  const button = /** @type {HTMLElement} */ (form.querySelector("button"));
  if (button.getAttribute("aria-disabled")) return;
  button.setAttribute("aria-disabled", "true");
  mount(errors);
  try {
    const { name = "", secret = "" } = valuesOf(form);
    await logIn(name, secret);
    delete document.documentElement.dataset.login;
    done();
  } catch (error) {
    mount(errors, failure(error));
    /** @type {HTMLElement} */ (form.elements.namedItem("secret")).focus();
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

/** @type {Promise<void> | null} */
let asking = null;

/** Ask once, however many requests wait. @returns {Promise<void>} */
export function loginDialog() {
  return (asking ??= ask().finally(() => (asking = null)));
}

async function ask() {
  const before = session()?.who;
  const done = await dialog({
    title: "Log in again",
    text: "Your log-in has expired. What you see stays as it is.",
    fields: [
      field("E-mail or client id", h("input", { name: "name", required: true, autocomplete: "username", autocapitalize: "none", spellcheck: "false", value: session()?.who })),
      field("Password or client secret", h("input", { name: "secret", type: "password", required: true, autocomplete: "current-password" })),
    ],
    done: "Log in",
    submit: ({ name = "", secret = "" }) => logIn(name, secret),
  });
  if (!done) throw new LoggedOut("You are not logged in any more. Log in, then try again.");
  if (session()?.who === before) return;
  lookAgain(); // what was begun by one person must not be sent by another
  throw new LoggedOut("Somebody else has logged in, so nothing was sent.");
}
