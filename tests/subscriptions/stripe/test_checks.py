"""What Stripe says of a customer is taken over: by one check after whatever was heard."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.inbox import inbox
from accounts.inbox.delivery import Delivery
from accounts.mail.notices import Notice
from accounts.models import Account, Event
from subscriptions.billing import agreeing
from subscriptions.billing.finding import Finding
from subscriptions.billing.holding import HeldStatus, Holding
from subscriptions.billing.invoice import Invoice
from subscriptions.billing.wish import Wish
from subscriptions.ending import cancellation
from subscriptions.models import Cancellation, Subscription
from subscriptions.stripe import checks
from subscriptions.stripe.customer import StripeCustomer
from tests.factories import AccountFactory, owner_of
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.spec import Json

pytestmark = pytest.mark.django_db

BOUGHT = datetime(2026, 1, 31, 12, tzinfo=UTC)
FIRST_END = datetime(2026, 2, 28, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class World:
    """One account that has bought Pro at Stripe for two, and the door through which Stripe tells of it."""

    def __init__(self, stripe: FakeStripe, client: Client) -> None:
        self.stripe, self.client = stripe, client
        stripe.now = BOUGHT
        self.account: Account = AccountFactory()
        self.customer = stripe.customer()
        self.price = stripe.price(4900, lookup_key="pro-monthly")
        StripeCustomer.objects.create(account=self.account, reference=self.customer["id"], livemode=False)

    def buy(self, **how: Any) -> Json:
        return self.stripe.subscribe(self.customer, self.price, quantity=2, **how)

    def hear(self, *types: str, **how: Any) -> list[int]:
        """Whatever Stripe has to tell is told at our door, and processed; then Stripe is asked. The answers' status."""
        answers = self.tell(*types, **how)
        at = self.stripe.now
        inbox.process_due(at + DAY * 3650)
        StripeCustomer.objects.exclude(check_at=None).update(check_at=at)
        checks.check_due(at)
        return answers

    def tell(self, *types: str, **how: Any) -> list[int]:
        return [
            self.client.post(
                "/billing/stripe/webhook/",
                delivery.body,
                content_type="application/json",
                headers=delivery.headers,
            ).status_code
            for delivery in self.stripe.take(*types, **how)
        ]

    @property
    def subscription(self) -> Subscription:
        return Subscription.objects.get(account=self.account)

    @property
    def holding(self) -> Holding:
        return Holding.objects.get(subscription__account=self.account)


@pytest.fixture
def world(stripe: FakeStripe, client: Client) -> World:
    return World(stripe, client)


@pytest.fixture
def held(world: World) -> Json:
    bought = world.buy()
    world.hear()
    return bought


def kinds(account: Account) -> list[str]:
    return list(Event.objects.filter(account=account).order_by("id").values_list("kind", flat=True))


def mails() -> list[str]:
    return list(Notice.objects.order_by("queued_at", "pk").values_list("kind", flat=True))


def test_what_was_bought_begins_here_with_stripes_dates(world: World, held: Json) -> None:
    bought = world.subscription
    assert (bought.plan_id, bought.seats, bought.cents, bought.currency, bought.interval) == ("pro", 2, 4900, "USD", 1)
    assert (bought.held_by, bought.started_at, bought.ends_at) == ("stripe", BOUGHT, None)
    assert (bought.period_started_at, bought.period_ends_at) == (BOUGHT, FIRST_END)
    assert bought.first_paid_at == BOUGHT
    assert (world.holding.reference, world.holding.status) == (held["id"], HeldStatus.LIVE)
    (invoice,) = Invoice.objects.all()
    assert (invoice.status, invoice.cents_paid, invoice.payments.get().cents) == ("paid", 9800, 9800)


