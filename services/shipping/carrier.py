"""The port to the carrier, and a sandbox whose answers depend on the address.

The sandbox refuses to plan for country ZZ. It refuses an order of transport whose first address line contains
`CARRIER-REFUSE`, and fails once if that line contains `CARRIER-FAIL-ONCE`. The id of a shipment follows from the order,
so that a repeated call makes the same shipment.
"""

from __future__ import annotations

from typing import Protocol

from services.contracts.orders import Address
from services.kit.eventstore.port import EventStore
from services.kit.resilience.outgoing import Policy, Target
from services.kit.saga.participant import Failure
from services.shipping.domain import Call, CarrierResult

__all__ = ["CARRIER", "Carrier", "SandboxCarrier", "call_carrier"]

CARRIER = Policy(name="carrier")

FIRST_TIME = "INSERT INTO sandbox_faults (key) VALUES ($1) ON CONFLICT DO NOTHING RETURNING key"
CREATE = "INSERT INTO sandbox_shipments (order_id, shipment_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
CANCEL = "UPDATE sandbox_shipments SET cancelled = true WHERE order_id = $1 RETURNING shipment_id"


class Carrier(Protocol):
    """A carrier; its methods may raise CallFailed.

    A call that is repeated for the same order, with the same idempotency key, makes no second shipment.
    """

    async def prepare(self, order_id: str, key: str, address: Address) -> CarrierResult | Failure:
        """Check whether the carrier serves the address."""
        ...

    async def create(self, order_id: str, key: str, address: Address) -> CarrierResult | Failure:
        """Order the transport."""
        ...

    async def cancel(self, order_id: str, key: str) -> CarrierResult | Failure:
        """Cancel the transport; the result has no shipment if none was ordered."""
        ...


async def call_carrier(
    target: Target, carrier: Carrier, order_id: str, key: str, call: Call, /
) -> CarrierResult | Failure:
    """Call the carrier once, because the saga retries the step later; CallFailed if the carrier does not answer."""
    return await target.call(lambda: _call(carrier, order_id, key, call), attempts_max=1)


async def _call(carrier: Carrier, order_id: str, key: str, call: Call) -> CarrierResult | Failure:
    match call:
        case Call("prepare", Address() as address):
            return await carrier.prepare(order_id, key, address)
        case Call("create", Address() as address):
            return await carrier.create(order_id, key, address)
        case Call("cancel"):
            return await carrier.cancel(order_id, key)
        case _:
            return Failure("bad-request", f"{call.verb} needs an address", transient=False)


class SandboxCarrier:
    """A Carrier on tables of the shipping service."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def prepare(self, order_id: str, key: str, address: Address) -> CarrierResult | Failure:
        """Accept every country except ZZ."""
        if address.country == "ZZ":
            return Failure("address-not-served", "the carrier does not serve this country", transient=False)
        return CarrierResult()

    async def create(self, order_id: str, key: str, address: Address) -> CarrierResult | Failure:
        """Accept the order of transport, unless the address asks for a refusal or a fault."""
        if "CARRIER-REFUSE" in address.line1:
            return Failure("carrier-refused", "the carrier refuses this parcel", transient=False)
        shipment_id = f"shp_{order_id}"
        if "CARRIER-FAIL-ONCE" in address.line1 and await self._store.fetch(FIRST_TIME, order_id):
            return Failure("carrier-error", "the carrier had an internal error", transient=True)
        await self._store.fetch(CREATE, order_id, shipment_id)
        return CarrierResult(shipment_id, "sandbox", f"ZC{order_id[-12:].upper()}")

    async def cancel(self, order_id: str, key: str) -> CarrierResult | Failure:
        """Cancel the transport of the order."""
        rows = await self._store.fetch(CANCEL, order_id)
        return CarrierResult(str(rows[0]["shipment_id"]) if rows else "")
