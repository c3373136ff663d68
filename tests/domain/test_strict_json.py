"""The strict JSON parser accepts only unambiguous JSON."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.domain.errors import Unreadable
from services.kit.wire.strict_json import DEPTH_MAX, NAMES_MAX, read_json

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
NUMBERS = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=30,
)


@given(VALUES)
def test_valid_json_is_read_unchanged(value):
    for escaped in (True, False):
        assert read_json(json.dumps(value, ensure_ascii=escaped).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    try:
        json.dumps(read_json(body), ensure_ascii=False).encode()
    except Unreadable:
        return


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nul", b"NaN", b"[Infinity]", b"-Infinity", b"[1e999]", b"-1e999", b"01", b"[1,]", b'{"a":1,}', b"'a'",
        b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b'[{"a":1,"\\u0061":2}]', b'"\\ud800"', b'["\\udc00\\ud800"]', b'{"\\uD800":1}',
        b'"a\x00b"', b'"\x01"', b'"\xff"', b"\xef\xbb\xbf{}", '"é"'.encode("latin-1"), '{"a":1}'.encode("utf-16"),
        b"9" * 65, b"[" * 100_000, b"[" * (DEPTH_MAX + 2) + b"]" * (DEPTH_MAX + 2), b'{"a":' * 500 + b"1" + b"}" * 500, b"{} {}",
    ],
)  # fmt: skip
def test_ambiguous_or_unstorable_json_is_refused(body):
    with pytest.raises(Unreadable):
        read_json(body)


def test_valid_json_that_looks_ambiguous_is_read():
    assert read_json(b'"\\ud83d\\ude00"') == "😀"
    assert read_json(b'"\\\\u0000 \\\\ud800"') == "\\u0000 \\ud800"
    assert read_json(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX)
    assert read_json(b"[" + b",".join([b'{"a":[]}'] * 2000) + b"]") == [{"a": []}] * 2000


NAMES = [f'"k{number}":1' for number in range(NAMES_MAX)]
READ_SECONDS_MAX = 2.0
HOSTILE = {
    "the last name twice": "{" + ",".join([*NAMES[:-1], NAMES[0]]) + "}",
    "the last two twice": "{" + ",".join([*NAMES[:-1], NAMES[-2]]) + "}",
    "too many names": "{" + ",".join([*NAMES, '"more":1']) + "}",
    "backslashes": '"' + "\\\\" * 250_000,
    "empty lists": "[" + ",".join(["[]"] * 300_000),
    "numbers too long": "[" + ",".join(["9" * 65] * 15_000) + "]",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_is_read_or_refused_quickly(name):
    """An earlier parser took nine seconds for 20,000 names, during which the process served no other request."""
    start = time.process_time()
    with pytest.raises(Unreadable):
        read_json(HOSTILE[name].encode())
    assert time.process_time() - start < READ_SECONDS_MAX


def test_json_with_the_maximum_of_names_is_read():
    assert read_json(("{" + ",".join(NAMES) + "}").encode()) == {f"k{number}": 1 for number in range(NAMES_MAX)}
