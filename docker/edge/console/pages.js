/** The pages of the console: their addresses, names, the scope without which the menu hides them, and their modules, which load when needed. */

/** @typedef {{path: string, title: string, menu?: string, within?: string, scope?: string, load: () => Promise<Open>}} Page */
/** @typedef {(view: import("./main.js").View) => Promise<void>} Open */

/** @type {readonly Page[]} */
export const pages = [
  { path: "/", title: "Orders", menu: "Orders", scope: "orders:read", load: async () => (await import("./orders.js")).open },
  { path: "/orders/:id", title: "Order", within: "/", load: async () => (await import("./order.js")).open },
  { path: "/products", title: "Products", menu: "Products", load: async () => (await import("./products.js")).open },
  { path: "/products/:sku", title: "Product", within: "/products", load: async () => (await import("./products.js")).openOne },
  { path: "/stock", title: "Stock", menu: "Stock", scope: "stock:read", load: async () => (await import("./stock.js")).open },
  { path: "/customers", title: "Customers", menu: "Customers", scope: "orders:admin", load: async () => (await import("./customers.js")).open },
  { path: "/customers/:id", title: "Customer", within: "/customers", scope: "orders:read", load: async () => (await import("./customers.js")).openOne },
  { path: "/analytics", title: "Analytics", menu: "Analytics", scope: "analytics:read", load: async () => (await import("./analytics.js")).open },
  { path: "/failed", title: "Failed messages", menu: "Failed messages", scope: "operations:read", load: async () => (await import("./failed.js")).open },
  { path: "/failed/:id", title: "Dead letter", within: "/failed", scope: "operations:read", load: async () => (await import("./failed.js")).openOne },
  { path: "/webhooks", title: "Webhooks", menu: "Webhooks", scope: "webhooks:read", load: async () => (await import("./webhooks.js")).open },
  { path: "/webhooks/:id", title: "Endpoint", within: "/webhooks", scope: "webhooks:read", load: async () => (await import("./webhooks.js")).openOne },
  { path: "/webhooks/:id/deliveries/:delivery", title: "Delivery", within: "/webhooks", scope: "webhooks:read", load: async () => (await import("./webhook_deliveries.js")).openOne },
  { path: "/access", title: "Access", menu: "Access", scope: "access:read", load: async () => (await import("./access.js")).open },
  { path: "/system", title: "System", menu: "System", scope: "operations:read", load: async () => (await import("./system.js")).open },
];
