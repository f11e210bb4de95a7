"""What no rule may decide is found, says what staff are to do, and is red where somebody's money is not theirs."""

import ast
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from accounts.jobs import invariants
from accounts.models import User
from subscriptions.billing import agreeing, paid_after_end
from subscriptions.billing.finding import KINDS, Finding, close, find
from subscriptions.billing.holding import Holding
from subscriptions.ending import cancellation
from subscriptions.models import Subscription
from subscriptions.stripe import checks, reconciliation
from subscriptions.stripe.customer import StripeCustomer
from tests.factories import owner_of
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.spec import Json
from tests.subscriptions.stripe.test_checks import BOUGHT, DAY, FIRST_END, HOUR, MINUTE, World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(stripe: FakeStripe, client: Client) -> World:
    return World(stripe, client)


@pytest.fixture
def held(world: World) -> Json:
    bought = world.buy()
    world.hear()
    return bought


def codes() -> list[str]:
    return list(Finding.objects.open().order_by("code").values_list("code", flat=True))


def red(at: Any) -> list[str]:
    """The alarm of this room, if it is on; its example."""
    (alarm,) = (each for each in invariants.REGISTRY.all() if each.name == paid_after_end.CODE)
    assert not alarm.warning
    violation = alarm.check(at)
    return list(violation.examples) if violation else []


# In words


def codes_in_sources() -> Iterator[str]:
    for source in Path(settings.BASE_DIR, "subscriptions").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "").lstrip("_") in ("find", "find_once"):
                said = node.args[0]
                either = [said.body, said.orelse] if isinstance(said, ast.IfExp) else [said]
                yield from (str(one.value) for one in either if isinstance(one, ast.Constant))


def test_whatever_is_found_says_what_it_is_and_what_to_do() -> None:
    found = set(codes_in_sources())
    assert len(found) > 20
    assert found <= {kind.code for kind in KINDS.all()}
    assert all(kind.label and kind.to_do for kind in KINDS.all())


def test_staff_read_words_at_the_desk_and_no_code(
    world: World, held: Json, staff: User, sign_in: Callable[[User | None], Client]
) -> None:
    found, _new = find("payment-disputed", provider="stripe", reference="du_1", account=world.account, at=BOUGHT)
    desk = sign_in(staff)
    for page in (
        reverse("admin:subscriptions_finding_changelist"),
        reverse("admin:subscriptions_finding_change", args=[found.pk]),
        reverse("admin:accounts_account_change", args=[world.account.pk]),
        reverse("admin:index"),
    ):
        assert "A bank asks for a payment back" in desk.get(page).content.decode(), page
    told = desk.get(reverse("admin:accounts_account_change", args=[world.account.pk])).content.decode()
    assert "Do not pay the payment back: it would be paid twice." in told
    assert "payment-disputed" not in told


# Paid after the end


@pytest.fixture
def slipped_through(world: World, held: Json, stripe: FakeStripe) -> Json:
    """Cancelled, agreed, undone in the dashboard in the last minute, renewed and charged before anybody heard of it."""
    stripe.advance(days=10)
    cancellation.cancel(world.subscription, by=owner_of(world.subscription), at=stripe.now)
    assert agreeing.agree_due(stripe.now) == 1
    stripe.advance(FIRST_END - MINUTE)
    stripe.dashboard_keep(held["id"])
    stripe.advance(FIRST_END + 2 * HOUR)
    return held


def test_what_was_paid_for_a_time_after_the_end_is_red_until_it_is_paid_back(
    world: World, slipped_through: Json, stripe: FakeStripe
) -> None:
    assert red(stripe.now) == []
    world.hear()
    assert codes() == ["goes-on-though-ended", "paid-after-end"]
    found = Finding.objects.get(code="paid-after-end")
    renewal = stripe.the(slipped_through["latest_invoice"])
    assert (found.reference, found.account) == (renewal["id"], world.account)
    assert (found.facts["cents"], found.facts["currency"]) == (9800, "USD")
    assert red(stripe.now) == [renewal["id"]]

    stripe.refund(renewal["id"], 9000)
    world.hear()
    assert red(stripe.now) == [renewal["id"]]
    stripe.refund(renewal["id"], 800)
    world.hear()
    assert red(stripe.now) == []
    assert "paid-after-end" not in codes()


def test_one_that_staff_have_closed_is_not_told_again(
    world: World, slipped_through: Json, stripe: FakeStripe, staff: User
) -> None:
    world.hear()
    close(Finding.objects.get(code="paid-after-end"), by=staff, at=stripe.now)
    assert paid_after_end.look(stripe.now + DAY) == 0
    assert red(stripe.now) == []


