"""Bodies of old deliveries are emptied, their rows stay; old refusals are forgotten."""

from datetime import timedelta

import pytest

from accounts.inbox import inbox, refused_messages, retention
from accounts.inbox.sources import SOURCES
from accounts.models import Delivery, RefusedMessage
from tests.accounts.inbox.senders import PAPER, PIGEON, PigeonRefusal, hear
from tests.factories import NOW

pytestmark = pytest.mark.django_db
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def test_a_body_is_kept_for_ninety_days() -> None:
    with SOURCES.replaced(PIGEON):
        hear(PIGEON, "d-1", at=NOW)
        assert inbox.process_due(NOW) == 1
        assert retention.empty_old(NOW + 90 * DAY) == 0
        late = NOW + 90 * DAY + SECOND
        assert list(retention.preview(late)) == ["pigeon d-1 of 2026-03-17"]
        assert retention.empty_old(late) == 1
        assert retention.empty_old(late) == 0
    stored = Delivery.objects.get()
    assert (stored.body, stored.outcome) == (None, "applied")


def test_a_source_may_say_for_how_long_its_bodies_are_kept() -> None:
    with SOURCES.replaced(PIGEON, PAPER):
        hear(PIGEON, "short-lived", at=NOW)
        hear(PAPER, "kept for a year", at=NOW)
        assert retention.empty_old(NOW + 90 * DAY + SECOND) == 1
        assert Delivery.objects.get(body__isnull=True).delivery_id == "short-lived"
        assert retention.empty_old(NOW + 365 * DAY) == 0
        assert retention.empty_old(NOW + 365 * DAY + SECOND) == 1


def test_a_body_goes_after_the_usual_time_when_nobody_declares_its_source_any_more() -> None:
    with SOURCES.replaced(PAPER):
        hear(PAPER, "d-1", at=NOW)
    assert retention.empty_old(NOW + 90 * DAY) == 0
    assert retention.empty_old(NOW + 90 * DAY + SECOND) == 1


def test_a_refusal_is_remembered_for_ninety_days() -> None:
    for at in (NOW, NOW + timedelta(minutes=10), NOW + DAY):
        refused_messages.note(PIGEON, PigeonRefusal.RING, claimed="another loft", at=at)
    # NOW is half past nine: two of them fell into one hour.
    assert list(RefusedMessage.objects.order_by("hour").values_list("count", flat=True)) == [2, 1]
    first = RefusedMessage.objects.earliest("hour")
    assert (first.first_at, first.last_at) == (NOW, NOW + timedelta(minutes=10))
    late = NOW + timedelta(days=90, minutes=10)
    assert retention.tidy(late) == 0
    assert list(retention.preview(late + SECOND)) == ["refusal pigeon ring 2026-03-17 09h"]
    assert retention.tidy(late + SECOND) == 1
    assert RefusedMessage.objects.get().count == 1


def test_what_a_stranger_claims_to_be_fits_into_the_table() -> None:
    for claimed in ("x" * 5000, "half \ud800 a pair", "nul \x00"):
        refused_messages.note(PIGEON, PigeonRefusal.RING, claimed=claimed, at=NOW)
    assert RefusedMessage.objects.values_list("count", "claimed").get() == (3, "nul ")
