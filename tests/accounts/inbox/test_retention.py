"""Bodies of old deliveries are emptied, their rows stay; old refusals are forgotten."""

from datetime import timedelta

from accounts.inbox import inbox, refused_messages, retention
from marketplace.models import Delivery, RefusalReason, RefusedMessage, Source
from tests.factories import NOW


def test_a_body_is_kept_for_ninety_days(db: None) -> None:
    inbox.accept(Source.GITHUB, delivery_id="d-1", event="ping", content_type="application/json", body=b"{}", at=NOW)
    assert inbox.process_due(NOW) == 1
    assert retention.empty_old(NOW + timedelta(days=90)) == 0
    late = NOW + timedelta(days=90, seconds=1)
    assert len(list(retention.preview(late))) == 1
    assert retention.empty_old(late) == 1
    assert retention.empty_old(late) == 0
    stored = Delivery.objects.get()
    assert (stored.body, stored.outcome) == (None, "no_change")


def test_a_refusal_is_remembered_for_ninety_days(db: None) -> None:
    for at in (NOW, NOW + timedelta(minutes=10), NOW + timedelta(days=1)):
        refused_messages.note(
            Source.AWS_SNS, RefusalReason.TOPIC, topic="arn:aws:sns:us-east-1:666666666666:mine", at=at
        )
    # NOW is half past nine: two of them fell into one hour.
    assert list(RefusedMessage.objects.order_by("hour").values_list("count", flat=True)) == [2, 1]
    first = RefusedMessage.objects.earliest("hour")
    assert (first.first_at, first.last_at) == (NOW, NOW + timedelta(minutes=10))
    late = NOW + timedelta(days=90, minutes=10)
    assert retention.tidy(late) == 0
    assert list(retention.preview(late + timedelta(seconds=1))) == ["refusal aws_sns topic 2026-03-17 09h"]
    assert retention.tidy(late + timedelta(seconds=1)) == 1
    assert RefusedMessage.objects.get().count == 1


def test_what_a_stranger_calls_a_topic_fits_into_the_table(db: None) -> None:
    for topic in ("x" * 5000, "half \ud800 a pair", "nul \x00"):
        refused_messages.note(Source.AWS_SNS, RefusalReason.TOPIC, topic=topic, at=NOW)
    assert RefusedMessage.objects.values_list("count", "topic").get() == (3, "nul ")
