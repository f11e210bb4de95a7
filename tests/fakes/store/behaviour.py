"""How a store answers: honestly and at once, or in each of the ways in which stores do not.

A behaviour is a function from a request (or a question after one: `polled`) to an answer. Those that lie say what is
not so of data that is still there.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.store.state import Asked, Holdings


@dataclass
class Reply:
    """A status and a body. `cut`: the connection ends without an answer. `drip`: seconds between the bytes."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    drip: float = 0.0


def said(status: int, /, **body: Any) -> Reply:
    return Reply(status, json.dumps(body).encode())


def done(store: Holdings, asked: Asked, **more: Any) -> Reply:
    """Erase, and say so: counts of the first time, `left` counted."""
    left = store.erase(asked)
    return said(200, status="done", erased=dict(asked.erased), left=left, **more)


Behaviour = Callable[[Holdings, Asked, bool], Reply]


def at_once(store: Holdings, asked: Asked, polled: bool) -> Reply:
    return done(store, asked, proof=f"job {asked.request[:8]}")


def later(store: Holdings, asked: Asked, polled: bool) -> Reply:
    """Accepted; done when it is asked after for the second time."""
    if not polled:
        expected = datetime.now(UTC) + timedelta(hours=1)
        return said(202, status="accepted", expected_by=expected.isoformat())
    asked.times += 1
    if asked.times < 3:
        return said(202, status="in_progress", erased=dict(asked.erased))
    return done(store, asked)


def by_report(store: Holdings, asked: Asked, polled: bool) -> Reply:
    """Accepted, and for ever at work to whoever asks: it reports by itself (`TestStore.report`)."""
    return said(202, status="in_progress" if polled else "accepted")


def partly(store: Holdings, asked: Asked, polled: bool) -> Reply:
    """One record stays, and it says so."""
    left = store.erase(asked, but=1)
    if not left:
        return said(200, status="done", erased=dict(asked.erased), left=0)
    return said(200, status="partly", erased=dict(asked.erased), left=left)


def keeps(store: Holdings, asked: Asked, polled: bool) -> Reply:
    """Done, but for what law makes it keep, without a person's name on it."""
    kept = {"what": "invoices", "reason": "tax law", "ground": "§ 147 AO", "until": "2036-12-31"}
    return done(store, asked, kept=[kept])


def refuses(store: Holdings, asked: Asked, polled: bool) -> Reply:
    return said(422, status="refused", reason="legal_hold", ground="a lawsuit is under way")


def says_done_without_left(store: Holdings, asked: Asked, polled: bool) -> Reply:
    return said(200, status="done", erased={})


def says_done_with_three_left(store: Holdings, asked: Asked, polled: bool) -> Reply:
    return said(200, status="done", erased={}, left=3)


def says_not_found(store: Holdings, asked: Asked, polled: bool) -> Reply:
    return said(404, error="no such user")


def says_gone(store: Holdings, asked: Asked, polled: bool) -> Reply:
    return Reply(410)


def says_skipped(store: Holdings, asked: Asked, polled: bool) -> Reply:
    return said(200, status="skipped", left=0)


def says_ok(store: Holdings, asked: Asked, polled: bool) -> Reply:
    """What most handlers of such requests do in the wild: 200, and nothing."""
    return Reply(200, b"OK")


def vanishes(store: Holdings, asked: Asked, polled: bool) -> Reply:
    return Reply(0, cut=True)


def erases_and_vanishes(store: Holdings, asked: Asked, polled: bool) -> Reply:
    """It is done, and nobody hears of it."""
    store.erase(asked)
    return Reply(0, cut=True)


def slow(store: Holdings, asked: Asked, polled: bool) -> Reply:
    """A byte now and then: each read is quick, the whole takes for ever."""
    return Reply(200, b" " * 400, drip=0.05)


def redirects(store: Holdings, asked: Asked, polled: bool) -> Reply:
    return Reply(302, headers={"location": "/elsewhere"})


def huge(store: Holdings, asked: Asked, polled: bool) -> Reply:
    reply = done(store, asked)
    return Reply(200, reply.body[:-1] + b', "more": "' + b"x" * 200_000 + b'"}')


def busy(store: Holdings, asked: Asked, polled: bool) -> Reply:
    return Reply(429, headers={"retry-after": "120"})


def fails(store: Holdings, asked: Asked, polled: bool) -> Reply:
    return Reply(500)


def running(store: Holdings, asked: Asked, polled: bool) -> Reply:
    """A request with this id is running."""
    return done(store, asked) if polled else Reply(409)


def with_markup(store: Holdings, asked: Asked, polled: bool) -> Reply:
    return done(store, asked, proof="<script>alert(1)</script><b>case</b> 12\x07" + "x" * 600)


BEHAVIOURS: dict[str, Behaviour] = {
    behaviour.__name__: behaviour
    for behaviour in (
        at_once,
        later,
        by_report,
        partly,
        keeps,
        refuses,
        says_done_without_left,
        says_done_with_three_left,
        says_not_found,
        says_gone,
        says_skipped,
        says_ok,
        vanishes,
        erases_and_vanishes,
        slow,
        redirects,
        huge,
        busy,
        fails,
        running,
        with_markup,
    )
}
