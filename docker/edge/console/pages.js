/** The pages of the console: their addresses, names, and the scope without which the menu hides them. */
import * as access from "./access.js";
import * as analytics from "./analytics.js";
import * as customers from "./customers.js";
import * as failed from "./failed.js";
import * as order from "./order.js";
import * as orders from "./orders.js";
import * as products from "./products.js";
import * as stock from "./stock.js";
import * as system from "./system.js";
import * as deliveries from "./webhook_deliveries.js";
import * as webhooks from "./webhooks.js";

/** @typedef {{path: string, title: string, menu?: string, within?: string, scope?: string, open: (view: import("./main.js").View) => Promise<void>}} Page */

/** @type {readonly Page[]} */
export const pages = [
  { path: "/", title: "Orders", menu: "Orders", scope: "orders:read", open: orders.open },
  { path: "/orders/:id", title: "Order", within: "/", open: order.open },
  { path: "/products", title: "Products", menu: "Products", open: products.open },
  { path: "/products/:sku", title: "Product", within: "/products", open: products.openOne },
  { path: "/stock", title: "Stock", menu: "Stock", scope: "stock:read", open: stock.open },
  { path: "/customers", title: "Customers", menu: "Customers", scope: "orders:admin", open: customers.open },
  { path: "/customers/:id", title: "Customer", within: "/customers", scope: "orders:read", open: customers.openOne },
  { path: "/analytics", title: "Analytics", menu: "Analytics", scope: "analytics:read", open: analytics.open },
  { path: "/failed", title: "Failed messages", menu: "Failed messages", scope: "operations:read", open: failed.open },
  { path: "/failed/:id", title: "Dead letter", within: "/failed", scope: "operations:read", open: failed.openOne },
  { path: "/webhooks", title: "Webhooks", menu: "Webhooks", scope: "webhooks:read", open: webhooks.open },
  { path: "/webhooks/:id", title: "Endpoint", within: "/webhooks", scope: "webhooks:read", open: webhooks.openOne },
  { path: "/webhooks/:id/deliveries/:delivery", title: "Delivery", within: "/webhooks", scope: "webhooks:read", open: deliveries.openOne },
  { path: "/access", title: "Access", menu: "Access", scope: "access:read", open: access.open },
  { path: "/system", title: "System", menu: "System", scope: "operations:read", open: system.open },
];
