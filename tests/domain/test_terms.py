"""Terms: the index and a search cut a text alike, in any script."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.read_model.terms import TERM_CHARS_MAX, terms


def words(text: str) -> list[str]:
    return [term.word for term in terms(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WHITE HANGING HEART T-LIGHT HOLDER", ["white", "hanging", "heart", "t", "light", "holder"]),
        ("SET OF 12, £1 'EACH'!", ["set", "of", "12", "£", "1", "each"]),
        ("CHILDREN'S rock ’n’ roll", ["childrens", "rock", "n", "roll"]),
        ("Crème Brûlée", ["creme", "brulee"]),
        ("Straße Łódź Ørsted İzmir", ["strasse", "lodz", "orsted", "izmir"]),
        ("Αθήνας", ["αθηνασ"]),
        ("ΑΘΉΝΑΣ", ["αθηνασ"]),
        ("Ёлочный шар", ["елочныи", "шар"]),
        ("東京都", ["東", "京", "都", "東京", "京都"]),
        ("ﾊﾞｯｸﾞ１２", ["ハ", "ッ", "ク", "ハッ", "ック", "12"]),
        ("한국어 사전", ["한국어", "사전"]),
        ("I ♥ tea", ["i", "♥", "tea"]),
        ("?? - … /", []),
        ("x" * 100, ["x" * TERM_CHARS_MAX]),
    ],
)
def test_what_the_terms_of_a_text_are(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(st.characters(max_codepoint=127)))
@example("a'b''c' 'd")
def test_the_short_way_for_ascii_says_the_same_as_the_long_one(text: str) -> None:
    assert words(text) == [word for word in words(f"{text} é") if word != "e"] or "e" in words(text)
    assert terms(text) == terms(f"{text} é")[: len(terms(text))]


@given(st.text())
def test_every_term_stands_where_it_says_and_is_its_own_only_term(text: str) -> None:
    for term in terms(text):
        assert 0 <= term.start < term.end <= len(text)
        assert term.word in words(text[term.start : term.end])
        assert term.word.strip("'\\ \0") == term.word
        assert term.word in words(term.word)


@given(st.text())
def test_neither_case_nor_composition_counts(text: str) -> None:
    for form in ("NFC", "NFD"):
        assert words(unicodedata.normalize(form, text)) == words(text)
    assert words(text.upper().lower()) == words(text.lower())
