"""All five actions, read leniently, in whatever order they come."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.customers.entitlements import entitlements_of
from accounts.jobs.invariants import warnings
from accounts.models import Account, Delivery, Event
from marketplace.github.customer import GitHubCustomer
from marketplace.github.payloads import read_instant
from marketplace.models import ListingPlan, Offboarding
from subscriptions.models import Plan, Subscription
from tests.factories import NOW
from tests.fakes.github import Delivery as Sent
from tests.marketplace.conftest import World, deliver

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def changed_body(delivery: Sent, guid: str, **changes: object) -> Sent:
    """The same delivery with other values in its payload, under another id."""
    payload = {**delivery.payload, **changes}
    return replace(delivery, guid=guid, payload=payload, body=json.dumps(payload).encode())


@pytest.mark.parametrize("era", ["2017", "2018", "2022"])
def test_a_purchase_makes_an_account_with_what_the_plan_grants(world: World, era: Any) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, pro, era=era))
    account = world.account_of(buyer)
    assert account.name == "harbour"
    assert entitlements_of(account, NOW).plan == "pro"
    subscription = Subscription.objects.get()
    assert (subscription.channel, subscription.interval, subscription.seats, subscription.cents) == (
        "github_marketplace",
        1,
        1,
        900,
    )
    stored = Delivery.objects.get()
    assert (stored.outcome, stored.action, stored.account_id) == ("applied", "purchased", account.pk)


def test_seats_years_and_trials_are_read(world: World) -> None:
    team = world.github.listing_plan(name="Team", monthly=400, price_model="PER_UNIT", has_free_trial=True)
    buyer = world.github.account(login="crew", type="Organization")
    world.hears(world.github.buy(buyer, team, billing_cycle="yearly", unit_count=12, trial_ends=NOW + 14 * DAY))
    subscription, customer = Subscription.objects.get(), GitHubCustomer.objects.get()
    assert (subscription.interval, subscription.seats, subscription.total_cents) == (12, 12, 12 * 4000)
    assert customer.trial_ends_on is not None
    assert customer.trial_ends_on == (NOW + 14 * DAY).date()


def test_an_unmapped_plan_grants_what_its_price_says_and_staff_are_told(world: World) -> None:
    paid = world.github.listing_plan(name="Titanium", monthly=0, yearly=99_000)
    free = world.github.listing_plan(name="Hobby")
    rich, poor = world.github.account(login="rich"), world.github.account(login="poor")
    world.hears(world.github.buy(rich, paid, billing_cycle="yearly"), world.github.buy(poor, free))
    assert entitlements_of(world.account_of(rich), NOW).plan == "pro"
    assert entitlements_of(world.account_of(poor), NOW).plan == "free"
    (found,) = (v for v in warnings(NOW) if v.name == "unmapped-plan")
    assert found.count == 2
    ListingPlan.objects.filter(pk=paid.id).update(plan=Plan.objects.get(code="enterprise"))
    world.passes(DAY)
    world.hears(world.github.change(rich, paid, unit_count=2))
    assert entitlements_of(world.account_of(rich), world.now).plan == "enterprise"


def test_an_upgrade_and_a_failed_upgrade_put_back_take_effect(world: World) -> None:
    small, large = (world.github.listing_plan(name=name, monthly=price) for name, price in (("S", 500), ("L", 1500)))
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, small))
    world.hears(world.github.change(buyer, large))
    assert Subscription.objects.get().cents == 1500
    world.hears(world.github.change(buyer, small))
    assert Subscription.objects.get().cents == 500
    assert Event.objects.filter(kind="subscription.changed").count() == 2


def test_the_end_of_a_trial_on_the_same_plan_is_noticed(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900, has_free_trial=True)
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, pro, trial_ends=NOW + 14 * DAY))
    world.passes(14 * DAY)
    world.hears(world.github.change(buyer, pro))
    assert GitHubCustomer.objects.get().trial_ends_on is None
    assert entitlements_of(world.account_of(buyer), world.now).plan == "pro"


def test_a_pending_change_changes_no_access_and_can_be_withdrawn(world: World) -> None:
    small, large = (world.github.listing_plan(name=name, monthly=price) for name, price in (("S", 500), ("L", 1500)))
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, large))
    world.passes(DAY)
    world.hears(world.github.schedule_change(buyer, small))
    customer = GitHubCustomer.objects.get()
    assert (customer.pending_since, customer.pending_plan) == (world.now, None)
    assert Subscription.objects.get().cents == 1500
    # Only GitHub's own answer knows where it goes.
    world.run("github-check")
    assert GitHubCustomer.objects.get().pending_plan_id == small.id
    world.hears(world.github.withdraw_change(buyer))
    assert GitHubCustomer.objects.get().pending_since is None


def test_a_cancellation_ends_the_subscription_and_deactivates_the_account_at_once(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, pro))
    world.passes(10 * DAY)
    world.hears(world.github.cancel(buyer))
    account = world.account_of(buyer)
    entitlements = entitlements_of(account, world.now)
    assert (entitlements.active, entitlements.features) == (False, frozenset())
    offboarding = Offboarding.objects.get()
    assert offboarding.deadline_at == world.now + 30 * DAY
    assert Subscription.objects.get().settled_at == world.now


def test_everything_is_keyed_by_the_id_and_logins_are_refreshed(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    buyer, colleague = world.github.account(login="harbour"), world.github.account(login="colleague")
    world.hears(world.github.buy(buyer, pro, by=buyer))
    world.github.rename(buyer, "lighthouse")
    world.hears(world.github.change(buyer, pro, unit_count=3, by=colleague))
    assert GitHubCustomer.objects.get().login == "lighthouse"
    assert Account.objects.count() == 1


def test_a_delivery_twice_has_one_effect(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    bought = world.github.buy(world.github.account(login="harbour"), pro)
    world.hears(bought, bought)
    assert Event.objects.filter(kind="subscription.started").count() == 1


def test_a_captured_body_under_another_id_does_not_bring_an_account_back(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    buyer = world.github.account(login="harbour")
    bought = world.github.buy(buyer, pro)
    world.hears(bought)
    world.hears(world.github.cancel(buyer))
    world.hears(replace(bought, guid="invented"))
    assert Delivery.objects.get(delivery_id="invented").outcome == "repeated"
    assert world.account_of(buyer).deactivated_at is not None


def test_an_old_change_does_not_undo_a_newer_cancellation(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, pro))
    world.passes(DAY)
    late = world.github.change(buyer, pro, unit_count=5)
    world.passes(DAY)
    world.hears(world.github.cancel(buyer))
    world.hears(late)
    assert Delivery.objects.get(delivery_id=late.guid).outcome == "stale"
    assert world.account_of(buyer).deactivated_at is not None


def test_a_cancellation_that_a_new_purchase_overtook_ends_nothing(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, pro))
    world.passes(DAY)
    late = world.github.cancel(buyer)
    world.passes(DAY)
    world.hears(world.github.buy(buyer, pro))
    world.hears(late)
    assert Delivery.objects.get(delivery_id=late.guid).outcome == "stale"
    assert world.account_of(buyer).deactivated_at is None


def test_a_cancellation_of_somebody_unknown_is_nothing(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    buyer = world.github.account(login="harbour")
    world.github.buy(buyer, pro)
    world.hears(world.github.cancel(buyer))
    assert not GitHubCustomer.objects.exists()
    assert Delivery.objects.get().outcome == "no_change"


@pytest.mark.parametrize("effective_date", [None, "soon", "", 20260317, "0000-00-00", "2026-13-01T00:00:00Z"])
def test_a_cancellation_with_an_unreadable_date_counts_from_its_receipt(world: World, effective_date: object) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, pro))
    world.passes(DAY)
    world.hears(changed_body(world.github.cancel(buyer), "odd", effective_date=effective_date))
    assert Offboarding.objects.get().received_at == world.now
    alert = Delivery.objects.get(delivery_id="odd").alert
    assert ("effective_date" in alert) is (effective_date is not None)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-17T00:00:00+00:00", datetime(2026, 3, 17, tzinfo=UTC)),
        ("2026-03-17T02:00:00Z", datetime(2026, 3, 17, 2, tzinfo=UTC)),
        ("2026-03-17T00:00:00.000Z", datetime(2026, 3, 17, tzinfo=UTC)),
        ("2026-03-16T20:00:00-07:00", datetime(2026, 3, 17, 3, tzinfo=UTC)),
        ("2026-03-17", datetime(2026, 3, 17, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("next week", None),
        (None, None),
    ],
)
def test_instants_are_read_as_they_come(text: object, instant: datetime | None) -> None:
    assert read_instant(text) == instant


@pytest.mark.parametrize("missing", ["account", "plan"])
def test_a_message_without_its_ids_is_parked_with_the_reason_and_can_be_processed_again(
    world: World, missing: str
) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    bought = world.github.buy(world.github.account(login="harbour"), pro)
    purchase = {**bought.payload["marketplace_purchase"], missing: {"login": "nobody"}}
    world.hears(changed_body(bought, "odd", marketplace_purchase=purchase))
    parked = Delivery.objects.parked().get()
    assert parked.last_error == f"`marketplace_purchase.{missing}.id` is missing."
    assert parked.attempts == 1
    assert not GitHubCustomer.objects.exists()


def test_a_value_that_no_column_holds_is_parked_with_the_reason_and_the_others_go_on(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    bought = world.github.buy(world.github.account(login="harbour"), pro)
    purchase = bought.payload["marketplace_purchase"]
    odd = {**purchase, "plan": {**purchase["plan"], "price_model": "x" * 41}}
    other = world.github.buy(world.github.account(login="other"), pro)
    world.hears(changed_body(bought, "odd", marketplace_purchase=odd), other)
    parked = Delivery.objects.parked().get()
    assert parked.last_error == "StringDataRightTruncation: value too long for type character varying(40)"
    assert (parked.attempts, parked.action, parked.external_account) == (
        1,
        "purchased",
        str(bought.payload["marketplace_purchase"]["account"]["id"]),
    )
    assert GitHubCustomer.objects.get().login == "other"


def test_unknown_events_and_actions_are_stored_and_shown(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    bought = world.github.buy(world.github.account(login="harbour"), pro)
    world.hears(changed_body(bought, "new-action", action="gifted"), replace(bought, guid="new-event", event="star"))
    assert set(Delivery.objects.values_list("outcome", flat=True)) == {"unknown"}
    assert not GitHubCustomer.objects.exists()


def test_a_delivery_that_fails_backs_off_and_does_not_hold_up_the_others(world: World) -> None:
    """The failing one says what the database refuses."""
    pro = world.github.listing_plan(name="Pro", monthly=900)
    first, second = world.github.account(login="first"), world.github.account(login="second")
    world.hears(world.github.buy(first, pro))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE marketplace_customer ADD CONSTRAINT never_two CHECK (seats <> 2)")
    deliver(world.github.change(first, pro, unit_count=2), world.now)
    deliver(world.github.buy(second, pro), world.now)
    world.run("deliveries")
    failed = Delivery.objects.unprocessed().get()
    assert (failed.attempts, failed.next_attempt_at) == (1, world.now + timedelta(seconds=30))
    assert GitHubCustomer.objects.filter(github_id=second.id).exists()
