"""The port to whoever carries the parcels, and a sandbox that behaves by the address.

The sandbox refuses country ZZ when planning; `CARRIER-REFUSE` in the first address line is refused when handing over,
`CARRIER-FAIL-ONCE` fails once. Its shipment ids follow from the order, so a repeated call is the same shipment.
"""

from __future__ import annotations

from typing import Protocol

from services.contracts.orders import Address
from services.kit.eventstore.port import EventStore
from services.kit.resilience.outgoing import CallFailed, Policy, Target
from services.shipping.domain import Ask, Call, Done, NotDone

__all__ = ["CARRIER", "Carrier", "SandboxCarrier", "ask_carrier"]

CARRIER = Policy(name="carrier")

FIRST_TIME = "INSERT INTO sandbox_faults (key) VALUES ($1) ON CONFLICT DO NOTHING RETURNING key"
TAKE = "INSERT INTO sandbox_shipments (order_id, shipment_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
CANCEL = "UPDATE sandbox_shipments SET cancelled = true WHERE order_id = $1 RETURNING shipment_id"


class Carrier(Protocol):
    """A carrier; every call is idempotent per order, and may raise CallFailed."""

    async def prepare(self, order_id: str, address: Address) -> Done | NotDone:
        """Whether the address can be served."""
        ...

    async def create(self, order_id: str, address: Address) -> Done | NotDone:
        """Take the order of transport."""
        ...

    async def cancel(self, order_id: str) -> Done | NotDone:
        """Take it back; Done without a shipment if there was none."""
        ...


async def ask_carrier(target: Target, carrier: Carrier, ask: Ask, call: Call) -> Done | NotDone:
    """Carry out one call."""
    try:
        return await target.call(lambda: _asked(carrier, ask, call), attempts_max=1)  # the saga asks again, later
    except CallFailed as error:
        return NotDone(error.code, error.detail, transient=error.transient)


async def _asked(carrier: Carrier, ask: Ask, call: Call) -> Done | NotDone:
    match call.verb, ask.address:
        case "prepare", Address() as address:
            return await carrier.prepare(ask.saga_id, address)
        case "create", Address() as address:
            return await carrier.create(ask.saga_id, address)
        case "cancel", _:
            return await carrier.cancel(ask.saga_id)
        case _:
            return NotDone("bad-request", f"{call.verb} without an address", transient=False)


class SandboxCarrier:
    """A Carrier on tables of the shipping service."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def prepare(self, order_id: str, address: Address) -> Done | NotDone:
        """Every country but ZZ is served."""
        if address.country == "ZZ":
            return NotDone("address-not-served", "we do not ship there", transient=False)
        return Done()

    async def create(self, order_id: str, address: Address) -> Done | NotDone:
        """Every parcel is taken, unless the address says otherwise."""
        if "CARRIER-REFUSE" in address.line1:
            return NotDone("carrier-refused", "the carrier does not take this parcel", transient=False)
        shipment_id = f"shp_{order_id}"
        async with self._store.transaction() as unit:
            if "CARRIER-FAIL-ONCE" in address.line1 and await unit.fetch(FIRST_TIME, order_id):
                return NotDone("carrier-error", "the carrier could not do it now", transient=True)
            await unit.execute(TAKE, order_id, shipment_id)
        return Done(shipment_id, "sandbox", f"ZC{order_id[-12:].upper()}")

    async def cancel(self, order_id: str) -> Done | NotDone:
        """Whatever was taken for the order is taken back."""
        async with self._store.transaction() as unit:
            rows = await unit.fetch(CANCEL, order_id)
        return Done(str(rows[0]["shipment_id"]) if rows else "")
