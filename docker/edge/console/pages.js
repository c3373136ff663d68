/** The pages of the console: their addresses, names, and the scope without which the menu hides them. */
import * as order from "./order.js";
import * as orders from "./orders.js";

/** @typedef {{path: string, title: string, menu?: string, within?: string, scope?: string, open: (view: import("./main.js").View) => Promise<void>}} Page */

/** @type {readonly Page[]} */
export const pages = [
  { path: "/", title: "Orders", menu: "Orders", scope: "orders:read", open: orders.open },
  { path: "/orders/:id", title: "Order", within: "/", open: order.open },
];
