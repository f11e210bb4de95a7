"""Existing customers of Stripe's: whose account each is, what is taken over, and what is listed instead."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.core import clock
from accounts.customers.history import Actor
from accounts.models import Account, Event, Notice, User
from accounts.support import deletion
from accounts.support.requests import RequestKind, ask
from subscriptions.billing.finding import Finding
from subscriptions.billing.wish import Wish
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Cancellation, Holding, StripeCustomer, StripePrice, Subscription
from subscriptions.stripe.checks import check_due
from subscriptions.stripe.client import stripe_api
from subscriptions.stripe.forgetting import customers_of
from subscriptions.stripe.importing.report import Options, Why
from subscriptions.stripe.importing.run import import_all
from tests.accounts.erasure.purging import HOUR
from tests.factories import AccountFactory, UserFactory, subscribe
from tests.fakes.stripe import FakeStripe

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def report(*options: str) -> str:
    out = StringIO()
    call_command("stripe_import", *options, stdout=out)
    return out.getvalue()


@pytest.fixture
def pro(stripe: FakeStripe) -> Any:
    stripe.now = clock.now() - HOUR
    return stripe.price(4900, lookup_key="pro")


def owned(email: str) -> Account:
    account: Account = AccountFactory(owner=UserFactory(email=email))
    return account


def line(said: str, there: Any) -> str:
    """What the report says of one: its account, and the reason."""
    (found,) = [line for line in said.splitlines() if line.startswith(f"{there['id']} ")]
    return found.removeprefix(f"{there['id']} {there['customer']} ")


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_rehearsal_says_what_would_become_of_it_and_changes_nothing(
    stripe: FakeStripe, pro: Any, options: tuple[str, ...]
) -> None:
    account = owned("ada@lovelace.example")
    there = stripe.subscribe(stripe.customer(email="Ada@Lovelace.example"), pro, quantity=3)
    assert line(report(*options), there) == f"{account.pk}: linked"
    assert not StripeCustomer.objects.exists()
    assert not StripePrice.objects.exists()
    assert not Subscription.objects.exists()


def test_what_is_certain_is_linked_without_a_mail_or_a_change_there_and_again_changes_nothing(
    stripe: FakeStripe, pro: Any
) -> None:
    account = owned("ada@lovelace.example")
    there = stripe.subscribe(stripe.customer(email="ADA@lovelace.example"), pro, quantity=3)
    assert "1 linked" in report("--apply")
    found = Subscription.objects.get()
    assert (found.account, found.plan_id, found.seats, found.cents, found.held_by) == (
        account,
        "pro",
        3,
        4900,
        "stripe",
    )
    assert found.started_at.timestamp() == there["start_date"]
    assert Holding.objects.get().reference == there["id"]
    assert "1 unchanged" in report("--apply")
    assert Subscription.objects.count() == 1
    assert not Notice.objects.exists()
    assert stripe.changes() == []


def test_metadata_name_the_account_before_any_address_does(stripe: FakeStripe, pro: Any) -> None:
    owned("ada@lovelace.example")
    named = owned("grace@hopper.example")
    customer = stripe.customer(email="ada@lovelace.example", metadata={"tenant": str(named.pk)})
    stripe.subscribe(customer, pro)
    report("--apply", "--metadata-key", "tenant")
    assert Subscription.objects.get().account == named


def test_metadata_may_name_the_account_by_its_external_id(stripe: FakeStripe, pro: Any) -> None:
    named = owned("grace@hopper.example")
    Account.objects.filter(pk=named.pk).update(external_id="crm-7")
    there = stripe.subscribe(stripe.customer(metadata={"offboard_account": "crm-7"}), pro)
    assert line(report("--apply"), there) == f"{named.pk}: linked"


def test_who_says_whose_it_is_and_is_mistaken_is_nobodys_though_the_address_fits(stripe: FakeStripe, pro: Any) -> None:
    owned("ada@lovelace.example")
    customer = stripe.customer(email="ada@lovelace.example", metadata={"offboard_account": "crm-unknown"})
    there = stripe.subscribe(customer, pro)
    assert line(report("--apply"), there) == "-: nobody"


def test_a_cancellation_there_is_one_here_without_a_mail(stripe: FakeStripe, pro: Any) -> None:
    account = owned("ada@lovelace.example")
    there = stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro, cancel_at_period_end=True)
    assert line(report("--apply"), there) == f"{account.pk}: linked (cancelling)"
    assert Cancellation.objects.get().effective_at == Subscription.objects.get().period_ends_at
    assert not Notice.objects.exists()
    assert not Wish.objects.exists(), "it was done there: nothing is asked of Stripe"


def test_a_trial_a_schedule_and_money_that_is_late_or_missing_are_said_beside_linked(
    stripe: FakeStripe, pro: Any
) -> None:
    now = clock.now()
    trial, schedule, late, unpaid, paused = (owned(f"{name}@notes.example") for name in "abcde")
    there = [stripe.subscribe(stripe.customer(email=f"{name}@notes.example"), pro) for name in "bcde"]
    trying = stripe.subscribe(stripe.customer(email="a@notes.example"), pro, trial_end=now + 3 * DAY)
    stripe.schedule_for(there[0])
    there[1]["status"], there[2]["status"] = "past_due", "unpaid"
    stripe.pause(there[3])
    said = report("--apply")
    assert line(said, trying) == f"{trial.pk}: linked (trial)"
    assert [line(said, each) for each in there] == [
        f"{schedule.pk}: linked (has schedule)",
        f"{late.pk}: linked (past_due)",
        f"{unpaid.pk}: linked (unpaid)",
        f"{paused.pk}: linked (paused)",
    ]
    begun = Subscription.objects.get(account=trial)
    assert begun.trial_ends_at is not None
    assert begun.trial_ends_at.timestamp() == trying["trial_end"]
    suspended = Subscription.objects.filter(suspended_at__isnull=False).values_list("account_id", flat=True)
    assert set(suspended) == {unpaid.pk, paused.pk}
    assert not Notice.objects.exists()


# What is listed, and not linked: each reason by its name

LISTED: dict[Why, Callable[[FakeStripe, Any, Any], Any]] = {
    Why.NOBODY: lambda stripe, pro, whose: stripe.subscribe(stripe.customer(email="no@body.example"), pro),
    Why.UNKNOWN_PRICE: lambda stripe, pro, whose: stripe.subscribe(whose, stripe.price(100)),
    Why.INTERVAL: lambda stripe, pro, whose: stripe.subscribe(
        whose, stripe.price(900, interval_count=3, lookup_key="pro-quarterly")
    ),
    Why.CURRENCY: lambda stripe, pro, whose: stripe.subscribe(
        whose, stripe.price(900, currency="xyz", lookup_key="pro-xyz")
    ),
    Why.METERED: lambda stripe, pro, whose: stripe.subscribe(
        whose, stripe.price(900, usage_type="metered", lookup_key="pro-metered")
    ),
    Why.TIERED: lambda stripe, pro, whose: stripe.subscribe(whose, tiered(stripe)),
    Why.NO_AMOUNT: lambda stripe, pro, whose: stripe.subscribe(
        whose,
        stripe.price(900, lookup_key="pro-packs", transform_quantity={"divide_by": 10, "round": "up"}),
    ),
    Why.NO_SEATS: lambda stripe, pro, whose: stripe.subscribe(whose, pro, quantity=0),
    Why.ITEMS: lambda stripe, pro, whose: stripe.subscribe(whose, items=[(pro, 1), (stripe.price(100), 1)]),
    Why.UNREADABLE: lambda stripe, pro, whose: stripe.subscribe(whose, pro) | {},
    Why.TEST_CLOCK: lambda stripe, pro, whose: changed(stripe.subscribe(whose, pro), test_clock="clock_1"),
    Why.WRONG_MODE: lambda stripe, pro, whose: changed(stripe.subscribe(whose, pro), livemode=True),
    Why.NOT_BEGUN: lambda stripe, pro, whose: changed(stripe.subscribe(whose, pro), status="incomplete"),
    Why.ENDED: lambda stripe, pro, whose: stripe.end_now(stripe.subscribe(whose, pro)),
}


def tiered(stripe: FakeStripe) -> Any:
    """By tiers, though it has an amount: that of its first tier."""
    return stripe.price(900, tiers=True, lookup_key="pro-tiers")


def changed(there: Any, **changes: Any) -> Any:
    there.update(changes)
    return there


@pytest.mark.parametrize("why", LISTED)
def test_whatever_can_not_be_is_listed_with_its_reason_and_not_linked(stripe: FakeStripe, pro: Any, why: Why) -> None:
    owned("ada@lovelace.example")
    there = LISTED[why](stripe, pro, stripe.customer(email="ada@lovelace.example"))
    if why == Why.UNREADABLE:
        stripe.the(there)["status"] = "some_new_word"
    assert line(report("--apply"), there) == f"-: {why}"
    assert not StripeCustomer.objects.exists()
    assert not Subscription.objects.exists()


def test_an_owner_of_two_accounts_is_ambiguous(stripe: FakeStripe, pro: Any) -> None:
    shared = UserFactory(email="two@accounts.example")
    AccountFactory(owner=shared)
    AccountFactory(owner=shared)
    there = stripe.subscribe(stripe.customer(email="two@accounts.example"), pro)
    assert line(report("--apply"), there) == "-: ambiguous"


@pytest.mark.parametrize("options", [(), ("--apply",)])
def test_two_customers_of_one_address_are_both_ambiguous_unless_only_one_has_something_that_runs(
    stripe: FakeStripe, pro: Any, options: tuple[str, ...]
) -> None:
    account = owned("ada@lovelace.example")
    one, two = (stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro) for _number in range(2))
    said = report(*options)
    assert (line(said, one), line(said, two)) == ("-: ambiguous", "-: ambiguous")
    stripe.end_now(one)
    said = report("--ended", *options)
    assert (line(said, one), line(said, two)) == ("-: ambiguous", f"{account.pk}: linked")


@pytest.mark.parametrize("options", [(), ("--apply",)])
def test_a_customer_that_says_whose_it_is_goes_before_one_with_the_same_address(
    stripe: FakeStripe, pro: Any, options: tuple[str, ...]
) -> None:
    account = owned("ada@lovelace.example")
    by_address = stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro)
    named = stripe.subscribe(stripe.customer(metadata={"offboard_account": str(account.pk)}), pro)
    said = report(*options)
    assert (line(said, by_address), line(said, named)) == ("-: ambiguous", f"{account.pk}: linked")


def test_a_second_customer_of_an_account_that_has_one_is_ambiguous(stripe: FakeStripe, pro: Any) -> None:
    account = owned("ada@lovelace.example")
    StripeCustomer.objects.create(account=account, reference="cus_bought", livemode=False)
    there = stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro)
    assert line(report("--apply"), there) == "-: ambiguous"


@pytest.mark.parametrize("linked", [True, False])
def test_of_two_that_run_the_older_one_is_taken_over_and_the_other_is_a_finding(
    stripe: FakeStripe, pro: Any, linked: bool
) -> None:
    account = owned("ada@lovelace.example")
    customer = stripe.customer(email="ada@lovelace.example")
    if linked:
        StripeCustomer.objects.create(account=account, reference=customer["id"], livemode=False)
    older = stripe.subscribe(customer, pro)
    stripe.now += timedelta(seconds=5)
    newer = stripe.subscribe(customer, pro)
    for options in ((), ("--apply",)):
        said = report(*options)
        assert (line(said, older), line(said, newer)) == (f"{account.pk}: linked", f"{account.pk}: two live")
    said = report("--apply")
    assert (line(said, older), line(said, newer)) == (f"{account.pk}: unchanged", f"{account.pk}: two live")
    assert Holding.objects.get().reference == older["id"]
    check_due(clock.now())
    found = Finding.objects.get(reference=newer["id"])
    assert (found.code, found.closed_at) == ("second-live-subscription", None)


# In the place of another subscription


@pytest.mark.parametrize("channel", ["direct", "datadog_sales", "aws_marketplace"])
def test_an_account_keeps_the_subscription_that_it_has_here(stripe: FakeStripe, pro: Any, channel: str) -> None:
    account = owned("ada@lovelace.example")
    here = subscribe(account, channel=channel)
    there = stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro)
    assert line(report("--apply"), there) == f"{account.pk}: two live"
    assert Subscription.objects.get() == here
    assert not StripeCustomer.objects.exists()


def test_told_to_replace_it_ends_what_staff_recorded_without_a_gap_a_mail_or_a_charge_to_be_stopped(
    stripe: FakeStripe, pro: Any
) -> None:
    account = owned("ada@lovelace.example")
    here = subscribe(account, at=clock.now() - 90 * DAY)
    there = stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro, quantity=4)
    assert line(report("--replace"), there) == f"{account.pk}: linked (replaced)"
    here.refresh_from_db()
    assert here.ends_at is None, "that was a rehearsal"
    assert line(report("--replace", "--apply"), there) == f"{account.pk}: linked (replaced)"
    here.refresh_from_db()
    found = Subscription.objects.get(held_by="stripe")
    assert here.ends_at == here.settled_at == found.started_at
    assert (found.seats, Holding.objects.get().reference) == (4, there["id"])
    assert not Notice.objects.exists()
    assert not Wish.objects.exists()
    renewed = Event.objects.get(kind="subscription.renewed")
    assert (renewed.facts["subscription"], renewed.facts["successor"]) == (here.pk, found.pk)
    assert not Event.objects.filter(kind="subscription.ended").exists()
    assert line(report("--replace", "--apply"), there) == f"{account.pk}: unchanged"


@pytest.mark.parametrize("channel", ["datadog_sales", "aws_marketplace"])
def test_what_others_sold_is_not_replaced(stripe: FakeStripe, pro: Any, channel: str) -> None:
    account = owned("ada@lovelace.example")
    subscribe(account, channel=channel)
    there = stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro)
    assert line(report("--apply", "--replace"), there) == f"{account.pk}: two live"


def test_what_an_owner_has_cancelled_here_does_not_go_on_by_being_replaced(stripe: FakeStripe, pro: Any) -> None:
    account = owned("ada@lovelace.example")
    here, owner = subscribe(account, at=clock.now() - 3 * DAY), account.owner()
    assert owner is not None
    cancel(here, by=Actor.owner(owner), reason="", comment="", at=clock.now())
    there = stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro)
    assert line(report("--apply", "--replace"), there) == f"{account.pk}: leaving here"
    assert Subscription.objects.get() == here
    assert Cancellation.objects.open().exists()


def test_of_an_account_that_is_to_be_deleted_it_is_linked_and_said_so_for_the_erasing_has_to_know_of_it(
    stripe: FakeStripe, pro: Any, agent: User, lead: User
) -> None:
    account = owned("ada@lovelace.example")
    owner, now = account.owner(), clock.now()
    assert owner is not None
    asked, _new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=now)
    deletion.propose(asked, by=Actor.staff(agent), at=now, override="They know.")
    deletion.approve(asked, by=Actor.staff(lead), at=now)
    there = stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro)
    for options in ((), ("--apply",)):
        assert line(report(*options), there) == f"{account.pk}: linked (to be deleted)"
    assert customers_of(account.pk) == {there["customer"]}


def test_what_is_to_begin_here_later_stands_in_the_way(stripe: FakeStripe, pro: Any) -> None:
    account = owned("ada@lovelace.example")
    subscribe(account, at=clock.now() + 9 * DAY, channel="datadog_sales", ends_at=clock.now() + 90 * DAY)
    there = stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro)
    assert line(report("--apply", "--replace"), there) == f"{account.pk}: two live"


# What has ended there


def test_told_so_what_has_ended_is_written_down_for_history_alone(stripe: FakeStripe, pro: Any) -> None:
    account = owned("ada@lovelace.example")
    customer = stripe.customer(email="ada@lovelace.example")
    stripe.now -= 40 * DAY
    over = stripe.subscribe(customer, pro, quantity=2)
    stripe.now += 10 * DAY
    stripe.end_now(over)
    stripe.now += 30 * DAY
    runs = stripe.subscribe(customer, pro)
    for options in ((), ("--apply",)):
        said = report("--ended", *options)
        assert (line(said, over), line(said, runs)) == (f"{account.pk}: history", f"{account.pk}: linked")
    past, present = Subscription.objects.order_by("started_at")
    assert past.ends_at is not None
    assert (past.started_at.timestamp(), past.ends_at.timestamp()) == (over["start_date"], over["ended_at"])
    assert (past.seats, past.is_live(clock.now()), present.started_at.timestamp()) == (2, False, runs["start_date"])
    lines = Event.objects.filter(facts__subscription=past.pk).order_by("at")
    assert [(each.kind, each.at) for each in lines] == [
        ("subscription.started", past.started_at),
        ("subscription.ended", past.ends_at),
    ]
    assert not Notice.objects.exists()
    said = report("--ended", "--apply")
    assert (line(said, over), line(said, runs)) == (f"{account.pk}: unchanged", f"{account.pk}: unchanged")
    check_due(clock.now())
    assert not Finding.objects.exists()
    assert not Notice.objects.exists()


def test_what_has_ended_while_another_one_ran_here_is_listed(stripe: FakeStripe, pro: Any) -> None:
    account = owned("ada@lovelace.example")
    subscribe(account, at=clock.now() - 50 * DAY)
    stripe.now -= 40 * DAY
    over = stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro)
    stripe.now += 10 * DAY
    stripe.end_now(over)
    assert line(report("--ended", "--apply"), over) == f"{account.pk}: overlaps"
    assert not StripeCustomer.objects.exists()


# Runs that don't get to their end


def test_a_page_that_fails_leaves_nothing_linked_and_the_run_says_so(stripe: FakeStripe, pro: Any) -> None:
    owned("ada@lovelace.example")
    nobody = stripe.customer()
    for _number in range(100):
        stripe.subscribe(nobody, pro)
    stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro)
    stripe.fail("GET /v1/subscriptions", status=500, skip=1)
    with pytest.raises(CommandError, match=r"\(500\)\. Nothing was linked; run it again\."):
        report("--apply")
    assert not StripeCustomer.objects.exists()
    assert "1 linked, 100 nobody" in report("--apply")


def test_a_run_that_was_cut_off_is_finished_by_the_next(stripe: FakeStripe, pro: Any) -> None:
    for number in range(7):
        owned(f"{number}@many.example")
        stripe.subscribe(stripe.customer(email=f"{number}@many.example"), pro)
    lines = import_all(stripe_api(), Options(at=clock.now(), apply=True))
    assert [next(lines).why for _number in range(3)] == ["linked"] * 3
    lines.close()
    assert Subscription.objects.count() == StripeCustomer.objects.count() == 3
    assert "4 linked, 3 unchanged" in report("--apply")
    assert Subscription.objects.count() == Holding.objects.count() == 7


@pytest.mark.parametrize(("lacking", "right"), [("plan", "rak_plan_read"), ("subscription", "rak_subscription_read")])
def test_a_key_that_may_not_read_is_told_the_right_that_it_lacks(
    stripe: FakeStripe, pro: Any, settings: Settings, lacking: str, right: str
) -> None:
    rights = {"plan": "read", "product": "read", "subscription": "read", "customer": "read"}
    stripe.restricted["rk_test_narrow"] = rights | {lacking: "none"}
    settings.STRIPE_API_KEY = "rk_test_narrow"
    with pytest.raises(CommandError, match=f"the key lacks the right {right}"):
        report("--apply")


def test_it_only_reads(stripe: FakeStripe, pro: Any, settings: Settings) -> None:
    stripe.restricted["rk_test_reads"] = dict.fromkeys(("plan", "product", "subscription", "customer"), "read")
    settings.STRIPE_API_KEY = "rk_test_reads"
    owned("ada@lovelace.example")
    stripe.subscribe(stripe.customer(email="ada@lovelace.example"), pro)
    assert "1 linked" in report("--apply")
