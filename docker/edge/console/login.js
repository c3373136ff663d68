/** Logging in, on a page of its own or in a dialog over the page whose token expired. */
import { LoggedOut } from "./api.js";
import { h, mount } from "./dom.js";
import { logIn, session } from "./session.js";
import { dialog, failure, field, valuesOf } from "./ui.js";

/** @param {string} [name] */
function fields(name = "") {
  return [
    field("E-mail or client id", h("input", { name: "name", id: "login-name", required: true, autocomplete: "username", autocapitalize: "none", spellcheck: "false", value: name })),
    field("Password or client secret", h("input", { name: "secret", id: "login-secret", type: "password", required: true, autocomplete: "current-password" })),
  ];
}

/** @param {() => unknown} done */
export function loginPage(done) {
  const errors = h("div", { key: "errors" });
  /** @param {SubmitEvent} event */
  const submit = async (event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const button = /** @type {HTMLElement} */ (form.querySelector("button"));
    if (button.getAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    mount(errors);
    try {
      const { name = "", secret = "" } = valuesOf(form);
      await logIn(name, secret);
      done();
    } catch (error) {
      mount(errors, failure(error));
      /** @type {HTMLElement} */ (form.elements.namedItem("secret")).focus();
    } finally {
      button.removeAttribute("aria-disabled");
    }
  };
  return h("main", { class: "login", key: "login" },
    h("h1", null, "zerocart"),
    h("p", { class: "muted" }, "Log in to the console."),
    h("form", { on: { submit } }, fields(), errors, h("button", { class: "primary" }, "Log in")),
    h("p", { class: "hint" }, "On a local cluster, ", h("code", null, "zerocart open"), " prints the client id and the secret."));
}

/** @type {Promise<void> | null} */
let asking = null;

/** Ask once, however many requests wait. @returns {Promise<void>} */
export function loginDialog() {
  return (asking ??= ask().finally(() => (asking = null)));
}

async function ask() {
  const done = await dialog({
    title: "Log in again",
    text: "Your log-in has expired. What you see stays as it is.",
    fields: fields(session()?.who),
    done: "Log in",
    submit: ({ name = "", secret = "" }) => logIn(name, secret),
  });
  if (!done) throw new LoggedOut();
}
