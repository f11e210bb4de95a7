"""What the owner's pages say of the charge while Stripe has not agreed yet, and where nothing is paid."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import time_machine
from django.test import Client

from accounts.models import Account, User
from subscriptions.billing.agreeing import agree_due
from subscriptions.ending.cancellation import cancel
from subscriptions.ending.settling import settle_due
from subscriptions.models import Cancellation, Subscription
from tests.factories import BlueprintFactory, owner_of
from tests.fakes.stripe import FakeStripe
from tests.pages import forms_on
from tests.subscriptions.stripe.test_wishes_at_stripe import CANCELLED, PERIOD_END, hold

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
HOUR = timedelta(hours=1)
SETTINGS, CANCEL = "/user/subscription/", "/user/subscription/cancellation/"


def read(client: Client, path: str, at: datetime) -> str:
    with time_machine.travel(at, tick=False):
        return " ".join(client.get(path).content.decode().split())


def press(client: Client, path: str, button: str, at: datetime) -> str:
    """Presses the form that leads there, on the page as it is at `at`. What the next page says."""
    with time_machine.travel(at, tick=False):
        (form,) = [form for form in forms_on(client.get(path).content.decode(), path) if form.action == button]
        return " ".join(client.post(form.action, form.sent(), follow=True).content.decode().split())


def test_keeping_promises_no_renewal_before_stripe_takes_it_up_again(
    account: Account, owner: User, stripe: FakeStripe, sign_in: SignIn
) -> None:
    here, _there = hold(stripe, account)
    cancel(here, by=owner_of(here), at=CANCELLED)
    agree_due(CANCELLED)
    client = sign_in(owner)
    kept = press(client, SETTINGS, "/user/subscription/cancellation/withdraw/", CANCELLED + HOUR)
    assert "You keep your subscription. Its renewal is being taken up again where you pay." in kept
    assert "It renews as before" not in kept
    agree_due(CANCELLED + HOUR)
    assert "being taken up again" not in read(client, SETTINGS, CANCELLED + 2 * HOUR)


def test_what_nobody_heard_of_yet_is_kept_and_renews_as_before(
    account: Account, owner: User, stripe: FakeStripe, sign_in: SignIn
) -> None:
    here, _there = hold(stripe, account)
    cancel(here, by=owner_of(here), at=CANCELLED)
    kept = press(sign_in(owner), SETTINGS, "/user/subscription/cancellation/withdraw/", CANCELLED + HOUR)
    assert "You keep your subscription. It renews as before." in kept


def test_after_the_end_the_page_says_that_the_renewal_is_not_stopped_until_it_is(
    account: Account, owner: User, stripe: FakeStripe, sign_in: SignIn
) -> None:
    here, _there = hold(stripe, account)
    cancel(here, by=owner_of(here), at=CANCELLED)
    away = stripe.away()
    after = PERIOD_END + HOUR
    stripe.advance(after)
    settle_due(after)
    client = sign_in(owner)
    told = read(client, SETTINGS, after)
    assert "The renewal is not stopped yet where you pay: it is asked for" in told
    assert "If anything is charged for the time after the end, you get it back." in told
    stripe.heal(away)
    assert agree_due(after) == 1
    assert "not stopped yet" not in read(client, SETTINGS, after)


def test_who_is_suspended_reads_of_no_paid_time_before_and_after_the_button(
    account: Account, owner: User, stripe: FakeStripe, sign_in: SignIn
) -> None:
    here, _there = hold(stripe, account)
    Subscription.objects.filter(pk=here.pk).update(suspended_at=CANCELLED)
    client = sign_in(owner)
    asked = read(client, CANCEL, CANCELLED)
    assert "The subscription is suspended, and nothing is paid for the time to come." in asked
    assert "You have paid until" not in asked
    assert "you can change your mind" not in asked
    done = press(client, CANCEL, CANCEL, CANCELLED)
    assert "Your subscription has ended." in done
    assert Cancellation.objects.get().effective_at == CANCELLED
    here.refresh_from_db()
    assert here.is_over(CANCELLED)


def test_the_list_of_what_works_again_does_not_look_like_losses(
    account: Account, owner: User, stripe: FakeStripe, sign_in: SignIn
) -> None:
    here, _there = hold(stripe, account)
    BlueprintFactory(account=account, grid="infinite")
    cancel(here, by=owner_of(here), at=CANCELLED)
    settle_due(PERIOD_END + HOUR)
    told = read(sign_in(owner), "/user/subscription/plans/", PERIOD_END + HOUR)
    assert "What is limited on Free today works again, as soon as a plan begins that brings it:" in told
    assert 'class="losses"' not in told
