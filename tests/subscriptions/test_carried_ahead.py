"""`sweep --at` in a demonstration: an account that was carried ahead of the clock is shown as of then, all of it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from accounts.models import Account, User
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Subscription
from tests.factories import NOW, owner_of, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)
SETTINGS = "/user/subscription/"
KEEP = "/user/subscription/cancellation/withdraw/"


@pytest.fixture
def ahead(account: Account, settings: Settings) -> Subscription:
    """A subscription that is cancelled, and settled by a sweep as of a day after its end, which is a month ahead."""
    settings.ALLOW_TIME_TRAVEL = True
    subscription = subscribe(account)
    cancellation, _new = cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    with time_machine.travel(NOW + 2 * DAY, tick=False):
        call_command("sweep", "settle", at=(cancellation.effective_at + DAY).isoformat(), verbosity=0)
    subscription.refresh_from_db()
    return subscription


def test_its_pages_say_what_has_happened_to_it_and_offer_nothing_that_is_over(
    ahead: Subscription, owner: User, sign_in: SignIn
) -> None:
    assert ahead.ends_at is not None
    with time_machine.travel(NOW + 2 * DAY, tick=False):
        client = sign_in(owner)
        page = client.get(SETTINGS).content.decode()
        home = client.get("/").content.decode()
        as_of_now = client.get(f"{SETTINGS}?at=2026-03-20T00:00:00Z").content.decode()
    assert "carried this account ahead of the clock" in page
    assert f'datetime="{ahead.ends_at:%Y-%m-%dT%H:%M:%SZ}"' in page
    assert "The Pro subscription ended on" in page
    assert "Keep my subscription" not in page
    assert "carried this account ahead of the clock" in home
    # Whoever asks for an instant gets that one.
    assert "carried this account ahead of the clock" not in as_of_now


def test_nothing_is_done_as_of_then(ahead: Subscription, owner: User, sign_in: SignIn) -> None:
    with time_machine.travel(NOW + 2 * DAY, tick=False):
        answer = sign_in(owner).post(
            KEEP, {"account": ahead.account_id, "shown": ahead.cancellations.get().reference}, follow=True
        )
    assert answer.status_code == 409
    assert "has ended already" in answer.content.decode()
    assert ahead.cancellations.get().withdrawn_at is None


def test_without_time_travel_the_clock_alone_decides(
    ahead: Subscription, owner: User, sign_in: SignIn, settings: Settings
) -> None:
    settings.ALLOW_TIME_TRAVEL = False
    with time_machine.travel(NOW + 2 * DAY, tick=False):
        page = sign_in(owner).get(SETTINGS).content.decode()
    assert "ahead of the clock" not in page
    assert "The Pro subscription ended on" not in page