def test_a_burst_of_events_makes_one_check(world: World, stripe: FakeStripe) -> None:
    world.buy()
    for _number in range(100):
        stripe.event("customer.updated", stripe.the(world.customer))
    before = len([request for request in stripe.requests if request.path == "/v1/subscriptions"])
    assert set(world.hear()) == {200}
    assert Delivery.objects.filter(processed_at=None).count() == 0
    assert len([request for request in stripe.requests if request.path == "/v1/subscriptions"]) == before + 1


def test_renewals_move_the_period_and_are_paid_when_the_invoice_is(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    stripe.advance(days=29)
    world.hear()
    assert world.subscription.period_ends_at == datetime(2026, 3, 31, 12, tzinfo=UTC)
    assert [invoice.is_renewal for invoice in Invoice.objects.order_by("issued_at")] == [False, True]
    assert kinds(world.account).count("subscription.changed") == 0


def test_a_cancellation_on_stripes_page_is_one_here(world: World, held: Json, stripe: FakeStripe) -> None:
    stripe.advance(days=3)
    stripe.portal_cancel(held["id"], feedback="too_expensive", comment="Too much for us.")
    world.hear()
    (made,) = Cancellation.objects.all()
    assert (made.requested_by, made.requested_at, made.effective_at) == (None, BOUGHT + 3 * DAY, FIRST_END)
    assert (made.reason, made.comment) == ("too_expensive", "Too much for us.")
    assert world.subscription.ends_at == FIRST_END
    assert "subscriptions/cancellation_confirmed" in mails()
    assert not Finding.objects.exists()
    world.hear()
    assert Cancellation.objects.count() == 1


def test_it_is_kept_on_stripes_page(world: World, held: Json, stripe: FakeStripe) -> None:
    stripe.advance(hours=1)
    stripe.portal_cancel(held["id"])
    world.hear()
    stripe.advance(hours=1)
    stripe.portal_keep(held["id"])
    world.hear()
    assert Cancellation.objects.get().withdrawn_at == BOUGHT + 2 * HOUR
    assert world.subscription.ends_at is None
    assert kinds(world.account)[-1] == "cancellation.withdrawn"
    assert not Finding.objects.exists()


def test_an_owners_cancellation_undone_in_the_dashboard_counts_and_staff_see_it(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    at = BOUGHT + DAY
    stripe.advance(to=at)
    cancellation.cancel(world.subscription, by=owner_of(world.subscription), at=at)
    assert agreeing.agree_due(at) == 1
    world.hear()
    ending = world.subscription
    assert ending.ends_at == FIRST_END
    stripe.advance(hours=1)
    stripe.portal_keep(held["id"])
    world.hear()
    assert world.subscription.ends_at is None
    (finding,) = Finding.objects.all()
    assert finding.code == "cancellation-undone-elsewhere"
    assert finding.account_id == world.account.pk
    assert not Wish.objects.open().exists()


def test_a_wish_that_is_not_agreed_yet_wins_over_what_stripe_says(world: World, held: Json, stripe: FakeStripe) -> None:
    at = BOUGHT + DAY
    stripe.advance(to=at)
    cancellation.cancel(world.subscription, by=owner_of(world.subscription), at=at)
    stripe.event("customer.subscription.updated", stripe.the(held["id"]))
    world.hear()
    assert world.subscription.ends_at == FIRST_END
    assert Wish.objects.open().count() == 1
    assert not Finding.objects.exists()


def test_what_ends_there_at_once_ends_here(world: World, held: Json, stripe: FakeStripe) -> None:
    stripe.advance(days=3)
    stripe.portal_cancel_now(held["id"])
    world.hear()
    ended = world.subscription
    assert ended.ends_at == BOUGHT + 3 * DAY
    assert ended.settled_at
    assert mails()[1:] == ["subscriptions/subscription_ended"]
    assert world.holding.status == HeldStatus.ENDED


def test_what_was_never_paid_suspends_and_paying_resumes(world: World, held: Json, stripe: FakeStripe) -> None:
    stripe.advance(hours=1)
    stripe.pause(held["id"])
    world.hear()
    suspended = world.subscription
    assert suspended.suspended_at == BOUGHT + HOUR
    assert kinds(world.account)[-1] == "subscription.suspended"
    stripe.advance(days=1)
    stripe.resume(held["id"])
    world.hear()
    assert world.subscription.suspended_at is None
    assert kinds(world.account)[-1] == "subscription.resumed"
    assert mails()[1:] == ["subscriptions/subscription_suspended", "subscriptions/subscription_resumed"]


def test_a_second_live_subscription_is_a_finding_and_parks_nothing(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    stripe.advance(hours=1)
    second = world.buy()
    world.hear()
    (finding,) = Finding.objects.all()
    assert (finding.code, finding.reference) == ("second-live-subscription", second["id"])
    assert Subscription.objects.count() == 1
    assert not Delivery.objects.parked().exists()
    stripe.advance(hours=1)
    stripe.portal_cancel_now(second["id"])
    world.hear()
    assert not Finding.objects.open().exists()


def test_late_and_shuffled_and_doubled_events_change_nothing(world: World, held: Json, stripe: FakeStripe) -> None:
    stripe.advance(hours=1)
    stripe.change(held["id"], quantity=5)
    stripe.portal_cancel_now(held["id"])
    assert set(world.hear(shuffled=7, doubled=True, twice_told=True)) == {200}
    assert world.subscription.ends_at == BOUGHT + HOUR
    stripe.event("customer.subscription.updated", {**stripe.the(held["id"]), "status": "active"})
    world.hear()
    assert (world.subscription.ends_at, Subscription.objects.count()) == (BOUGHT + HOUR, 1)


def test_an_older_answer_changes_nothing(world: World, held: Json) -> None:
    customer = StripeCustomer.objects.get()
    assert not checks.take_over_customer(customer.pk, [], [], sent_at=BOUGHT - MINUTE, at=BOUGHT + MINUTE)


def test_a_price_of_no_plan_grants_nothing_and_is_shown(world: World, stripe: FakeStripe) -> None:
    other = stripe.price(900, lookup_key="mugs")
    stripe.subscribe(world.customer, other)
    world.hear()
    assert not Subscription.objects.exists()
    assert Finding.objects.get().code == "unmapped-price"


def test_what_is_unreadable_of_one_is_shown_and_the_others_go_on(world: World, held: Json, stripe: FakeStripe) -> None:
    stripe.advance(hours=1)
    second = stripe.subscribe(world.customer, world.price)
    stripe.portal_cancel_now(held["id"])
    stripe.the(second["id"])["items"]["data"][0].pop("current_period_end")
    world.hear()
    assert world.subscription.ends_at == BOUGHT + HOUR
    assert "does not say which period" in StripeCustomer.objects.get().check_error


def test_while_stripe_is_away_the_row_waits_and_says_why(world: World, stripe: FakeStripe) -> None:
    world.buy()
    stripe.fail("GET /v1/subscriptions*", 500)
    world.hear()
    customer = StripeCustomer.objects.get()
    assert (customer.check_attempts, customer.check_at) == (1, BOUGHT + MINUTE)
    assert "500" in customer.check_error
    assert checks.check_due(BOUGHT + MINUTE) == 1
    assert world.subscription.plan_id == "pro"
    assert StripeCustomer.objects.get().check_at is None


def test_once_its_account_is_being_erased_nothing_is_left_to_be_asked_and_no_error_stays(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    stripe.fail("GET /v1/subscriptions*", 500)
    stripe.event("customer.updated", stripe.the(world.customer))
    world.hear()
    assert StripeCustomer.objects.get().check_error
    world.account.purging_at = BOUGHT + MINUTE
    world.account.save()
    assert checks.check_due(BOUGHT + MINUTE) == 1
    customer = StripeCustomer.objects.get()
    assert (customer.check_at, customer.check_attempts, customer.check_error) == (None, 0, "")
