"""A store elsewhere, over HTTP, with data of its own: so that "nothing is left" can be checked, not believed.

    with TestStore("analytics") as store:
        store.put(account.pk, "events", "a line about somebody")
        store.behaves = "later"
        ...
        assert store.left_of(account.pk) == 0

It checks signatures by itself, remembers requests, suppresses what it has erased, and misbehaves as it is told. Beside
`make run`: `python -m tests.fakes.store`.
"""

from tests.fakes.store.behaviour import BEHAVIOURS
from tests.fakes.store.server import TestStore

__all__ = ["BEHAVIOURS", "TestStore"]
