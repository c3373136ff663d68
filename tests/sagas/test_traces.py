"""Golden traces: what happens, word for word; `UPDATE_TRACES=1 pytest tests/sagas` writes them anew.

Read `traces/*.txt` to learn how the saga behaves. Every line with a time is something the run is told; the lines under
it are what it says.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.contracts.fulfillment import RunAmended
from services.contracts.shipping import ShipmentCreate
from services.kit.saga.commands import Amend, SagaCommand
from services.kit.saga.run import status_of
from services.kit.testing import EPOCH, Act, Receivers
from tests.sagas.facts import CANCEL, FACTS, ORDER_ID, RESUME, seconds, simulate

TRACES = Path(__file__).parent / "traces"
FAIL, REFUSE, IGNORE = Act("fail"), Act("refuse"), Act("ignore")
MOVED = FACTS.shipping_address.model_copy(update={"line1": "2 New Road"})
AMEND = Amend(
    at=EPOCH, jitter=0.0, amendment=RunAmended(saga_id=ORDER_ID, facts_version=2, shipping_address=MOVED)
)  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    name: str
    story: str
    script: dict[str, Act] = field(default_factory=dict)
    told: tuple[tuple[float, SagaCommand], ...] = ()


SCENARIOS = (
    Scenario("all-goes-well", "Every step is done at the first attempt."),
    Scenario("out-of-stock", "The goods are not there: what was asked for beside them is undone.",
             {"reserve_inventory #1": REFUSE}),
    Scenario("card-declined", "The card is declined while the other answers are still under way.",
             {"authorize_payment #1": REFUSE, "prepare_fulfillment #1": Act(answers=(seconds(0.015),))}),
    Scenario("nothing-to-undo", "All three first steps are refused, so nothing was ever done but what was in doubt.",
             {"reserve_inventory #1": REFUSE, "authorize_payment #1": REFUSE, "prepare_fulfillment #1": REFUSE}),
    Scenario("carrier-fails-once", "The carrier is away for a moment: a timer brings the second attempt.",
             {"create_shipment #1": FAIL}),
    Scenario("carrier-stays-away", "Four attempts fail, so the money goes back and the goods are let go.",
             {f"create_shipment #{n}": FAIL for n in range(1, 5)}),
    Scenario("no-answer-once", "No answer until the deadline: the step is asked again, and its receiver knows it.",
             {"capture_payment #1": Act(answers=())}),
    Scenario("never-an-answer", "The carrier never answers: after four deadlines all is undone, the shipment too.",
             {f"create_shipment #{n}": IGNORE for n in range(1, 5)}),
    Scenario("late-answer-counts", "The first attempt is answered after its deadline: the answer still counts.",
             {"capture_payment #1": Act(answers=(seconds(125),)), "capture_payment #2": Act(answers=(seconds(60),))}),
    Scenario("late-answer-after-the-undo", "A hold is confirmed after it was let go: it is let go once more.",
             {"authorize_payment #1": Act(answers=(seconds(30),)), "reserve_inventory #1": REFUSE}),
    Scenario("cancelled-in-flight", "The customer cancels while the first three steps are under way.",
             told=((0.005, CANCEL),)),
    Scenario("cancelled-when-complete", "The customer cancels a confirmed order: all of it is undone, in reverse.",
             told=((5, CANCEL),)),
    Scenario("cancellation-overtakes-the-order", "The cancellation arrives first: nothing is ever asked for.",
             told=((-1, CANCEL),)),
    Scenario("undo-fails-twice", "The refund fails twice before it succeeds.",
             {"create_shipment #1": REFUSE, "undo capture_payment #1": FAIL, "undo capture_payment #2": FAIL}),
    Scenario("stuck-and-resumed", "The refund is refused: somebody looks at it, and resumes the run.",
             {"create_shipment #1": REFUSE, "undo capture_payment #1": REFUSE}, ((60, RESUME),)),
    Scenario("address-changed", "The address changes before the shipment is asked for.",
             {"capture_payment #1": Act(answers=(seconds(2),))}, ((1, AMEND),)),
)  # fmt: skip


def played(scenario: Scenario) -> str:
    first = [command for at, command in scenario.told if at < 0]
    simulator = simulate(Receivers.scripted(scenario.script), first)
    for at, command in scenario.told:
        if at >= 0:
            simulator.tell(command, seconds(at))
    run = simulator.play()
    holds = ", ".join(step for step in simulator.receivers.ever_done if step in simulator.receivers.done)
    end = f"In the end the run is {status_of(run)}; done and not undone: {holds or 'nothing'}."
    return "\n".join([scenario.story, "", *simulator.trace, "", end, ""])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_trace(scenario: Scenario) -> None:
    path = TRACES / f"{scenario.name}.txt"
    text = played(scenario)
    if os.environ.get("UPDATE_TRACES"):
        path.write_text(text)
    assert text == path.read_text()


def test_every_trace_has_its_scenario() -> None:
    assert {path.stem for path in TRACES.glob("*.txt")} == {scenario.name for scenario in SCENARIOS}


def test_the_shipment_goes_to_the_newest_address() -> None:
    simulator = simulate(Receivers.scripted({"capture_payment #1": Act(answers=(seconds(2),))}))
    simulator.tell(AMEND, seconds(1))
    simulator.play()
    (shipment,) = [event for event in simulator.history if isinstance(event, ShipmentCreate)]
    assert shipment.shipping_address == MOVED
