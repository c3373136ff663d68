/** Who may do what: the staff with their roles, and the programs with their secrets. */
import { get, send } from "./api.js";
import { h } from "./dom.js";
import { time, words } from "./format.js";
import { action, ask, badge, failure, field, heading, nothing, panel, select, showOnce, table } from "./ui.js";

/** @typedef {import("./main.js").View} View */

/** @param {View} view */
export async function open(view) {
  const { signal } = view;
  const [staff, programs] = await Promise.all([
    get("/staff", { signal }).catch((error) => ({ error })), get("/clients", { signal }).catch((error) => ({ error })),
  ]);
  signal.throwIfAborted();
  const roles = Object.keys(staff.roles ?? {});
  view.show(
    heading("Access", h("p", { class: "muted" }, "A role is a set of permissions. Nobody can give a permission that they lack."),
      action("Invite …", () => invite(view, roles), { scope: "access:write", primary: true }),
      action("New program …", () => makeProgram(view, Object.values(staff.roles ?? {}).flat()), { scope: "access:write" })),
    panel("Staff", staff.error ? failure(staff.error, view.again) : members(view, staff.staff, roles)),
    panel("Programs", programs.error ? failure(programs.error, view.again) : clients(view, programs.clients)));
}

/** @param {View} view @param {any[]} staff @param {string[]} roles */
function members(view, staff, roles) {
  if (!staff.length) return nothing("Nobody has a role yet. Invite the first.");
  /** @type {import("./ui.js").Column[]} */
  const columns = [
    { name: "Name", wide: true, cell: (each) => [h("strong", null, each.name), h("small", null, each.email)] },
    { name: "Role", cell: (each) => (each.role ? words(each.role) : `Invited as ${each.invited_as}`) },
    { name: "Status", cell: (each) => badge(each.status) },
    { name: "Actions", right: true, cell: (each) => h("div", { class: "buttons end" },
      action("Change role …", () => changeRole(view, each, roles), { scope: "access:write", about: each.name, disabled: !each.role && "The invitation is not accepted yet." }),
      action("Remove …", () => remove(view, each), { scope: "access:write", danger: true, about: each.name })) },
  ];
  return table("Staff", columns, staff, { key: (each) => each.id });
}

/** @param {View} view @param {any[]} found */
function clients(view, found) {
  /** @type {import("./ui.js").Column[]} */
  const columns = [
    { name: "Program", wide: true, cell: (each) => [h("strong", null, each.name), h("small", null, h("code", null, each.client_id))] },
    { name: "Status", cell: (each) => badge(each.status) },
    { name: "Permissions", wide: true, cell: (each) => h("small", null, each.scopes.join(", ")) },
    { name: "Last used", cell: (each) => (each.last_used_at ? time(each.last_used_at) : "never") },
    { name: "Expires", cell: (each) => (each.expires_at ? time(each.expires_at) : "no end") },
    { name: "Actions", right: true, cell: (each) => h("div", { class: "buttons end" }, programActions(view, each)) },
  ];
  return found.length ? table("Programs", columns, found, { key: (each) => each.client_id }) : nothing("No program has access.");
}

/** @param {View} view @param {any} program */
function programActions(view, program) {
  const fixed = program.from_settings ? "The settings of the installation define this program." : program.status === "revoked" && "The program is revoked.";
  return [
    action("New secret …", () => rotate(view, program), { scope: "access:write", about: program.name, disabled: fixed }),
    action("Revoke …", () => revoke(view, program), { scope: "access:write", danger: true, about: program.name, disabled: fixed }),
  ];
}

/** @param {string[]} roles @param {string} [role] */
function roleField(roles, role) {
  return field("Role", select({ name: "role", value: role ?? roles[0] }, roles));
}

/** @param {View} view @param {string[]} roles */
function invite(view, roles) {
  return ask(view, {
    title: "Invite somebody to the staff", text: "The person gets a mail and chooses a password.",
    fields: [field("E-mail", h("input", { name: "email", type: "email", required: true, autocomplete: "off" })), field("Name", h("input", { name: "name", required: true, minlength: "2", maxlength: "100", autocomplete: "off" })), roleField(roles)],
    done: "Invite", submit: ({ email, name, role }) => send("POST", "/staff", { email, name, role }),
  }, "The invitation is on its way.");
}

/** @param {View} view @param {any} member @param {string[]} roles */
function changeRole(view, member, roles) {
  return ask(view, {
    title: `Change the role of ${member.name}`, text: "The person has to log in again.", fields: roleField(roles, member.role), done: "Change",
    submit: ({ role }) => send("PUT", `/staff/${member.id}`, { role }),
  }, "The role is changed.");
}

/** @param {View} view @param {any} member */
function remove(view, member) {
  return ask(view, {
    title: `Remove ${member.name} from the staff?`, text: "The role and all log-ins end at once. The account stays, as a customer's.", done: "Remove", danger: true,
    submit: () => send("DELETE", `/staff/${member.id}`),
  }, "The person does not belong to the staff any more.");
}

/** @param {View} view @param {string[]} scopes those that a role has */
async function makeProgram(view, scopes) {
  let made = /** @type {any} */ (null);
  const boxes = [...new Set(scopes)].sort().map((scope) => h("label", { class: "check" }, h("input", { type: "checkbox", name: `scope-${scope}`, value: scope }), scope));
  await ask(view, {
    title: "New program", fields: [field("Name", h("input", { name: "name", required: true, maxlength: "100", autocomplete: "off" })), h("fieldset", null, h("legend", null, "Permissions"), h("div", { class: "lines" }, boxes))],
    done: "Make", submit: async ({ name, ...chosen }) => { made = await send("POST", "/clients", { name, scopes: Object.values(chosen) }); },
  }, "The program is made.", () => void showSecret(view, made));
}

/** @param {View} view @param {any} program */
async function rotate(view, program) {
  let made = /** @type {any} */ (null);
  await ask(view, {
    title: `New secret for ${program.name}`, text: "The previous secret stays valid for a day.", done: "Make a new secret",
    submit: async () => { made = await send("POST", `/clients/${program.client_id}/rotate`, {}); },
  }, "The secret is made.", () => void showSecret(view, made));
}

/** @param {View} view @param {any} made */
function showSecret(view, made) {
  return showOnce(view, made.client.name, [["Client id", made.client.client_id], ["Secret", made.client_secret]]);
}

/** @param {View} view @param {any} program */
function revoke(view, program) {
  return ask(view, {
    title: `Revoke ${program.name}?`, text: "The program gets no token any more, and its tokens are void at once. This cannot be taken back.", done: "Revoke", danger: true,
    submit: () => send("DELETE", `/clients/${program.client_id}`),
  }, "The program is revoked.");
}
