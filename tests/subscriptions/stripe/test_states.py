"""Each state that a subscription can be in at Stripe, and what it means here: asked over HTTP, as after a message."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.mail import sending
from accounts.models import Notice
from subscriptions.billing import agreeing
from subscriptions.billing.finding import Finding
from subscriptions.billing.holding import HeldStatus
from subscriptions.billing.invoice import Invoice
from subscriptions.billing.wish import Wish
from subscriptions.current_plan import entitlements as entitlements_of
from subscriptions.ending import cancellation
from subscriptions.ending.settling import settle_due
from tests.factories import owner_of
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe.spec import Json
from tests.subscriptions.stripe.test_checks import BOUGHT, DAY, FIRST_END, HOUR, World, kinds

pytestmark = pytest.mark.django_db
SECOND_END = datetime(2026, 3, 31, 12, tzinfo=UTC)


@pytest.fixture
def world(stripe: FakeStripe, client: Client) -> World:
    return World(stripe, client)


@pytest.fixture
def held(world: World) -> Json:
    bought = world.buy()
    world.hear()
    return bought


def plan(world: World) -> str:
    return entitlements_of(world.account, world.stripe.now).plan


def mail(kind: str) -> str:
    return " ".join(str(sending.write(Notice.objects.get(kind=f"subscriptions/{kind}")).body).split())


# A payment that does not come


@pytest.fixture
def unpaid(world: World, held: Json, stripe: FakeStripe) -> Json:
    """The renewal was declined four times; Stripe is set to leave it unpaid."""
    stripe.after_retries = "unpaid"
    stripe.pay_with(world.customer, "declines")
    stripe.advance(FIRST_END + 2 * HOUR)
    world.hear()
    assert (world.holding.status, plan(world)) == (HeldStatus.LATE, "pro")
    stripe.advance(days=16)
    world.hear()
    return held


def test_past_due_everything_works_and_unpaid_it_is_suspended_with_its_data(world: World, unpaid: Json) -> None:
    assert (unpaid["status"], world.holding.status_word) == ("unpaid", "unpaid")
    assert (plan(world), world.subscription.ends_at) == ("free", None)
    assert kinds(world.account)[-1] == "subscription.suspended"
    told = mail("subscription_suspended")
    assert "could not be charged, and has been suspended since" in told
    assert "Nothing was deleted." in told


def test_paying_the_newest_invoice_brings_it_back(world: World, unpaid: Json, stripe: FakeStripe) -> None:
    stripe.pay_with(world.customer, "pays")
    stripe.pay(unpaid["latest_invoice"])
    world.hear()
    assert (unpaid["status"], plan(world)) == ("active", "pro")
    assert "everything works as it did before" in mail("subscription_resumed")


def test_who_cancels_while_it_is_unpaid_ends_at_once_and_is_told_of_no_paid_time(
    world: World, unpaid: Json, stripe: FakeStripe
) -> None:
    at = stripe.now
    cancellation.cancel(world.subscription, by=owner_of(world.subscription), at=at, reason="unused")
    assert world.subscription.ends_at == at
    told = mail("cancellation_confirmed")
    assert "was suspended, and has ended now. Nothing more is to be charged." in told
    assert "Everything works until" not in told
    assert agreeing.agree_due(at) == 1
    assert unpaid["status"] == "canceled"
    stripe.pay_with(world.customer, "pays")
    stripe.advance(days=60)
    assert sum(invoice["amount_paid"] for invoice in stripe.invoices) == 9800
    world.hear()
    assert not Finding.objects.exists()


# Collection is paused


@pytest.mark.parametrize("behavior", ["keep_as_draft", "mark_uncollectible"])
def test_free_for_now_is_live_and_nothing_is_due(world: World, held: Json, stripe: FakeStripe, behavior: str) -> None:
    stripe.pause_collection(held["id"], behavior)
    stripe.advance(FIRST_END + 2 * HOUR)
    world.hear()
    assert (plan(world), world.subscription.suspended_at) == ("pro", None)
    assert world.subscription.period_ends_at == SECOND_END
    assert sorted(Invoice.objects.values_list("cents_paid", flat=True)) == [0, 9800]


def test_no_service_begins_where_the_paid_time_ends_and_is_over_when_collection_resumes(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    stripe.advance(days=3)
    stripe.pause_collection(held["id"], "void", resumes_at=SECOND_END)
    world.hear()
    assert (world.subscription.suspended_at, world.subscription.suspended_until) == (FIRST_END, SECOND_END)
    assert plan(world) == "pro"
    # By dates alone: nobody has to hear anything.
    assert entitlements_of(world.account, FIRST_END - timedelta(seconds=1)).plan == "pro"
    assert entitlements_of(world.account, FIRST_END).plan == "free"
    assert entitlements_of(world.account, SECOND_END).plan == "pro"
    stripe.pause_collection(held["id"], None)
    world.hear()
    assert world.subscription.suspended_at is None


# Trials


def test_a_trial_moved_in_the_dashboard_moves_the_first_payment_and_a_promised_end(
    world: World, stripe: FakeStripe
) -> None:
    first, later = BOUGHT + 14 * DAY, BOUGHT + 20 * DAY
    bought = world.buy(trial_end=first)
    world.hear()
    assert (world.subscription.trial_ends_at, world.subscription.paid_through(stripe.now)) == (first, first)
    told = mail("subscription_bought")
    assert "Price after the trial: $98.00 a month, with tax added where it applies First payment:" in told
    assert "Paid:" not in told
    stripe.update_subscription(bought, {"trial_end": int(later.timestamp()), "proration_behavior": "none"})
    world.hear()
    assert (world.subscription.trial_ends_at, world.subscription.paid_through(stripe.now)) == (later, later)
    cancellation.cancel(world.subscription, by=owner_of(world.subscription), at=stripe.now)
    assert world.subscription.ends_at == later
    assert agreeing.agree_due(stripe.now) == 1
    stripe.advance(later + DAY)
    world.hear()
    assert (bought["status"], [invoice["amount_paid"] for invoice in stripe.invoices]) == ("canceled", [0])
    assert not Finding.objects.exists()


def test_a_trial_cut_short_in_the_dashboard_is_paid_from_then_on(world: World, stripe: FakeStripe) -> None:
    bought = world.buy(trial_end=BOUGHT + 14 * DAY)
    world.hear()
    stripe.advance(days=5)
    stripe.update_subscription(bought, {"trial_end": "now"})
    world.hear()
    cut = BOUGHT + 5 * DAY
    assert world.subscription.on_trial(stripe.now) is False
    assert (world.subscription.first_paid_at, world.subscription.period_started_at) == (cut, cut)
    assert world.holding.status == HeldStatus.LIVE


def test_a_trial_that_ends_without_a_card_is_paused_and_goes_on_once_there_is_one(
    world: World, stripe: FakeStripe
) -> None:
    world.customer = stripe.customer(card=None)
    world.account.stripe_customer.reference = world.customer["id"]
    world.account.stripe_customer.save()
    bought = world.buy(
        trial_end=BOUGHT + 14 * DAY, trial_settings={"end_behavior": {"missing_payment_method": "pause"}}
    )
    world.hear()
    stripe.advance(days=15)
    world.hear()
    assert (bought["status"], plan(world)) == ("paused", "free")
    assert "Your subscription is paused" in str(
        sending.write(Notice.objects.get(kind="subscriptions/subscription_suspended")).subject
    )
    stripe.pay_with(world.customer, "pays")
    stripe.resume(bought)
    world.hear()
    assert plan(world) == "pro"


# Schedules and billing modes


def test_an_end_that_a_schedule_has_set_is_taken_over_and_kept_by_releasing_it(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    stripe.schedule_for(held["id"])
    held["cancel_at"] = int(FIRST_END.timestamp())
    world.hear()
    assert world.subscription.ends_at == FIRST_END
    kept = world.subscription.cancellations.get()
    assert cancellation.withdraw(kept, by=owner_of(world.subscription), at=stripe.now)
    assert agreeing.agree_due(stripe.now) == 1
    world.hear()
    assert (held["cancel_at"], held["schedule"]) == (None, None)
    assert world.subscription.ends_at is None


@pytest.mark.parametrize("mode", ["classic", "flexible"])
def test_both_billing_modes_cancel_keep_and_end_alike(world: World, stripe: FakeStripe, mode: str) -> None:
    bought = world.buy(mode=mode)
    world.hear()
    owner = owner_of(world.subscription)
    # In the portal, classic sets the flag and flexible a date; both are an end, and both are kept here.
    stripe.portal_cancel(bought["id"], feedback="unused")
    assert bought["cancel_at_period_end"] is (mode == "classic")
    world.hear()
    assert (world.subscription.ends_at, world.subscription.cancellations.get().reason) == (FIRST_END, "unused")
    assert cancellation.withdraw(world.subscription.cancellations.get(), by=owner, at=stripe.now)
    assert agreeing.agree_due(stripe.now) == 1
    assert (bought["cancel_at"], bought["cancel_at_period_end"]) == (None, False)
    cancellation.cancel(world.subscription, by=owner, at=stripe.now + HOUR)
    assert agreeing.agree_due(stripe.now + HOUR) == 1
    stripe.advance(FIRST_END + HOUR)
    settle_due(stripe.now)
    world.hear()
    assert (bought["status"], world.subscription.ends_at) == ("canceled", FIRST_END)
    assert [invoice["amount_paid"] for invoice in stripe.invoices] == [9800]
    assert not Finding.objects.exists()


def test_a_date_of_staffs_in_the_middle_of_a_period_is_taken_over(world: World, held: Json, stripe: FakeStripe) -> None:
    earlier = BOUGHT + 10 * DAY
    stripe.dashboard_cancel(held["id"], earlier)
    world.hear()
    assert world.subscription.ends_at == earlier
    assert world.subscription.cancellations.get().requested_by is None


def test_an_end_that_we_asked_for_is_not_said_to_be_staffs(world: World, held: Json, stripe: FakeStripe) -> None:
    cancellation.cancel(world.subscription, by=owner_of(world.subscription), at=stripe.now)
    agreeing.agree_due(stripe.now)
    # As one plays it: its period is cut short, so that it ends before the day that was told.
    stripe.hurry(held["id"], seconds=60)
    stripe.advance(seconds=120)
    world.hear()
    ended = world.account.events.get(kind="subscription.ended")
    assert ended.facts["reason"] == "owner"
    assert Finding.objects.get().code == "ended-before-promised"


# Amounts


@pytest.mark.parametrize(
    ("currency", "cents", "shown"),
    [("jpy", 4900, "¥9,800"), ("kwd", 15500, "KWD\xa031.000"), ("isk", 49000, "ISK\xa0980")],
)
def test_currencies_without_hundredths_are_mapped_and_shown_in_their_units(
    world: World, stripe: FakeStripe, currency: str, cents: int, shown: str
) -> None:
    world.price = stripe.price(cents, currency=currency, lookup_key="pro-abroad")
    world.buy()
    world.hear()
    bought = world.subscription
    assert (bought.plan_id, bought.cents, bought.currency) == ("pro", cents, currency.upper())
    assert f"Price: {shown.replace(chr(160), ' ')} a month" in mail("subscription_bought")
    assert Invoice.objects.get().cents_paid == 2 * cents


def test_a_quantity_of_nothing_and_a_price_without_an_amount_are_findings_and_end_nothing(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    stripe.change(held["id"], quantity=0)
    world.hear()
    assert (Finding.objects.get().code, world.subscription.seats, plan(world)) == ("no-seats", 2, "pro")
    stripe.change(held["id"], quantity=1, price=stripe.price(None, tiers=True, lookup_key="pro-tiers"))
    world.hear()
    found = Finding.objects.get(code="price-changed")
    assert (found.facts["why"], world.subscription.cents, plan(world)) == ("no_amount", 4900, "pro")


# What is told


def test_who_bought_is_told_what_was_bought_paid_and_charged_next_and_how_to_cancel(world: World, held: Json) -> None:
    told = mail("subscription_bought")
    assert "has a Pro subscription since Saturday, January 31, 2026" in told
    assert "It is for 2 seats. Price: $98.00 a month, with tax added where it applies Paid: $98.00 (invoice" in told
    assert "Next payment: Saturday, February 28, 2026" in told
    assert "You can cancel at any time in Subscription Settings, with one form" in told
    world.hear()
    assert Notice.objects.filter(kind="subscriptions/subscription_bought").count() == 1


def test_it_is_told_in_french_to_whoever_reads_french(world: World, held: Json) -> None:
    notice = Notice.objects.get(kind="subscriptions/subscription_bought")
    recipient = notice.recipient
    assert recipient is not None
    recipient.language = "fr"
    recipient.save()
    written = sending.write(Notice.objects.get(pk=notice.pk))
    assert written.subject == "Vous êtes abonné à Pro"
    assert "Prochain paiement\xa0: " in str(written.body)


def test_while_stripe_is_away_after_the_end_nobody_is_told_that_the_renewal_is_stopped(
    world: World, held: Json, stripe: FakeStripe
) -> None:
    cancellation.cancel(world.subscription, by=owner_of(world.subscription), at=stripe.now)
    away = stripe.away()
    stripe.advance(FIRST_END + HOUR)
    settle_due(stripe.now)
    told = mail("subscription_ended")
    assert "The renewal is not stopped yet where you pay" in told
    assert "If anything is charged for the time after the end, you get it back." in told
    stripe.heal(away)
    assert agreeing.agree_due(stripe.now) == 1
    assert Wish.objects.get().agreed_at


def test_once_stripe_has_agreed_the_mail_about_the_end_says_so(world: World, held: Json, stripe: FakeStripe) -> None:
    cancellation.cancel(world.subscription, by=owner_of(world.subscription), at=stripe.now)
    agreeing.agree_due(stripe.now)
    stripe.advance(FIRST_END + HOUR)
    settle_due(stripe.now)
    assert "The renewal is stopped: nothing more is charged." in mail("subscription_ended")


def test_a_renewal_that_is_not_taken_up_again_yet_is_not_promised(world: World, held: Json, stripe: FakeStripe) -> None:
    owner = owner_of(world.subscription)
    made, _new = cancellation.cancel(world.subscription, by=owner, at=stripe.now)
    agreeing.agree_due(stripe.now)
    cancellation.withdraw(made, by=owner, at=stripe.now)
    told: Any = mail("cancellation_withdrawn")
    assert "is to go on and to renew on" in told
    assert "Its renewal is being taken up again where you pay" in told
