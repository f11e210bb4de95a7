"""Whom an event names: found in its text as among its values, whichever way the text is written."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from subscriptions.stripe.payloads import customers_in, customers_named

NAMES = st.sampled_from(["cus_1", "cus_2B", "cus_", "a cus_3", "cus_ä", 'say "cus_4"', '"cus_5', "\\", 7, None])


@given(
    st.recursive(
        NAMES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    st.booleans(),
)
def test_whom_an_event_names_is_found_in_its_text_as_among_its_values(said: Any, ascii_only: bool) -> None:
    event = {"data": said}
    assert customers_named(json.dumps(event, ensure_ascii=ascii_only).encode(), event) == customers_in(event)
