/** Events as people read them: their types and their subjects. */
import { link } from "./ui.js";

/** The parts of a type that tell events apart: zerocart.orders.order.created.v1 is orders.order.created. @param {string} type */
export function shortType(type) {
  return type.replace(/^zerocart\./, "").replace(/\.v\d+$/, "");
}

/** What an event is about, with a link where the console has a page for it. @param {string} id */
export function subject(id) {
  if (id.startsWith("ord_")) return link(`/orders/${id}`, id);
  if (id.startsWith("usr_")) return link(`/customers/${id}`, id);
  return id.startsWith("we_") ? link(`/webhooks/${id}`, id) : id;
}
