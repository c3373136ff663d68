"""The optional fields of a request for an order: billing address, tags, metadata and others."""

from __future__ import annotations

import re
from collections.abc import Mapping as Table

from tools.importer.mapping import Mapping
from tools.importer.templates import country_code, filled

__all__ = ["more_of"]

TAG_CHARS_MAX = 50
TAGS_MAX = 50
METADATA_CHARS_MAX = 500
SHORT_CHARS_MAX = 100
TEXT_CHARS_MAX = 200
NO_TAG = re.compile(r"[^a-z0-9_-]+")


def more_of(mapping: Mapping, known: Table[str, str]) -> dict[str, object]:
    """The fields of a request that the row fills."""
    order = mapping.order
    found: dict[str, object] = {
        "billing_address": _billing(mapping, known),
        "purchase_order_number": filled(order.purchase_order_number, known)[:TEXT_CHARS_MAX],
        "shipping_method": filled(order.shipping_method, known)[:SHORT_CHARS_MAX],
        "tags": _tags(known.get(order.tags or "", ""), order.tags_separator),
        "metadata": {
            name: text[:METADATA_CHARS_MAX]
            for name, column in order.metadata.items()
            if (text := known.get(column, "").strip())
        },
    }
    return {name: value for name, value in found.items() if value}


def _tags(text: str, separator: str) -> list[str]:
    """Tags as orders have them: small letters, digits, `-` and `_`; each once."""
    found = (NO_TAG.sub("-", each.strip().lower()).strip("-_")[:TAG_CHARS_MAX] for each in text.split(separator))
    return list(dict.fromkeys(filter(None, found)))[:TAGS_MAX]


def _billing(mapping: Mapping, known: Table[str, str]) -> dict[str, str]:
    """The billing address; empty if the row has none that is complete."""
    billing = mapping.billing
    if billing is None:
        return {}
    texts = {key: filled(getattr(billing, key), known) for key in ("name", "line1", "city", "region", "postal_code")}
    word = known.get(billing.country or "", "").strip()
    codes = {**mapping.address.countries, **billing.countries}
    address = {**texts, "country": country_code(word, codes, billing.default_country)}
    if not all(address[key] for key in ("name", "line1", "city", "country")):
        return {}
    return {key: text for key, text in address.items() if text}
