"""Our JSON against Python's."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import plainjson

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(SCALARS | TEXT, lambda some: st.lists(some) | st.dictionaries(TEXT, some), max_leaves=20)


@given(DOCUMENTS, st.booleans())
def test_reads_what_json_writes(document: object, escaped: bool) -> None:
    assert plainjson.loads(json.dumps(document, ensure_ascii=escaped, indent=1)) == document


@given(st.dictionaries(TEXT, SCALARS | TEXT | st.dictionaries(TEXT, TEXT)))
def test_json_reads_what_is_written(document: dict[str, object]) -> None:
    assert json.loads(plainjson.dumps(document)) == document


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn\\u "', max_size=30))
def test_fuzz_takes_nothing_that_json_refuses(text: str) -> None:
    try:
        found = plainjson.loads(text)
    except ValueError:
        return
    assert found == json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 20 else float(digits))


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a"}', '{"a":1,}', "[1,]", "[1 2]", '"\\x"', '"\\u12"', '"\\u12g4"', '"a', "1 2", "nul", "NaN", "--1",
     "Infinity", '"\n"', "[" * 100 + "]" * 100, "{1:2}", "+1", "'a'"],
)  # fmt: skip
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        plainjson.loads(text)


def test_a_lone_half_of_a_character_is_replaced() -> None:
    assert plainjson.loads('"a\\ud800b"') == "a�b"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", [1]])
def test_does_not_write_what_it_cannot(value: object) -> None:
    with pytest.raises(TypeError):
        plainjson.dumps({"a": value})