def test_what_a_wish_is_about_to_undo_is_no_news_and_what_it_left_is_found_at_night(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    stripe.advance(days=10)
    cancellation.cancel(world.subscription, by=owner_of(world.subscription), at=stripe.now)
    stripe.advance(FIRST_END + 2 * HOUR)
    world.hear()
    assert "paid-after-end" not in codes()
    # As if staff had said that it is done, and it was not.
    wish = world.subscription.wish
    wish.agreed_at, wish.outcome = stripe.now, "agreed"
    wish.save()
    reconciliation.reconcile(stripe.now)
    assert "paid-after-end" in codes()


def test_a_time_before_the_end_is_paid_rightly(world: World, held: Json, stripe: FakeStripe) -> None:
    stripe.advance(days=10)
    cancellation.cancel(world.subscription, by=owner_of(world.subscription), at=stripe.now)
    agreeing.agree_due(stripe.now)
    stripe.advance(FIRST_END + HOUR)
    world.hear()
    assert codes() == []


# A customer who is gone


def test_a_customer_deleted_at_stripe_ends_what_it_held_and_is_a_finding(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    stripe.advance(days=3)
    stripe.delete_customer(world.customer)
    world.hear()
    assert world.subscription.ends_at == BOUGHT + 3 * DAY
    assert codes() == ["customer-deleted"]
    assert StripeCustomer.objects.get().deleted_at
    world.hear()
    assert Finding.objects.count() == 1


def test_a_deletion_that_no_event_told_of_is_seen_when_its_subscription_is_asked_about(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    stripe.advance(days=3)
    number = world.customer["id"]
    stripe.delete_customer(world.customer)
    # Told to another endpoint: Stripe takes it for delivered.
    stripe.take()
    reconciliation.reconcile(stripe.now)
    checks.check_due(stripe.now)
    assert (codes(), Finding.objects.get().reference) == (["customer-deleted"], number)


# In the order in which they were asked


def test_of_two_checks_at_one_instant_the_later_counts(world: World, held: Json, stripe: FakeStripe) -> None:
    customer = StripeCustomer.objects.get()
    # A long run asked five seconds into it, as of its own beginning.
    asked = stripe.now + timedelta(seconds=5)
    StripeCustomer.objects.update(asked_at=asked, read_at=asked)
    Holding.objects.update(read_at=asked)
    stripe.portal_cancel(held["id"])
    assert checks.check(customer, stripe.now)
    assert world.subscription.ends_at == FIRST_END
    stripe.portal_keep(held["id"])
    assert checks.check(customer, stripe.now)
    assert world.subscription.ends_at is None


def test_requests_are_stamped_in_the_order_in_which_they_are_sent(world: World) -> None:
    customer = StripeCustomer.objects.get()
    stamps = [customer.stamped(at) for at in (BOUGHT, BOUGHT, BOUGHT - HOUR, BOUGHT + MINUTE)]
    assert stamps == sorted(set(stamps))
    assert (stamps[0], stamps[-1]) == (BOUGHT, BOUGHT + MINUTE)


# After an outage


def test_after_an_outage_what_no_list_says_is_learned_from_stripes_undelivered_events(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    stripe.advance(days=2)
    stripe.dispute(held["latest_invoice"])
    stripe.lose()
    at = stripe.now + timedelta(hours=1)
    assert codes() == []
    reconciliation.reconcile(at)
    checks.check_due(at)
    assert codes() == ["payment-disputed"]


def test_events_older_than_an_outage_and_those_that_arrived_ask_about_nobody(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    stripe.refund(held["latest_invoice"], 500)
    assert stripe.lose()
    reconciliation.reconcile(stripe.now + 5 * DAY)
    assert not StripeCustomer.objects.exclude(check_at=None).exists()
    reconciliation.reconcile(stripe.now + 3 * DAY)
    assert StripeCustomer.objects.exclude(check_at=None).count() == 1


def test_an_undelivered_event_of_the_other_mode_or_of_nobody_is_passed_over(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    stranger = stripe.customer()
    stripe.delete_customer(stranger)
    stripe.event("customer.deleted", {"id": "cus_ofnobody", "object": "customer"})
    stripe.lose()
    reconciliation.reconcile(stripe.now)
    assert codes() == []
    assert Subscription.objects.of(world.account).get().ends_at is None
