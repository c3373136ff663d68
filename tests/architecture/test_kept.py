"""Recorded messages and migrations do not change, so that old and new releases can run side by side."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.keep import KEPT, changes, kept, models, recorded, with_examples

ORDER = "zerocart.orders.order.created.v1"


def test_recorded_messages_are_unchanged_and_new_ones_are_recorded() -> None:
    before = json.loads(KEPT.read_text())
    assert changes(before, kept()) == []
    assert {name: before[name] for name in kept()} == kept(), "run `make keep`"


MODELS = {model.type: model for model in models()}


@pytest.mark.parametrize("type_", MODELS)
def test_recorded_examples_are_read_and_written_unchanged(type_: str) -> None:
    """One example of each message, with every field, as it was written when the message was new."""
    example = json.loads(KEPT.read_text())["examples"][type_]
    assert holds(json.loads(MODELS[type_].read(json.dumps(example)).write()), example)


def holds(now: Any, then: Any) -> bool:
    """Whether `now` has every value of `then` unchanged; it may have more fields."""
    if isinstance(then, dict):
        return all(name in now and holds(now[name], value) for name, value in then.items())
    if isinstance(then, list):
        return len(now) == len(then) and all(map(holds, now, then))
    return now == then


def _shape(found: dict[str, Any]) -> dict[str, Any]:
    return found["messages"][ORDER]["shape"]


BREAKS = {
    "a field is gone": lambda found: _shape(found)["properties"].pop("email"),
    "a field has another type": lambda found: _shape(found)["properties"]["order_id"].update(type="integer"),
    "a word is gone from an enumeration": lambda found: _shape(found)["properties"]["priority"]["enum"].pop(),
    "a new field must be there": lambda found: (
        _shape(found)["properties"].update(shop={"type": "string"}),
        _shape(found)["required"].append("shop"),
    ),
    "a field need not be there any more": lambda found: _shape(found)["required"].remove("lines"),
    "a value inside has lost a field": lambda found: _shape(found)["$defs"]["Address"]["properties"].pop("city"),
    "a message is gone": lambda found: found["messages"].pop(ORDER),
    "the key is another": lambda found: found["messages"][ORDER].update(key="customer_id"),
    "a field is no longer personal": lambda found: found["messages"][ORDER]["personal"].remove("email"),
    "an applied migration is another": lambda found: found["migrations"].update({"eventstore/0001_log": "0"}),
}


@pytest.mark.parametrize("name", BREAKS)
def test_every_breaking_change_is_found(name: str) -> None:
    now = copy.deepcopy(kept())
    BREAKS[name](now)
    assert len(changes(kept(), now)) == 1


def test_an_optional_field_and_a_new_message_are_allowed() -> None:
    now = copy.deepcopy(kept())
    _shape(now)["properties"]["gift"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    now["messages"]["zerocart.orders.order.wrapped.v1"] = now["messages"][ORDER]
    now["migrations"]["orders/0002_more"] = "1"
    assert changes(kept(), now) == []


def test_an_example_may_lack_later_fields_but_keeps_its_own() -> None:
    then = {"order_id": "1", "lines": [{"quantity": 2}]}
    later = {"order_id": "1", "lines": [{"quantity": 2, "gift": False}], "channel": "web"}
    assert holds(later, then)
    assert not holds(then, later)
    assert not holds({**later, "lines": [{"quantity": 3}]}, then)
    assert not holds({**later, "lines": []}, then)


def test_a_recorded_example_stays_and_is_not_made_again() -> None:
    before = json.loads(KEPT.read_text())
    before["examples"][ORDER]["order_id"] = "written then"
    assert with_examples(kept(), before)["examples"][ORDER]["order_id"] == "written then"
    del before["examples"][ORDER]
    with pytest.raises(KeyError, match=ORDER):
        with_examples(kept(), before)


def test_a_shape_can_change_until_it_is_committed(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    file.write_text('{"messages": {"old": 1}}')
    assert recorded(file) == {"messages": {"old": 1}}
    git = ("git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e")
    for words in (("init", "-q"), ("add", "kept.json"), ("commit", "-q", "--no-verify", "-m", "shapes")):
        subprocess.run((*git, *words), check=True)
    file.write_text('{"messages": {"tried": 1}}')
    assert recorded(file) == {"messages": {"old": 1}}
