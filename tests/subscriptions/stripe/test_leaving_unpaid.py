"""Who cancels while a payment is late: it ends at once, the open invoice is void, and the page says so beforehand."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Notice, User
from subscriptions.billing.agreeing import agree_due
from subscriptions.billing.holding import HeldStatus, Holding
from subscriptions.billing.wish import Wish
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Cancellation, Subscription
from tests.factories import owner_of
from tests.fakes.stripe import FakeStripe
from tests.subscriptions.stripe.test_wishes_at_stripe import PERIOD_END, hold

pytestmark = pytest.mark.django_db
LATE = PERIOD_END + timedelta(days=2)


@pytest.fixture
def late(stripe: FakeStripe, account: Account) -> tuple[Subscription, dict[str, Any]]:
    """Its renewal was declined two days ago, and will be tried again."""
    here, there = hold(stripe, account)
    stripe.pay_with(there["customer"], "declines")
    stripe.advance(LATE)
    Holding.objects.update(status=HeldStatus.LATE)
    period = there["items"]["data"][0]
    assert (there["status"], period["current_period_start"]) == ("past_due", PERIOD_END.timestamp())
    return here, there


def test_it_ends_at_once_and_nothing_is_collected(
    late: tuple[Subscription, dict[str, Any]], stripe: FakeStripe
) -> None:
    here, there = late
    cancellation, _new = cancel(here, by=owner_of(here), at=LATE, reason="unused")
    here.refresh_from_db()
    cancellation.refresh_from_db()
    assert (here.ends_at, here.settled_at, cancellation.carried_out_at) == (LATE, LATE, LATE)
    wish = Wish.objects.get()
    assert (wish.at_once, wish.wanted_end_at, wish.cause, wish.feedback) == (True, LATE, "owner", "unused")
    assert agree_due(LATE) == 1
    renewal = stripe.the(there["latest_invoice"])
    assert (there["status"], renewal["status"]) == ("canceled", "void")
    stripe.pay_with(there["customer"], "pays")
    stripe.advance(days=60)
    assert [invoice["amount_paid"] for invoice in stripe.invoices] == [4900, 0]
    assert Notice.objects.get(kind="subscriptions/cancellation_confirmed").facts["ended"] is True


def test_the_page_says_so_before_the_button(
    late: tuple[Subscription, dict[str, Any]],
    owner: User,
    sign_in: Callable[[User | None], Client],
    settings: Any,
) -> None:
    settings.ALLOW_TIME_TRAVEL = True
    here, _there = late
    browser = sign_in(owner)
    page = browser.get(reverse("cancellation"), {"at": LATE.isoformat()})
    text = page.content.decode()
    assert "If you cancel, the subscription ends at once and the account is on Free" in text
    assert "Ends the paid subscription now. It does not delete anything." in text
    assert "you can change your mind" not in text
    assert Cancellation.objects.count() == 0
    assert str(here.pk) in text
