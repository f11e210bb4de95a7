"""The vendor's own billing is asked by signed requests, and believed by its answer."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import Account
from subscriptions.billing.agreeing import agree_due, sent
from subscriptions.billing.vendor import TIMEOUT, BillingUnavailable, ask
from subscriptions.billing.wish import Wish
from subscriptions.changes import end_now
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import Subscription
from tests.factories import NOW, owner_of, subscribe
from tests.fakes.billing import SECRET, Billing, billing

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
NO_INSTANT = "'stopped_from' has to be an instant with its offset, or null"
END = datetime(2026, 4, 17, 9, 30, tzinfo=UTC)


@pytest.fixture
def vendor(settings: Any) -> Iterator[Billing]:
    with billing() as found:
        settings.BILLING_ENDPOINT, settings.BILLING_ENDPOINT_SECRETS = found.url, [SECRET]
        yield found


def cancelled(account: Account) -> Subscription:
    subscription = subscribe(account)
    cancel(subscription, by=owner_of(subscription), at=NOW + DAY, reason="unused", comment="secret words")
    return subscription


def test_it_is_asked_once_and_its_answer_agrees(account: Account, vendor: Billing) -> None:
    subscription = cancelled(account)
    assert agree_due(NOW + DAY) == 1
    (asked,) = vendor.asked
    assert asked == {
        "type": "billing.stop_requested",
        "timestamp": "2026-03-18T09:30:00+00:00",
        "data": {
            "account": str(account.pk),
            "account_external_id": None,
            "subscription": subscription.pk,
            "subscription_external_id": None,
            "order_reference": None,
            "version": 1,
            "ends_at": "2026-04-17T09:30:00+00:00",
            "at_once": False,
            "next_charge_at": "2026-04-17T09:30:00+00:00",
            "cause": "owner",
            "reason": "unused",
            "cancellation": subscription.cancellations.get().reference,
        },
    }
    wish = Wish.objects.get()
    assert (wish.agreed_at, wish.answer) == (NOW + DAY, {"stopped_from": "2026-04-17T09:30:00+00:00"})
    assert (vendor.forged, vendor.ids) == (0, [f"wish_{subscription.pk}_1"])


def test_keeping_is_asked_for_too(account: Account, vendor: Billing) -> None:
    subscription = cancelled(account)
    agree_due(NOW + DAY)
    withdraw(subscription.cancellations.get(), by=owner_of(subscription), at=NOW + 2 * DAY)
    assert agree_due(NOW + 2 * DAY) == 1
    assert [(asked["type"], asked["data"]["version"]) for asked in vendor.asked] == [
        ("billing.stop_requested", 1),
        ("billing.go_on_requested", 2),
    ]


@pytest.mark.parametrize(
    ("status", "said", "why"),
    [
        (200, "", "billing answered no JSON"),
        (200, "<html>", "billing answered no JSON"),
        (200, "[]", "billing answered no JSON object"),
        (200, "{}", "the answer does not say 'stopped_from'"),
        (200, '{"stopped_from": null}', "it was to be stopped, and the answer says that it goes on"),
        (200, '{"stopped_from": "tomorrow"}', NO_INSTANT),
        (
            200,
            '{"stopped_from": "2026-04-17T09:30:00"}',
            NO_INSTANT,
        ),
        (200, '{"stopped_from": 1776418200}', NO_INSTANT),
        (200, " " * 30_000, "billing answered too much"),
        (204, "", "billing answered no JSON"),
        (302, "", "billing answered 302"),
        (404, "", "billing answered 404"),
        (500, '{"stopped_from": "2026-04-17T09:30:00Z"}', "billing answered 500"),
    ],
)
def test_whatever_does_not_say_it_is_asked_again(
    account: Account, vendor: Billing, status: int, said: str, why: str
) -> None:
    cancelled(account)
    vendor.answer = status, said
    vendor.headers = {"location": f"{vendor.url}/elsewhere"} if status == 302 else {}
    assert agree_due(NOW + DAY) == 0
    wish = Wish.objects.get()
    assert (wish.attempts, wish.agreed_at, wish.last_error) == (1, None, f"BillingUnavailable: {why}")
    vendor.answer, vendor.headers = None, {}
    assert agree_due(NOW + DAY + timedelta(minutes=1)) == 1
    # The same request: its id tells the receiver so.
    assert len(vendor.asked) == 2
    assert len(set(vendor.ids)) == 1


def test_nobody_there_is_asked_again(account: Account, settings: Any, vendor: Billing) -> None:
    cancelled(account)
    settings.BILLING_ENDPOINT = "http://127.0.0.1:1/billing"
    assert agree_due(NOW + DAY) == 0
    assert Wish.objects.get().last_error == "BillingUnavailable: billing does not answer (ConnectError)"


def test_one_more_charge_keeps_it_open(account: Account, vendor: Billing) -> None:
    cancelled(account)
    vendor.answer = 200, '{"stopped_from": "2026-05-17T09:30:00Z"}'
    assert agree_due(NOW + DAY) == 0
    wish = Wish.objects.get()
    assert (wish.outcome, wish.agreed_at) == ("rolled_over", None)


def test_what_ends_at_once_may_be_stopped_from_the_end_of_what_was_paid(account: Account, vendor: Billing) -> None:
    subscription = subscribe(account)
    end_now(subscription, by=owner_of(subscription), at=NOW + DAY)
    vendor.answer = 200, f'{{"stopped_from": "{END.isoformat()}"}}'
    assert agree_due(NOW + DAY) == 1
    assert vendor.asked[0]["data"]["at_once"]


def test_an_old_and_a_new_secret_both_sign(account: Account, settings: Any, vendor: Billing) -> None:
    settings.BILLING_ENDPOINT_SECRETS = ["whsec_" + "A" * 43 + "=", SECRET]
    cancelled(account)
    assert agree_due(NOW + DAY) == 1
    settings.BILLING_ENDPOINT_SECRETS = ["whsec_" + "A" * 43 + "="]
    withdraw(Subscription.objects.get().cancellations.get(), by=owner_of(Subscription.objects.get()), at=NOW + 2 * DAY)
    assert agree_due(NOW + 2 * DAY) == 0
    assert vendor.forged == 1


def test_an_answer_that_takes_too_long_is_none(account: Account, vendor: Billing) -> None:
    cancelled(account)
    vendor.slow = 1.0
    request = sent(Wish.objects.get(), NOW + DAY, by_itself=True)
    assert request
    with pytest.raises(BillingUnavailable, match="billing takes too long to answer"):
        ask(request, timeout=0.1)
    assert len(vendor.asked) == 1
    assert TIMEOUT == 10.0
