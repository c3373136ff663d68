"""Golden traces: the commands and events of a run in each scenario; `make traces` writes them anew.

Read `traces/*.txt` to learn how the saga behaves. A line with a time is a command to the run: a start, a reply of a
participant, a timer that is due. The lines under it are the events that the run emits: requests, results, timers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.contracts.fulfillment import RunAmended
from services.contracts.shipping import ShipmentCreate
from services.kit.saga.commands import Amend, Cancel, Close, HandleReply, SagaCommand
from services.kit.saga.messages import StepReply
from services.kit.testing import EPOCH, Handling, Participants
from tests.sagas.facts import CANCEL, FACTS, ORDER_ID, RESUME, seconds, simulate

TRACES = Path(__file__).parent / "traces"
FAIL, REFUSE, IGNORE = Handling("fail"), Handling("refuse"), Handling("ignore")
MOVED = FACTS.shipping_address.model_copy(update={"line1": "2 New Road"})
AMEND = Amend(
    at=EPOCH, jitter=0.0, amendment=RunAmended(saga_id=ORDER_ID, facts_version=2, shipping_address=MOVED)
)  # fmt: skip

CLOSE = Close(at=EPOCH, jitter=0.0, saga_id=ORDER_ID, step="create_shipment")
DISPUTE = Cancel(at=EPOCH, jitter=0.0, saga_id=ORDER_ID, reason="the customer's bank disputes the payment")
LAPSED = Cancel(
    at=EPOCH, jitter=0.0, saga_id=ORDER_ID, reason="the authorization of the payment expired and could not be renewed"
)
REFUND = StepReply(saga_id=ORDER_ID, step="capture_payment", undo=True, success=False)
PENDING = HandleReply(at=EPOCH, jitter=0.0, reply=REFUND.model_copy(update={"answer_by": EPOCH + seconds(86_400)}))
UNTIL_CAPTURED = StepReply(saga_id=ORDER_ID, step="capture_payment", success=False, answer_by=EPOCH + seconds(518_400))
UNTIL_RELEASED = StepReply(saga_id=ORDER_ID, step="finalize_order", success=False, answer_by=EPOCH + seconds(518_400))
ON_HOLD = HandleReply(at=EPOCH, jitter=0.0, reply=UNTIL_RELEASED)
CAPTURE_PENDING = HandleReply(at=EPOCH, jitter=0.0, reply=UNTIL_CAPTURED)
REVOKED = HandleReply(
    at=EPOCH, jitter=0.0, reply=REFUND.model_copy(update={"revokes": True, "error_code": "refund-failed"})
)


@dataclass(frozen=True)
class Scenario:
    name: str
    story: str
    script: dict[str, Handling] = field(default_factory=dict)
    commands: tuple[tuple[float, SagaCommand], ...] = ()


SCENARIOS = (
    Scenario("all-goes-well", "Every step is done at the first attempt."),
    Scenario("out-of-stock", "The goods are out of stock: the run undoes the two steps that it requested with the reservation.",
             {"reserve_inventory #1": REFUSE}),
    Scenario("card-declined", "The card is declined while another reply is still under way.",
             {"authorize_payment #1": REFUSE, "prepare_fulfillment #1": Handling(replies=(seconds(0.015),))}),
    Scenario("nothing-to-undo", "The first three steps are refused: the run undoes those whose refusal has not arrived yet.",
             {"reserve_inventory #1": REFUSE, "authorize_payment #1": REFUSE, "prepare_fulfillment #1": REFUSE}),
    Scenario("carrier-fails-once", "The carrier fails once: a timer starts the second attempt.",
             {"create_shipment #1": FAIL}),
    Scenario("carrier-fails-for-good", "Four attempts fail: the run refunds the money and releases the goods.",
             {f"create_shipment #{n}": FAIL for n in range(1, 5)}),
    Scenario("no-reply-once", "The reply is lost: after the deadline the run requests again, and the participant, which did it, replies.",
             {"capture_payment #1": Handling(replies=())}),
    Scenario("no-reply-at-all", "The carrier never replies: after four deadlines the run undoes everything, the shipment too.",
             {f"create_shipment #{n}": IGNORE for n in range(1, 5)}),
    Scenario("late-reply-counts", "The reply to the first attempt arrives after its deadline: it still counts.",
             {"capture_payment #1": Handling(replies=(seconds(125),)), "capture_payment #2": Handling(replies=(seconds(60),))}),
    Scenario("late-reply-after-the-undo", "The reply to an authorization arrives after its undo: the run undoes it once more.",
             {"authorize_payment #1": Handling(replies=(seconds(30),)), "reserve_inventory #1": REFUSE}),
    Scenario("cancelled-in-flight", "The customer cancels while the first three steps are under way: the run undoes them.",
             commands=((0.005, CANCEL),)),
    Scenario("cancelled-after-completion", "The customer cancels a confirmed order: the run undoes everything in reverse order.",
             commands=((5, CANCEL),)),
    Scenario("cancellation-overtakes-the-order", "The cancellation arrives before the order: the run requests nothing.",
             commands=((-1, CANCEL),)),
    Scenario("undo-fails-twice", "The refund fails twice before it succeeds.",
             {"create_shipment #1": REFUSE, "undo capture_payment #1": FAIL, "undo capture_payment #2": FAIL}),
    Scenario("stuck-and-resumed", "The refund is refused: the run is stuck until an operator resumes it.",
             {"create_shipment #1": REFUSE, "undo capture_payment #1": REFUSE}, ((60, RESUME),)),
    Scenario("refund-takes-a-day", "The refund is pending at the bank: the run waits for it, and requests it once.",
             {"create_shipment #1": REFUSE, "undo capture_payment #1": Handling(replies=(seconds(72_000),))},
             ((1, PENDING),)),
    Scenario("on-hold", "Staff put the order on hold and release it after two days: the run captures nothing before.",
             {"finalize_order #1": Handling(replies=(seconds(172_800),))}, ((1, ON_HOLD),)),
    Scenario("on-hold-for-too-long", "Nobody releases the order in six days: orders refuses the second request, and the run undoes everything.",
             {"finalize_order #1": IGNORE, "finalize_order #2": REFUSE}, ((1, ON_HOLD),)),
    Scenario("cancelled-on-hold", "The customer cancels an order that is on hold: the run undoes what was done, and nothing was captured.",
             {"finalize_order #1": IGNORE}, ((1, ON_HOLD), (5, CANCEL))),
    Scenario("captured-by-hand", "Staff capture the payment after two days: the run waits for it, and requests it once.",
             {"capture_payment #1": Handling(replies=(seconds(172_800),))}, ((1, CAPTURE_PENDING),)),
    Scenario("nobody-captures", "Nobody captures the payment in six days: payments refuses the second request, and the run undoes everything.",
             {"capture_payment #1": IGNORE, "capture_payment #2": REFUSE}, ((1, CAPTURE_PENDING),)),
    Scenario("authorization-renewed", "The capture finds the authorization expired; payments renews it, and the second attempt captures.",
             {"capture_payment #1": FAIL}),
    Scenario("authorization-not-renewed", "The authorization expires while staff wait with the capture, and the provider does not renew it.",
             {"capture_payment #1": IGNORE}, ((1, CAPTURE_PENDING), (86_400, LAPSED))),
    Scenario("refund-fails-after-the-end", "The refund fails after the run ended: the run is stuck until an operator resumes it.",
             {"create_shipment #1": REFUSE}, ((86_400, REVOKED), (90_000, RESUME))),
    Scenario("dispatched", "The carrier has the goods: a cancellation that comes later is ignored.",
             commands=((1, CLOSE), (5, CANCEL))),
    Scenario("dispatched-before-the-refusal", "The bank disputes the payment, the carrier has the goods, and the run learns it while it waits for the undo.",
             {"undo create_shipment #1": Handling("refuse", replies=(seconds(3),))}, ((1, DISPUTE), (2, CLOSE))),
    Scenario("dispatched-after-the-refusal", "The same, but the run learns it when it is stuck: it is stuck no longer.",
             {"undo create_shipment #1": REFUSE}, ((1, DISPUTE), (2, CLOSE))),
    Scenario("dispatched-before-the-confirmation", "The customer cancels before the mail is sent, and the carrier has the goods: the run sends the mail.",
             {"create_shipment #1": Handling(replies=(seconds(3),)), "undo create_shipment #1": REFUSE}, ((1, CANCEL), (2, CLOSE))),
    Scenario("address-changed", "The address changes before the run requests the shipment.",
             {"authorize_payment #1": Handling(replies=(seconds(2),))}, ((1, AMEND),)),
)  # fmt: skip


def played(scenario: Scenario) -> str:
    first = [command for at, command in scenario.commands if at < 0]
    simulator = simulate(Participants.scripted(scenario.script), first)
    for at, command in scenario.commands:
        if at >= 0:
            simulator.send(command, seconds(at))
    run = simulator.run_to_end()
    holds = ", ".join(step for step in simulator.participants.ever_done if step in simulator.participants.done)
    end = f"The run ended {run.status}. Done and not undone: {holds or 'nothing'}."
    return "\n".join([scenario.story, "", *simulator.trace, "", end, ""])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_run_equals_the_recorded_trace(scenario: Scenario) -> None:
    path = TRACES / f"{scenario.name}.txt"
    text = played(scenario)
    if os.environ.get("UPDATE_TRACES"):
        path.write_text(text)
    assert text == path.read_text()


def test_every_trace_has_its_scenario() -> None:
    assert {path.stem for path in TRACES.glob("*.txt")} == {scenario.name for scenario in SCENARIOS}


def test_the_shipment_goes_to_the_newest_address() -> None:
    simulator = simulate(Participants.scripted({"capture_payment #1": Handling(replies=(seconds(2),))}))
    simulator.send(AMEND, seconds(1))
    simulator.run_to_end()
    (shipment,) = [event for event in simulator.history if isinstance(event, ShipmentCreate)]
    assert shipment.shipping_address == MOVED
