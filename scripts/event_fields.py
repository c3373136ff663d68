"""The meanings of the fields of published events, which the AsyncAPI document and the page about events show.

A field has the same meaning in each event, unless an entry names the event (or the part of one) as well. The entries
are not docstrings of the contracts, because most fields occur in many events.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["MEANINGS", "meaning_of"]

MEANINGS: Mapping[str, str] = {
    # identities
    "order_id": "The order.",
    "saga_id": "The order: the fulfillment of an order has the id of the order.",
    "customer_id": "The account or the guest (`gst_…`) that the order belongs to; missing if the request named none.",
    "user_id": "The account.",
    "person_id": "The customer, or the order of a guest, whose personal data is erased.",
    "product_id": "The product.",
    "sku": "The product.",
    "endpoint_id": "The webhook endpoint.",
    "reservation_id": "The reservation of the goods in inventory.",
    "shipment_id": "The shipment.",
    "transaction_id": "The id of the transaction at the payment provider.",
    "refund_id": "The refund that staff requested.",
    "charge_id": "The edit whose charge the transaction is; missing for the first charge of the order.",
    "edit_id": "The edit of the lines.",
    "lookup_id": "The request for a link to the order that the mail answers.",
    "notice_id": "The mail that belongs to the event.",
    "number": "The number of the order for people.",
    # orders
    "status": "The final status that the imported order has.",
    "source": "The system from which the order was imported.",
    "placed_at": "When the order was placed in another system; missing if it was placed here.",
    "priority": "`express` orders are shipped first.",
    "shipping_method": "The method of shipping that the customer chose.",
    "capture": "When the money is taken: with the authorization (`at_once`), when the goods are reserved "
    "(`when_reserved`), or when staff capture it (`by_hand`).",
    "tags": "Words by which the shop groups orders.",
    "metadata": "Texts that another program stored with the product, by name.",
    "held": "Whether the order is on hold because it matches a rule of the shop.",
    "rules": "The rules of the shop that the order matched; empty if staff put it on hold.",
    "OrderEditOverdue.attempt": "Counts these events about the edit, from 1.",
    "content": "The whole order, if it was on hold since it was placed: its fulfillment starts now.",
    "reason": "Why, in words for people.",
    "code": "Why, for programs.",
    "shipping_address": "The country of the recipient; the rest is personal data and not in events.",
    "billing_address": "The country of the payer; the rest is personal data and not in events.",
    "country": "ISO 3166-1 alpha-2, such as `GB`.",
    # lines and amounts
    "lines": "The lines of the order.",
    "quantity": "Units.",
    "product_name": "The name of the product at that time.",
    "unit_price": "The price of one unit, in the currency of the order.",
    "price_from": "`catalogue` if the price is that of the catalogue; missing if the request named it.",
    "tax_from": "`shop` if the tax rate is that of the shop; missing if the request named it.",
    "shipping_from": "`shop` if the shop set the shipping cost; missing if the request named it.",
    "line_discount": "The discount on this line alone.",
    "discount": "The line discount and the share of the line in the discounts of the order.",
    "tax_rate": "In percent.",
    "shipping_tax_rate": "The tax on the shipping cost, in percent.",
    "subtotal": "The sum before discounts, shipping and tax.",
    "tax": "The tax on the line.",
    "total": "What the customer pays, in all.",
    "OrderLine.total": "What the customer pays for the line.",
    "discounts": "The discounts on the whole order.",
    "percent": "The discount in percent; missing if it has an `amount`.",
    "coupon": "The code of the coupon.",
    "tax_included": "Whether the prices include the tax; then `tax_total` is a part of the total.",
    "discount_total": "The sum of all discounts.",
    "shipping_total": "The shipping cost.",
    "shipping_tax": "The tax on the shipping cost, which `tax_total` includes.",
    "tax_total": "The sum of all taxes.",
    "currency": "ISO 4217, such as `GBP`.",
    "amount": "The money that the event is about.",
    "Money.amount": "An exact decimal, as text.",
    "Price.amount": "The price of one unit, an exact decimal as text.",
    "Discount.amount": "The discount in the currency of the order; missing if it has a `percent`.",
    "difference": "What the edit adds to the total; negative if it lowers it.",
    "confirmed": "Whether the order was confirmed when it was edited: then the difference was charged or is paid back.",
    "changes": "The units of each product that the edit adds, or takes away if negative.",
    "units": "The units of the order after the edit.",
    "items": "The products and their units.",
    "gives_back": "The products and units that return to the stock when the edit is carried out.",
    "returned": "All products and units that staff took back until now.",
    "surcharge": "What the edit adds to the total, and is charged before the parcels are changed.",
    "undone": "Whether the edit was refused, so that the change of the stock is taken back.",
    # refunds
    "refunded": "What the customer has back by all refunds until now.",
    "RefundedLine.refunded": "The units of the line for which the customer has the money back.",
    "line": "The place of the line in the order, from 1.",
    "restock": "Whether staff took the units back into stock.",
    "shipping": "The part of the refund that is for the shipping cost.",
    "refund_amount": "The amount of the refund that was made for this order as a whole.",
    "charged_back": "Whether the customer's bank took the money by a dispute.",
    "reference": "The provider's id of the refund or the dispute.",
    "unpaid": "Whether the order is not paid any more: do not ship goods that are still there.",
    "what": "What the provider reported.",
    # payment method
    "payment_method": "The kind of the payment method.",
    "kind": "The kind of payment method.",
    "token": "Not in events.",
    # catalogue
    "name": "The name of the product.",
    "description": "The text about the product.",
    "active": "Whether customers see the product and can order it.",
    "tax_class": "The class by which the shop's table finds the tax rate.",
    "weight_grams": "The weight of one unit.",
    "backorder": "Whether the product can be ordered without stock (`allow`) or not (`deny`).",
    "prices": "All prices of the product.",
    "version": "Counts the changes of the product: the event with the highest version is the present product.",
    "valid_from": "The price holds from this instant; missing: it always held.",
    "valid_until": "The price holds before this instant; missing: it has no end.",
    "compare_at": "A higher price to show beside this one, such as the price before a sale.",
    # stock
    "on_hand": "Units in the stock after the event.",
    "reserved": "Units of them that orders hold.",
    "delta": "Units that the event added, or subtracted if negative.",
    "low_below": "The stock counts as low below this quantity.",
    "requested": "Units that the order needs.",
    "available": "Units that no other order held.",
    "is_available": "Whether there were enough.",
    "all_items_available": "Whether all products were there; else nothing is reserved.",
    "repeated": "Whether an earlier attempt had reserved the goods.",
    "expires_at": "Until when the goods are reserved.",
    "restocked": "Whether the units went back to the quantity on hand.",
    # shipping
    "carrier": "The carrier.",
    "tracking_number": "The number by which the carrier finds the parcel.",
    "parcels": "The number of parcels.",
    # fulfillment
    "step": "The step of the fulfillment, such as `authorize_payment`.",
    "undo": "Whether the step is undone instead of done.",
    "attempt": "Counts the attempts at the step, from 1.",
    "success": "Whether the step succeeded.",
    "transient": "Whether another attempt may succeed.",
    "error_code": "Why it failed, for programs.",
    "error": "Why it failed, in words for people.",
    "answer_by": "The step has begun and ends by this instant.",
    "revokes": "Whether an undo that had succeeded did not last, such as a refund that the bank sent back.",
    "cause": "Why the steps are undone: a step failed, or the order was cancelled.",
    "by": "The person or program that resumed it.",
    "facts_version": "The version of the order with which the fulfillment began.",
    "table_version": "The version of the list of steps.",
    # mails, accounts, webhooks
    "template": "Which mail it was.",
    "mailed": "Whether a mail was sent; false if there was no address, or the mail server refused it.",
    "newsletter": "Whether the user wants the newsletter.",
    "notifications": "Whether the user wants mails with tips.",
    "EndpointDisabled.code": "`failing`: every attempt failed for days. `gone`: the receiver answered 410.",
    "url": "The URL of the endpoint.",
}
"""By the name of a field, or by the name of a schema, a dot and the name of its field."""


def meaning_of(schema: str, field: str) -> str:
    """Return the meaning of a field of a schema; KeyError if MEANINGS has none."""
    return MEANINGS.get(f"{schema}.{field}") or MEANINGS[field]
