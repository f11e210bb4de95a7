"""Keep, in the last ten minutes: the page says "kept" once Stripe has said so."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client

from accounts.models import Account, User
from subscriptions.billing.agreeing import agree_due
from subscriptions.billing.keeping import Kept, confirm
from subscriptions.billing.wish import Wish
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import Subscription
from tests.factories import owner_of
from tests.fakes.stripe import FakeStripe
from tests.pages import Form, forms_on
from tests.subscriptions.stripe.test_wishes_at_stripe import CANCELLED, PERIOD_END, hold

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
NEAR = PERIOD_END - timedelta(minutes=9)


@pytest.fixture
def cancelled(stripe: FakeStripe, account: Account) -> tuple[Subscription, dict[str, Any]]:
    """It ends with its period, and Stripe has agreed."""
    here, there = hold(stripe, account)
    cancel(here, by=owner_of(here), at=CANCELLED)
    assert agree_due(CANCELLED) == 1
    return here, there


def keep(here: Subscription, at: Any) -> Kept:
    assert withdraw(here.cancellations.get(), by=owner_of(here), at=at)
    return confirm(here, at=at)


def test_it_is_kept_when_stripe_has_said_so(cancelled: tuple[Subscription, dict[str, Any]], stripe: FakeStripe) -> None:
    here, there = cancelled
    stripe.advance(NEAR)
    assert keep(here, NEAR) == Kept.YES
    assert (there["cancel_at"], Wish.objects.get().outcome) == (None, "agreed")


def test_what_had_ended_there_is_not_said_to_be_kept(
    cancelled: tuple[Subscription, dict[str, Any]], stripe: FakeStripe
) -> None:
    here, there = cancelled
    stripe.dashboard_cancel(there, "now")
    assert keep(here, NEAR) == Kept.ENDED
    here.refresh_from_db()
    assert here.settled_at == NEAR


def test_without_an_answer_nothing_is_claimed_and_it_is_asked_again(
    cancelled: tuple[Subscription, dict[str, Any]], stripe: FakeStripe
) -> None:
    here, there = cancelled
    away = stripe.away()
    assert keep(here, NEAR) == Kept.UNKNOWN
    stripe.heal(away)
    assert agree_due(NEAR + timedelta(minutes=1)) == 1
    assert there["cancel_at"] is None


def test_before_the_last_minutes_nobody_waits(
    cancelled: tuple[Subscription, dict[str, Any]], stripe: FakeStripe
) -> None:
    here, _there = cancelled
    stripe.forget_requests()
    assert keep(here, PERIOD_END - timedelta(minutes=11)) == Kept.YES
    assert stripe.count() == 0


# The same on the page


def press_keep(owner: User, sign_in: Callable[[User | None], Client]) -> tuple[int, str]:
    client = sign_in(owner)
    with time_machine.travel(NEAR, tick=False):
        page = client.get("/user/subscription/").content.decode()
        (form,) = [form for form in forms_on(page, "/") if form.action.endswith("/withdraw/")]
        answer = client.post(form.action, form.sent(), follow=True)
    return answer.status_code, " ".join(answer.content.decode().split())


def test_the_page_says_kept_once_stripe_has_said_so(
    cancelled: tuple[Subscription, dict[str, Any]],
    stripe: FakeStripe,
    owner: User,
    sign_in: Callable[[User | None], Client],
) -> None:
    stripe.advance(NEAR)
    status, said = press_keep(owner, sign_in)
    assert status == 200
    assert "You keep your subscription. It renews as before." in said


def test_the_page_says_that_it_could_not_be_kept(
    cancelled: tuple[Subscription, dict[str, Any]],
    stripe: FakeStripe,
    owner: User,
    sign_in: Callable[[User | None], Client],
) -> None:
    stripe.dashboard_cancel(cancelled[1], "now")
    status, said = press_keep(owner, sign_in)
    assert status == 409
    assert "The subscription has ended already and can&#x27;t be kept any more." in said
    assert "You keep your subscription" not in said


def test_the_page_says_that_it_is_not_known_yet(
    cancelled: tuple[Subscription, dict[str, Any]],
    stripe: FakeStripe,
    owner: User,
    sign_in: Callable[[User | None], Client],
) -> None:
    stripe.away()
    status, said = press_keep(owner, sign_in)
    assert status == 200
    assert "we have not heard yet that your payment goes on" in said
    assert "It renews as before" not in said


def test_two_tabs_that_keep_it_keep_it_once(
    cancelled: tuple[Subscription, dict[str, Any]],
    stripe: FakeStripe,
    owner: User,
    sign_in: Callable[[User | None], Client],
) -> None:
    stripe.advance(NEAR)
    client = sign_in(owner)
    with time_machine.travel(NEAR, tick=False):
        page = client.get("/user/subscription/").content.decode()
        (form,) = [form for form in forms_on(page, "/") if form.action.endswith("/withdraw/")]
        with ThreadPoolExecutor(2) as tabs:
            both = [tabs.submit(_post, client.cookies.output(header="", sep=";"), form) for _tab in range(2)]
            answers = [tab.result() for tab in both]
    assert [status for status, _said in answers] == [200, 200]
    assert all("kept" in said or "You keep" in said for _status, said in answers)
    assert Wish.objects.get().version == 2
    assert cancelled[1]["cancel_at"] is None


def _post(cookies: str, form: Form) -> tuple[int, str]:
    try:
        tab = Client(headers={"cookie": cookies})
        answer = tab.post(form.action, form.sent(), follow=True)
        return answer.status_code, " ".join(answer.content.decode().split())
    finally:
        connection.close()
