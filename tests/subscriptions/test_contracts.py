"""Contracts of the sales team: entered, extended, renewed without a gap, ended."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.core import clock
from accounts.core.text import NoText, TextTooLong
from accounts.customers.history import Actor
from accounts.customers.staff import StaffOnly
from accounts.mail.sending import send_due
from accounts.models import Account, Event, Notice, User
from subscriptions import contracts
from subscriptions.changes import end_now
from subscriptions.current_plan import entitlements
from subscriptions.ending.reminders import remind_due
from subscriptions.ending.settling import preview, settle_due
from subscriptions.models import Channel, Plan, Subscription
from tests.factories import NOW, UserFactory, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
END = NOW + timedelta(days=365)


@pytest.fixture
def agent(db: None) -> Actor:
    return Actor.staff(UserFactory(email="agent@example.com", is_staff=True))


def entered(account: Account, by: Actor, **changes: Any) -> Subscription:
    options: dict[str, Any] = {
        "plan": Plan.objects.get(code="enterprise"),
        "starts_at": NOW,
        "ends_at": END,
        "seats": 40,
        "order_reference": "SO-2026-0815",
        "at": NOW,
        **changes,
    }
    return contracts.enter(account, by=by, **options)[0]


def told(kind: str) -> list[Notice]:
    return list(Notice.objects.filter(kind=f"subscriptions/{kind}"))


def story(account: Account) -> list[str]:
    return list(account.events.order_by("at", "id").values_list("kind", flat=True))


@pytest.fixture
def contract(account: Account, agent: Actor) -> Subscription:
    return entered(account, agent)


def test_a_contract_is_entered_with_its_order_and_told_to_the_owner(
    contract: Subscription, account: Account, owner: User
) -> None:
    assert (contract.channel, contract.seats, contract.order_reference) == ("datadog_sales", 40, "SO-2026-0815")
    assert (contract.started_at, contract.ends_at, contract.interval) == (NOW, END, 12)
    assert list(Subscription.objects.ordered_as(" so-2026-0815 ")) == [contract]
    assert not Subscription.objects.ordered_as("").exists()
    (notice,) = told("contract_entered")
    assert (notice.recipient, notice.facts["ends_at"], notice.facts["seats"]) == (owner, END.isoformat(), 40)
    assert story(account) == ["contract.entered"]
    assert entitlements(account, END - SECOND).plan == "enterprise"
    assert entitlements(account, END).plan == "free"


def test_entering_the_same_order_twice_is_one_contract(contract: Subscription, account: Account, agent: Actor) -> None:
    assert entered(account, agent) == contract
    assert len(told("contract_entered")) == Subscription.objects.count() == 1


def test_a_contract_may_begin_later_or_have_begun(account: Account, agent: Actor) -> None:
    late = entered(account, agent, starts_at=NOW - 10 * DAY)
    assert late.is_live(NOW)
    other = Account.objects.create(name="Later")
    later = entered(other, agent, starts_at=NOW + 10 * DAY)
    assert (later.is_live(NOW), later.is_live(NOW + 10 * DAY)) == (False, True)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"ends_at": NOW}, contracts.WrongTerms),
        ({"ends_at": NOW - DAY}, contracts.WrongTerms),
        ({"starts_at": NOW - 20 * DAY, "ends_at": NOW - DAY}, contracts.WrongTerms),
        ({"seats": 0}, contracts.WrongTerms),
        ({"cents": -1}, contracts.WrongTerms),
        ({"order_reference": "  "}, NoText),
        ({"order_reference": "9" * 101}, TextTooLong),
        ({"by": Actor.system()}, StaffOnly),
    ],
)
def test_terms_that_cannot_be_are_refused(
    account: Account, agent: Actor, change: dict[str, Any], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        entered(account, change.pop("by", agent), **change)
    assert not Subscription.objects.exists()
    assert not Event.objects.exists()


def test_two_at_a_time_are_refused_with_words_and_by_the_database(account: Account, agent: Actor) -> None:
    direct = subscribe(account, at=NOW - DAY)
    with pytest.raises(
        contracts.Overlapping, match=r"direct subscription \(from 2026-03-16\)\. Have it cancelled"
    ) as refusal:
        entered(account, agent)
    assert refusal.value.other == direct
    with pytest.raises(IntegrityError, match="subscription_one_live_an_account"), transaction.atomic():
        subscribe(account, channel=Channel.DATADOG_SALES, ends_at=END)
    assert not told("contract_entered")


def test_what_a_marketplace_sold_has_no_order_of_ours() -> None:
    subscribe(channel=Channel.AWS_MARKETPLACE)
    with pytest.raises(IntegrityError, match="subscription_ordered_from_us"), transaction.atomic():
        Subscription.objects.update(order_reference="SO-1")


def test_an_extension_moves_the_end_the_reminders_and_tells_the_owner(
    contract: Subscription, account: Account, agent: Actor
) -> None:
    for days in (60, 30):
        assert remind_due(END - days * DAY) == 1
    assert contracts.extend(contract, ends_at=END + 60 * DAY, by=agent, at=END - 20 * DAY)
    assert not contracts.extend(contract, ends_at=END + 60 * DAY, by=agent, at=END - 20 * DAY)
    contract.refresh_from_db()
    assert contract.ends_at == END + 60 * DAY
    assert len(told("contract_extended")) == 1
    assert remind_due(END) == 1
    assert entitlements(account, END).plan == "enterprise"
    assert settle_due(END) == 0
    assert account.events.get(kind="contract.extended").facts == {
        "subscription": contract.pk,
        "ends_at": (END + 60 * DAY).isoformat(),
        "ended_before_at": END.isoformat(),
    }


def test_what_is_over_or_no_contract_or_would_end_sooner_is_not_extended(contract: Subscription, agent: Actor) -> None:
    with pytest.raises(contracts.WrongTerms, match="not later"):
        contracts.extend(contract, ends_at=END - DAY, by=agent, at=NOW)
    with pytest.raises(contracts.Over):
        contracts.extend(contract, ends_at=END + DAY, by=agent, at=END)
    with pytest.raises(contracts.NotAContract):
        contracts.extend(subscribe(), ends_at=END, by=agent, at=NOW)
    contract.refresh_from_db()
    assert contract.ends_at == END
    assert not told("contract_extended")


def renewed(contract: Subscription, by: Actor, **changes: Any) -> Subscription:
    options: dict[str, Any] = {
        "ends_at": END + 365 * DAY, "order_reference": "SO-2027-0042", "at": END - 40 * DAY, **changes,
    }  # fmt: skip
    return contracts.renew(contract, by=by, **options)[0]


def test_a_renewal_begins_at_the_very_instant_without_a_gap_or_an_end(
    contract: Subscription, account: Account, owner: User, agent: Actor
) -> None:
    following = renewed(contract, agent, seats=50)
    assert (following.started_at, following.seats, following.plan_id) == (END, 50, "enterprise")
    assert following.cents == contract.cents
    assert renewed(contract, agent, seats=50) == following
    assert len(told("contract_renewed")) == 1
    for at in (END - SECOND, END, END + SECOND):
        assert entitlements(account, at).plan == "enterprise"
    # Nobody is told that the old one ends, neither before nor then.
    assert remind_due(END - DAY) == 0
    assert list(preview(END)) == [
        f"{account.pk} Harbour: enterprise ended at 2027-03-17T09:30:00Z, the account goes on with enterprise"
    ]
    assert settle_due(END) == 1
    assert told("ending_soon") == told("subscription_ended") == []
    over = account.events.get(kind="subscription.renewed")
    assert (over.at, over.facts) == (
        END,
        {"subscription": contract.pk, "plan": "enterprise", "channel": "datadog_sales", "successor": following.pk},
    )
    assert "subscription.ended" not in story(account)
    # The new one is reminded of, and ends, like any other.
    assert remind_due(END + 365 * DAY - 90 * DAY) == 1
    assert settle_due(END + 365 * DAY) == 1
    assert len(told("subscription_ended")) == 1


def test_after_a_gap_of_a_second_the_account_is_on_free_in_between(
    contract: Subscription, account: Account, agent: Actor
) -> None:
    entered(account, agent, starts_at=END + SECOND, ends_at=END + 365 * DAY, order_reference="SO-2027-1")
    assert settle_due(END) == 1
    assert len(told("subscription_ended")) == 1
    assert "subscription.ended" in story(account)


def test_a_second_renewal_or_an_extension_into_the_renewal_is_refused(contract: Subscription, agent: Actor) -> None:
    with pytest.raises(contracts.Overlapping, match=r"Renew that one: .* without a gap"):
        entered(contract.account, agent, starts_at=END - DAY, ends_at=END + 365 * DAY, order_reference="SO-2027-1")
    renewed(contract, agent)
    with pytest.raises(contracts.Overlapping):
        renewed(contract, agent, order_reference="SO-2027-9999")
    with pytest.raises(contracts.Overlapping):
        contracts.extend(contract, ends_at=END + DAY, by=agent, at=NOW)
    with pytest.raises(contracts.Over):
        renewed(contract, agent, at=END)
    with pytest.raises(contracts.WrongTerms):
        renewed(contract, agent, ends_at=END)
    assert Subscription.objects.count() == 2
    contract.refresh_from_db()
    assert contract.ends_at == END


@pytest.mark.parametrize("days", [90, 60, 30, 7])
def test_a_contract_is_announced_a_quarter_a_sixth_and_a_twelfth_of_a_year_and_a_week_before(
    contract: Subscription, days: int
) -> None:
    assert remind_due(END - days * DAY - SECOND) == (days < 90)
    assert remind_due(END - days * DAY) == 1
    assert {notice.occasion.rsplit(":", 1)[1] for notice in told("ending_soon")} >= {str(days)}


def test_ending_it_now_tells_the_owner_once(contract: Subscription, owner: User, agent: Actor) -> None:
    assert [end_now(contract, by=agent, at=NOW + DAY) for _click in range(2)] == [True, False]
    contract.refresh_from_db()
    assert contract.ends_at == contract.settled_at == NOW + DAY
    (notice,) = told("subscription_ended")
    assert (notice.recipient, notice.facts["ended_at"]) == (owner, (NOW + DAY).isoformat())
    assert Event.objects.get(kind="subscription.ended").actor_kind == "staff"
    assert settle_due(NOW + 2 * DAY) == 0


def test_the_page_says_that_it_expires_by_itself_or_goes_on(
    account: Account, owner: User, agent: Actor, sign_in: SignIn
) -> None:
    at = clock.now()
    end = at + 50 * DAY
    contract = entered(account, agent, starts_at=at - DAY, ends_at=end, at=at)
    client = sign_in(owner)
    page = client.get("/user/subscription/").content.decode()
    assert "It does not renew: it expires on" in page
    assert "SO-2026-0815" in page
    contracts.renew(contract, ends_at=end + 365 * DAY, order_reference="SO-2", by=agent, at=at)
    page = client.get("/user/subscription/").content.decode()
    assert "It is renewed: on" in page
    assert "expires on" not in page
    assert client.post("/user/subscription/cancellation/", {"account": account.pk}).status_code == 409


def test_orders_are_found_by_their_index(contract: Subscription) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = Subscription.objects.ordered_as("SO-2026-0815").explain()
    assert "subscription_by_order" in plan


def test_an_end_in_the_database_is_needed_for_a_renewal(account: Account, agent: Actor) -> None:
    endless = subscribe(account, channel=Channel.DATADOG_SALES)
    with pytest.raises(contracts.NotAContract):
        contracts.renew(endless, ends_at=END, order_reference="SO", by=agent, at=NOW)


@pytest.mark.parametrize("year", [1999, 2100, 9999])
def test_no_contract_ends_in_a_year_that_nobody_means(
    year: int, contract: Subscription, account: Account, agent: Actor
) -> None:
    ends_at = END.replace(year=year)
    with pytest.raises(contracts.WrongTerms):
        contracts.extend(contract, ends_at=ends_at, by=agent, at=NOW)
    with pytest.raises(contracts.WrongTerms):
        contracts.renew(contract, ends_at=ends_at, order_reference="SO-2", by=agent, at=NOW)
    with pytest.raises(contracts.WrongTerms):
        entered(account, agent, starts_at=END, ends_at=ends_at, order_reference="SO-3")
    assert Subscription.objects.get().ends_at == END


def test_the_database_takes_no_such_end_from_anybody(contract: Subscription) -> None:
    """One such row would break every list that it is in: no calendar can tell it in every zone."""
    with pytest.raises(IntegrityError, match="year_that_can_be_meant"), transaction.atomic():
        Subscription.objects.update(ends_at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=NOW.tzinfo))


def test_the_mails_say_from_when_to_when_and_for_how_many(contract: Subscription, agent: Actor, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    contracts.extend(contract, ends_at=END + DAY, by=agent, at=NOW)
    contracts.renew(contract, ends_at=END + 366 * DAY, order_reference="SO-2", seats=1, by=agent, at=NOW)
    assert send_due(NOW) == 3
    letters = {letter.subject: letter.body for letter in mail.outbox}
    assert sorted(letters) == [
        "Your Enterprise contract begins on March 17, 2026",
        "Your Enterprise contract goes on until March 18, 2027",
        "Your Enterprise contract is renewed until March 17, 2028",
    ]
    assert "It is for 40 seats." in letters["Your Enterprise contract begins on March 17, 2026"]
    last = letters["Your Enterprise contract is renewed until March 17, 2028"]
    assert "begins on Thursday, March 18, 2027, 9:30" in last
    assert "It is for one seat." in last
    assert "Order reference: SO-2\n" in last
