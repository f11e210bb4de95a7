"""What others are asked to erase: the erasing here does not wait for them, its certificate does."""

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts.erasure import outside
from accounts.erasure.outside import Outside
from accounts.erasure.runner import take_turn
from accounts.jobs.invariants import violations
from accounts.models import Account, Certificate, Purge
from tests.accounts.erasure.purging import MONTH, erase_all, oblige
from tests.factories import NOW

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


class Others:
    """Somebody who is asked, and says what they are told to say."""

    def __init__(self) -> None:
        self.asked: list[uuid.UUID] = []
        self.why = "somebody else"
        self.entry: dict[str, Any] = {"store": "others", "request": "1", "deadline_met": True}

    def begin(self, purge: Purge, at: datetime) -> None:
        self.asked.append(purge.account_id)

    def repeat(self, account_id: uuid.UUID, entry: Mapping[str, Any], purge: Purge | None, at: datetime) -> None: ...
    def nothing(self, account_id: uuid.UUID, at: datetime) -> None: ...
    def awaited(self, purge: Purge) -> str:
        return self.why

    def answered(self, purge: Purge) -> list[dict[str, Any]]:
        return [self.entry]


@pytest.fixture
def others() -> Iterator[Others]:
    them = Others()
    one = Outside("others", them.begin, them.repeat, them.awaited, them.answered, them.nothing, them.nothing)
    with outside.REGISTRY.replaced(one):
        yield them


def test_all_is_erased_here_while_the_certificate_waits_for_others(account: Account, others: Others) -> None:
    purge = oblige(account)
    assert not take_turn(purge, NOW)
    purge.refresh_from_db()
    assert others.asked == [account.pk]
    assert not Account.objects.exists()
    assert (purge.waiting_for, purge.verified_at) == ("somebody else", None)
    assert purge.finished_at is not None
    assert purge.next_attempt_at == NOW + HOUR
    # What is left to others is not late here, whatever becomes of it.
    assert not {"purge-deadline", "purge-overdue"} & {violation.name for violation in violations(NOW + MONTH)}
    finished_at, others.why = purge.finished_at, ""
    assert take_turn(purge, NOW + 2 * MONTH)
    purge.refresh_from_db()
    body = Certificate.objects.get().body
    assert (purge.finished_at, purge.waiting_for) == (finished_at, "")
    assert body["elsewhere"] == [others.entry]
    # It was all gone in time, here and there, whenever the proof of it came.
    assert (body["deadline_met"], body["deadline_met_here"], body["deadline_met_elsewhere"]) == (True, True, True)


def test_a_deadline_that_others_missed_is_missed(account: Account, others: Others) -> None:
    others.why, others.entry["deadline_met"] = "", False
    erase_all(account)
    body = Certificate.objects.get().body
    assert (body["deadline_met"], body["deadline_met_here"], body["deadline_met_elsewhere"]) == (False, True, False)


def test_where_nobody_else_was_asked_nothing_is_said_of_them(account: Account) -> None:
    erase_all(account)
    body = Certificate.objects.get().body
    assert (body["elsewhere"], body["remains"], body["deadline_met_elsewhere"]) == ([], [], None)
