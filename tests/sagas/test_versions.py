"""Versions of the table: a run keeps to the table under which it began, and nothing that was done stays undone unseen.

`runs/VERSION` holds recorded runs. `make traces` writes those of the newest version that are not there yet and changes
none, so a step that is renamed or removed without a new version fails here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import accumulate
from pathlib import Path

import pytest

from services.contracts.fulfillment import RunStarted
from services.fulfillment.saga import FULFILLMENT, ORDER_SAGA, ORDER_SAGA_1, ORDER_TABLES
from services.kit.domain.decider import Decider, Rejected
from services.kit.domain.message import Message
from services.kit.saga.commands import HandleReply, SagaCommand
from services.kit.saga.interpreter import saga_decider
from services.kit.saga.messages import RunCompensated, RunStuck, StepReply, StepRequest
from services.kit.saga.run import Compensated, Completed, Failed, NotStarted, Run, Stuck
from services.kit.saga.table import Saga, Step
from services.kit.testing import EPOCH, Participants
from tests.sagas.facts import CANCEL, RESUME, RETRY_OVERDUE, START, simulate
from tests.sagas.test_traces import SCENARIOS

RUNS = Path(__file__).parent / "runs"
RECORDED = ("all-goes-well", "card-declined", "carrier-fails-once", "late-reply-after-the-undo", "no-reply-once")
LATER = EPOCH + timedelta(days=1)
Table = Saga[RunStarted]
Fulfillment = Decider[SagaCommand, Run]


def renamed(table: Table, old: str, new: str) -> tuple[Step[RunStarted], ...]:
    """The steps of a table, with another name for one."""
    return tuple(
        replace(
            step, name=new if step.name == old else step.name, after=tuple(new if n == old else n for n in step.after)
        )
        for step in table.steps
    )


NEW = Saga(
    ORDER_SAGA.category, ORDER_SAGA.vocabulary, renamed(ORDER_SAGA, "capture_payment", "take_payment"), version=9
)
EDITED = replace(NEW, version=ORDER_SAGA.version)
"""The same change without a new version, which is the mistake."""


def played(decider: Fulfillment, history: Sequence[Message], *commands: SagaCommand) -> list[Message]:
    """The events of a run that gets commands, and from participants that do and undo all that they are asked to."""
    run, said, queue = decider.fold(history), list[Message](), list(commands)
    while queue:
        decision = decider.decide(queue.pop(0), run)
        assert not isinstance(decision, Rejected)
        run = decider.fold(decision, run)
        said += decision
        for request in decision:
            if isinstance(request, StepRequest):
                to = {
                    "saga_id": request.saga_id,
                    "step": request.step,
                    "undo": request.undo,
                    "attempt": request.attempt,
                }
                queue.append(HandleReply(at=LATER, jitter=0.0, reply=StepReply.model_validate(to)))
    return said


def left(history: Sequence[Message]) -> set[str]:
    """The steps that participants may have done and did not undo."""
    done: set[str] = set()
    for request in history:
        if isinstance(request, StepRequest):
            (done.discard if request.undo else done.add)(request.step)
    return done


WITHOUT_UNDO = {step.name for table in ORDER_TABLES for step in table.steps if step.undo is None}
COMPLETED = played(FULFILLMENT, [], START)
HALF_WAY = COMPLETED[: next(n for n, e in enumerate(COMPLETED) if getattr(e, "step", "") == "create_shipment")]


def test_a_run_keeps_to_the_table_under_which_it_began() -> None:
    both = saga_decider(ORDER_SAGA, NEW)
    for history in (COMPLETED, HALF_WAY):
        end = [*history, *played(both, history, replace(CANCEL, at=LATER))]
        assert isinstance(both.fold(end), Compensated)
        assert left(end) <= WITHOUT_UNDO
    on = [*HALF_WAY, *played(both, HALF_WAY, replace(RETRY_OVERDUE, at=LATER))]
    assert isinstance(both.fold(on), Completed)
    assert "take_payment" not in {e.step for e in on if isinstance(e, StepRequest)}


def test_a_new_run_is_recorded_with_the_newest_version() -> None:
    started, *rest = played(saga_decider(ORDER_SAGA, NEW), [], START)
    assert isinstance(started, RunStarted)
    assert started.table_version == 9
    assert "take_payment" in {e.step for e in rest if isinstance(e, StepRequest)}


@pytest.mark.parametrize("tables", [(EDITED,), (NEW,)], ids=["step renamed in place", "old table removed"])
@pytest.mark.parametrize("history", [COMPLETED, HALF_WAY], ids=["completed", "half way"])
def test_run_with_an_unknown_step_is_stuck_and_says_so(tables: tuple[Table, ...], history: list[Message]) -> None:
    wrong = saga_decider(*tables)
    said = played(wrong, history, replace(CANCEL, at=LATER))
    (stuck,) = [each for each in said if isinstance(each, RunStuck)]
    assert stuck.error_code == "step-unknown"
    assert not [each for each in said if isinstance(each, RunCompensated | StepRequest)]
    assert isinstance(wrong.fold([*history, *said]), Stuck)
    again = played(wrong, [*history, *said], RESUME)
    assert isinstance(wrong.fold([*history, *said, *again]), Stuck)
    mended = [*history, *said, *played(FULFILLMENT, [*history, *said], RESUME)]
    assert isinstance(FULFILLMENT.fold(mended), Compensated)
    assert left(mended) <= WITHOUT_UNDO


def test_running_run_with_an_unknown_step_does_not_go_on() -> None:
    said = played(saga_decider(EDITED), HALF_WAY, replace(RETRY_OVERDUE, at=LATER))
    assert [type(each) for each in said if isinstance(each, RunStuck | StepRequest)] == [ORDER_SAGA.vocabulary.stuck]


# Recorded runs


def recorded(path: Path) -> list[Message]:
    models = {model.type: model for model in FULFILLMENT.events}
    events = json.loads(path.read_text())
    return [models[event["type"]].read_parsed(event["data"]) for event in events]


def missing() -> list[str]:
    """The scenarios of which the newest version has no recorded run."""
    folder = RUNS / f"{ORDER_TABLES[-1].version}"
    return [name for name in RECORDED if not (folder / f"{name}.json").exists()]


def record(name: str) -> None:
    scenario = next(each for each in SCENARIOS if each.name == name)
    simulator = simulate(Participants.scripted(scenario.script))
    simulator.run_to_end()
    path = RUNS / f"{ORDER_TABLES[-1].version}" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    events = [{"type": event.type, "data": json.loads(event.write())} for event in simulator.history]
    path.write_text("[\n" + ",\n".join(json.dumps(event) for event in events) + "\n]\n")


if os.environ.get("UPDATE_TRACES"):
    for scenario_name in missing():
        record(scenario_name)


def test_the_newest_version_has_recorded_runs() -> None:
    assert missing() == [], "run `make traces`"
    assert {int(folder.name) for folder in RUNS.iterdir()} >= {table.version for table in ORDER_TABLES}


@pytest.mark.parametrize("path", sorted(RUNS.glob("*/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recorded_run_ends_well_from_each_of_its_events(path: Path) -> None:
    history = recorded(path)
    for begun in accumulate([[event] for event in history]):
        if isinstance(FULFILLMENT.fold(begun), NotStarted):
            continue
        overdue = replace(RETRY_OVERDUE, at=LATER)
        for commands in ([overdue], [replace(CANCEL, at=LATER), overdue]):
            end = [*begun, *played(FULFILLMENT, begun, *commands)]
            run = FULFILLMENT.fold(end)
            assert isinstance(run, Completed | Compensated | Failed), (len(begun), commands, end[-1])
            assert isinstance(run, Completed) or left(end) <= WITHOUT_UNDO | refused(end)


def refused(history: Sequence[Message]) -> set[str]:
    """The steps whose only attempt was refused, which leaves nothing to undo."""
    run = FULFILLMENT.fold(history)
    assert not isinstance(run, NotStarted)
    return {name for name, step in run.progress.steps.items() if not step.needs_undo}


def test_order_of_the_steps_of_version_1_is_written_in_its_own_table() -> None:
    """A new step of the newest table may come before `send_confirmation`; version 1 does not have it."""
    first = ("reserve_inventory", "authorize_payment", "prepare_fulfillment")
    assert {step.name: step.after for step in ORDER_SAGA_1.steps} == {
        **dict.fromkeys(first, ()),
        "capture_payment": first,
        "finalize_order": first,
        "create_shipment": ("capture_payment", "finalize_order"),
        "send_confirmation": ("create_shipment",),
    }
