"""Makes an example of a schema, from the examples that it contains and from values by the name of a field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["example_of"]

BY_NAME: Mapping[str, object] = {
    "actor": "usr_01jd8xk3v5e6s7t8w9x0y1z2a3",
    "amount": "9.00",
    "answer_by": "2026-11-30T09:15:00.000000Z",
    "attempt": 1,
    "carrier": "sandbox",
    "cause": "failed",
    "city": "Leeds",
    "client_id": "cli_4n1s8yq2",
    "code": "card-declined",
    "country": "GB",
    "currency": "GBP",
    "customer_id": "usr_01jd8xk3v5e6s7t8w9x0y1z2a3",
    "customer_name": "Ann Archer",
    "description": "A mug of 0.3 l.",
    "edit_id": "edt_2k5w7z",
    "discounts": [],
    "email": "ann@example.com",
    "endpoint_id": "we_3h7k9m2p4r6t8v",
    "error": "The card was declined.",
    "error_code": "card-declined",
    "line": 1,
    "line1": "1 High Street",
    "line_count": 1,
    "name": "Mug",
    "number": "10042",
    "on_hand": 10,
    "order_id": "ord_iwc61wrq2spsmypx929bhj947yw",
    "percent": "10",
    "position": "00010000000002f1",
    "postal_code": "LS1 1AA",
    "product_id": "MUG",
    "product_name": "Mug",
    "q": "mug",
    "quantity": 2,
    "reason": "The customer called.",
    "refund_id": "rfd_7c1v9x",
    "saga_id": "ord_iwc61wrq2spsmypx929bhj947yw",
    "service": "orders",
    "shipment_id": "shp_iwc61wrq2spsmypx929bhj947yw",
    "shipping_address": {"name": "Ann Archer", "line1": "1 High Street", "city": "Leeds", "country": "GB"},
    "shipping_method": "post",
    "sku": "MUG",
    "status": "confirmed",
    "step": "authorize_payment",
    "subject": "ord_iwc61wrq2spsmypx929bhj947yw",
    "tags": ["gift"],
    "tax_rate": "0",
    "text": "The customer called.",
    "token": "tok_approve",
    "tracking_number": "ZC12",
    "transaction_id": "txn_5d8f2h",
    "unit_price": "4.50",
    "user_id": "usr_01jd8xk3v5e6s7t8w9x0y1z2a3",
    **dict.fromkeys(("subtotal", "total_min", "total_max", "compare_at"), "9.00"),
    **dict.fromkeys(("discount", "discount_total", "shipping_total", "shipping_tax", "tax", "tax_total"), "0.00"),
    **dict.fromkeys(("password", "new", "current"), "correct horse battery"),
    **dict.fromkeys(("expires_at", "valid_from", "placed_at", "since", "created_at"), "2026-11-30T09:12:44.120000Z"),
}
BY_FORMAT: Mapping[str, object] = {"date-time": "2026-11-30T09:12:44.120000Z", "date": "2026-11-30", "duration": "PT1M"}
BY_TYPE: Mapping[str, object] = {"string": "…", "boolean": True, "null": None}
TYPES: Mapping[str, type] = {"string": str, "integer": int, "number": int, "array": list}
DEPTH_MAX = 6
ABSENT = frozenset({"error", "error_code", "expires_at", "reason", "refund_id", "valid_from", "placed_at", "answer_by"})
"""Fields that an example leaves out, or shows as null, where the schema permits it: they belong to special cases."""

Schema = Mapping[str, Any]


def example_of(
    schema: Schema, named: Mapping[str, Schema], *, field: str = "", short: bool = False, depth: int = 0
) -> Any:
    """A value that fits the schema; `short` leaves out what a request need not have and `examples` do not show."""
    match schema:
        case {"examples": [first, *_]} | {"example": first} | {"const": first}:
            return first
        case {"$ref": str(reference)}:
            return example_of(named[reference.rpartition("/")[2]], named, field=field, short=short, depth=depth)
        case {"anyOf": choices} if {"type": "null"} in choices and not _is_known(choices[0], field):
            return None
        case {"anyOf": choices} | {"oneOf": choices} | {"allOf": choices}:
            return example_of(choices[0], named, field=field, short=short, depth=depth)
        case {"enum": values}:
            known = BY_NAME.get(field)
            return known if known in values else values[0]
        case {"properties": fields}:
            return _object(schema, fields, named, short=short, depth=depth)
        case {"type": "array"} if not isinstance(BY_NAME.get(field), list):
            empty = depth >= DEPTH_MAX or "items" not in schema
            return [] if empty else [example_of(schema["items"], named, field=field, short=short, depth=depth + 1)]
        case {"type": "object"}:
            return BY_NAME.get(field, {})
        case _:
            return _plain(schema, field)


def _object(schema: Schema, fields: Schema, named: Mapping[str, Schema], *, short: bool, depth: int) -> dict[str, Any]:
    wanted = schema.get("required", ())
    values = {
        name: example_of(each, named, field=name, short=short, depth=depth + 1)
        for name, each in fields.items()
        if name in wanted or not short
    }
    if short and not values and schema.get("minProperties"):
        return _object(schema, dict([next(iter(fields.items()))]), named, short=False, depth=depth)
    return {name: value for name, value in values.items() if value is not None or name in wanted}


def _is_known(schema: Schema, field: str) -> bool:
    """Whether an optional field is worth showing."""
    return "examples" in schema or (field in BY_NAME and field not in ABSENT)


def _plain(schema: Schema, field: str) -> Any:
    kind = schema.get("type", "string")
    if field in BY_NAME and isinstance(BY_NAME[field], TYPES.get(kind, ())):
        return BY_NAME[field]
    if kind in ("integer", "number"):
        return max(schema.get("minimum", 0), 1)
    if kind == "boolean" and "default" in schema:
        return schema["default"]
    return schema.get("default") or BY_FORMAT.get(schema.get("format", "")) or BY_TYPE.get(kind)
