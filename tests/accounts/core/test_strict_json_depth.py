"""How deep a text may nest is the same rule for bytes, of which only the depth is looked at, and for text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.core import strict_json
from accounts.core.strict_json import BadJSON

LEAVES: st.SearchStrategy[Any] = st.sampled_from([None, 1, "text", [], {}])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
)


def is_taken(text: str | bytes, depth: int) -> bool:
    try:
        strict_json.parse(text, max_depth=depth)
    except BadJSON:
        return False
    return True


@given(VALUES, st.integers(1, 6))
def test_bytes_and_text_may_nest_equally_deep(value: Any, depth: int) -> None:
    text = json.dumps(value)
    assert is_taken(text, depth) == is_taken(text.encode(), depth)


@pytest.mark.parametrize(
    ("body", "taken"), [(b"[[1]]", False), (b"[[]]", True), (b"[1]", True), (b'{"a": [[2]]}', False)]
)
def test_a_leaf_counts_as_a_level(body: bytes, taken: bool) -> None:
    assert is_taken(body, 2) == taken
