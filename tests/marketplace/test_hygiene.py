"""Bodies of old deliveries are emptied, their rows stay; old refusals are forgotten."""

from datetime import timedelta

import pytest

from marketplace import hygiene, refusal
from marketplace.models import Delivery, RefusalReason, RefusedMessage, Source
from tests.factories import NOW
from tests.marketplace.conftest import World

pytestmark = pytest.mark.django_db


def test_a_body_is_kept_for_ninety_days(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    world.hears(world.github.buy(world.github.account(login="harbour"), pro))
    assert hygiene.empty_old(NOW + timedelta(days=90)) == 0
    late = NOW + timedelta(days=90, seconds=1)
    assert len(list(hygiene.preview(late))) == 1
    assert hygiene.empty_old(late) == 1
    assert hygiene.empty_old(late) == 0
    stored = Delivery.objects.get()
    assert (stored.body, stored.outcome) == (None, "applied")


def test_a_refusal_is_remembered_for_ninety_days(db: None) -> None:
    for at in (NOW, NOW + timedelta(minutes=10), NOW + timedelta(days=1)):
        refusal.note(Source.AWS_SNS, RefusalReason.TOPIC, topic="arn:aws:sns:us-east-1:666666666666:mine", at=at)
    # NOW is half past nine: two of them fell into one hour.
    assert list(RefusedMessage.objects.order_by("hour").values_list("count", flat=True)) == [2, 1]
    first = RefusedMessage.objects.earliest("hour")
    assert (first.first_at, first.last_at) == (NOW, NOW + timedelta(minutes=10))
    late = NOW + timedelta(days=90, minutes=10)
    assert hygiene.tidy(late) == 0
    assert list(hygiene.preview(late + timedelta(seconds=1))) == ["refusal aws_sns topic 2026-03-17 09h"]
    assert hygiene.tidy(late + timedelta(seconds=1)) == 1
    assert RefusedMessage.objects.get().count == 1


def test_what_a_stranger_calls_a_topic_fits_into_the_table(db: None) -> None:
    for topic in ("x" * 5000, "half \ud800 a pair", "nul \x00"):
        refusal.note(Source.AWS_SNS, RefusalReason.TOPIC, topic=topic, at=NOW)
    assert RefusedMessage.objects.values_list("count", "topic").get() == (3, "nul ")
