"""Plans and prices: made, changed and retired at the desk. What was sold stays what it was."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.core import clock
from accounts.core.refusal import Refused
from accounts.customers.entitlements import entitlements_of
from accounts.models import Account, Event, StaffAction, User
from subscriptions import catalogue
from subscriptions.catalogue import DecidedAlready, InUse, KeepsFeatures, ListChanged, set_price
from subscriptions.models import BillingRecord, Channel, Interval, Plan, Price
from subscriptions.starting import NoListPrice, NotSold
from tests.factories import NOW, AccountFactory, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)
NEW_PLAN = "/admin/act/new_plan/new/"


def pro() -> Plan:
    return Plan.objects.get(code="pro")


def listed(plan: Plan, at: object = NOW) -> list[tuple[int, int]]:
    prices = Price.objects.on_the_list(at).filter(plan=plan)  # type: ignore[arg-type]  # an instant
    return sorted((price.interval, price.cents) for price in prices)


def raise_price(cents: int, **options: object) -> Price:
    options = {"interval": Interval.MONTHLY, "currency": "USD", "at": NOW, **options}
    price, _new = set_price(pro(), cents=cents, **options)  # type: ignore[arg-type]  # as the test says
    return price


def test_a_lead_makes_a_plan_that_can_be_bought_at_once(lead: User, sign_in: SignIn) -> None:
    form = {
        "code": "team",
        "name": "Team",
        "features": ["live"],
        "monthly": "19.90",
        "annual": "199",
        "currency": "EUR",
        "reason": "Decided on Monday",
    }
    client = sign_in(lead)
    rehearsed = client.post(NEW_PLAN, form)
    said = "The plan Team can be bought from now on. A seat costs €19.90 (monthly), €199.00 (annual)."
    assert said in rehearsed.content.decode()
    assert not Plan.objects.filter(code="team").exists()
    done = client.post(NEW_PLAN, {**form, "confirmed": "yes"})
    assert (done.status_code, done["Location"]) == (302, "/admin/subscriptions/plan/")
    plan = Plan.objects.get(code="team")
    assert (plan.name, plan.features) == ("Team", ["live"])
    assert listed(plan, clock.now()) == [(1, 1990), (12, 19900)]
    (deed,) = StaffAction.objects.all()
    assert (deed.act, deed.by, deed.target) == ("new_plan", lead, "subscriptions.plan:new")
    assert Event.objects.get(kind="desk.new_plan").account_id is None
    bought = subscribe(plan="team", currency="EUR", at=clock.now())
    assert (bought.cents, bought.currency) == (1990, "EUR")


def test_a_plan_without_a_price_is_said_to_be_sold_by_contract_alone(lead: User, sign_in: SignIn) -> None:
    form = {"code": "team", "name": "Team", "currency": "EUR", "reason": "Decided on Monday"}
    page = sign_in(lead).post(NEW_PLAN, form).content.decode()
    assert "The plan Team can be sold by contract from now on: it has no list price." in page
    assert "can be bought" not in page


def test_a_new_price_for_existing_subscriptions_sends_no_mail_right_away(lead: User, sign_in: SignIn) -> None:
    subscribe(at=clock.now())
    form = {"interval": "1", "currency": "USD", "price": "59", "whom": "existing", "notice_days": "30", "reason": "x"}
    page = sign_in(lead).post("/admin/act/set_price/pro/", form).content.decode()
    assert "The owner of 1 subscription is told by mail 30 days before" in page
    assert "It sends no mail right away." in page
    assert "Nobody is sent a mail" not in page


def test_only_the_product_knows_which_features_there_are(lead: User, sign_in: SignIn) -> None:
    form = {"code": "team", "name": "Team", "features": ["teleport"], "currency": "USD", "reason": "x"}
    assert sign_in(lead).post(NEW_PLAN, form).status_code == 422


def test_a_code_is_given_once_for_ever(lead: User, sign_in: SignIn) -> None:
    BillingRecord.objects.create(
        id=1,
        account_id="00000000-0000-0000-0000-000000000001",
        plan="old",
        channel=Channel.DIRECT,
        interval=1,
        seats=1,
        cents=1,
        currency="USD",
        started_at=NOW,
        kept_until=NOW,
    )
    for code in ("pro", "PRO", "old"):
        form = {"code": code, "name": "Again", "currency": "USD", "reason": "x"}
        refused = sign_in(lead).post(NEW_PLAN, form)
        assert refused.status_code == 409, code
    assert not Plan.objects.filter(code="old").exists()


def test_what_is_added_to_a_plan_all_who_hold_it_have(account: Account) -> None:
    Plan.objects.filter(code="pro").update(features=["live"])
    subscribe(account)
    assert catalogue.change_plan(pro(), name="Pro", features=["live", "bits_menu"], at=NOW)
    assert entitlements_of(account, NOW).features == {"live", "bits_menu"}
    assert not catalogue.change_plan(pro(), name="Pro", features=["bits_menu", "live"], at=NOW)


@pytest.mark.parametrize("ahead", [False, True])
def test_nothing_is_taken_from_who_was_sold_it(account: Account, ahead: bool) -> None:
    subscribe(account, starts_at=NOW + 30 * DAY if ahead else NOW)
    before = sorted(pro().features)
    with pytest.raises(KeepsFeatures, match="1 subscriptions hold this plan"):
        catalogue.change_plan(pro(), name="Pro", features=["live"], at=NOW)
    assert sorted(pro().features) == before


def test_what_nobody_holds_any_more_can_grant_less(account: Account) -> None:
    subscribe(account, at=NOW - 60 * DAY, ends_at=NOW)
    assert catalogue.change_plan(pro(), name="Pro", features=["live"], at=NOW)


def test_a_retired_plan_is_bought_by_nobody_and_kept_by_who_has_it(account: Account) -> None:
    held = subscribe(account)
    assert catalogue.retire(pro(), at=NOW + DAY)
    assert not catalogue.retire(pro(), at=NOW + DAY)
    assert entitlements_of(account, NOW + 400 * DAY).plan == "pro"
    assert held.paid_through(NOW + 400 * DAY) > NOW + 400 * DAY
    with pytest.raises(NotSold):
        subscribe(at=NOW + DAY)
    with pytest.raises(NotSold):
        subscribe(at=NOW + DAY, channel=Channel.DATADOG_SALES, cents=1, ends_at=NOW + 9 * DAY)
    # What a marketplace has sold is sold; and what was bought before is written down late.
    subscribe(at=NOW + DAY, channel=Channel.GITHUB_MARKETPLACE)
    subscribe(at=NOW + DAY, starts_at=NOW)
    assert catalogue.sell_again(pro(), at=NOW + 2 * DAY)
    subscribe(at=NOW + 2 * DAY)


def test_a_plan_that_was_sold_is_never_deleted() -> None:
    subscribe(ends_at=NOW + DAY)
    with pytest.raises(InUse):
        catalogue.delete(pro(), at=NOW + 9 * DAY)
    plan = catalogue.make_plan("team", "Team", [], at=NOW)
    set_price(plan, interval=Interval.MONTHLY, currency="USD", cents=100, at=NOW)
    catalogue.delete(plan, at=NOW)
    assert not Plan.objects.filter(code="team").exists()


def test_free_is_everybodys() -> None:
    free = Plan.objects.free()
    for refused in (
        lambda: catalogue.retire(free, at=NOW),
        lambda: catalogue.delete(free, at=NOW),
        lambda: set_price(free, interval=Interval.MONTHLY, currency="USD", cents=1, at=NOW),
    ):
        with pytest.raises(Refused, match="Free is what everybody has"):
            refused()


def test_a_new_price_is_for_purchases_from_its_date_and_the_old_one_stays_in_the_list() -> None:
    before = subscribe()
    price = raise_price(5900, from_at=NOW + 30 * DAY)
    assert listed(pro(), NOW + 30 * DAY - timedelta(microseconds=1)) == [(1, 4900), (12, 49000)]
    assert listed(pro(), NOW + 30 * DAY) == [(1, 5900), (12, 49000)]
    assert subscribe(at=NOW + 29 * DAY).cents == 4900
    assert subscribe(at=NOW + 30 * DAY).cents == 5900
    # Bought ahead, at the price of the purchase; written down late, at the price of then.
    assert subscribe(at=NOW + 29 * DAY, starts_at=NOW + 40 * DAY).cents == 4900
    assert subscribe(at=NOW + 40 * DAY, starts_at=NOW + 29 * DAY).cents == 4900
    before.refresh_from_db()
    assert before.cents == 4900
    assert [(row.cents, row.until_at) for row in Price.objects.filter(plan="pro", interval=1).order_by("id")] == [
        (4900, price.from_at),
        (5900, None),
    ]


def test_one_price_is_decided_at_a_time_and_the_same_one_once() -> None:
    first = raise_price(5900, from_at=NOW + 30 * DAY)
    again, is_new = set_price(
        pro(), interval=Interval.MONTHLY, currency="USD", cents=5900, from_at=NOW + 30 * DAY, at=NOW + DAY
    )
    assert (again, is_new) == (first, False)
    with pytest.raises(DecidedAlready, match="2026-04-16 09:30 UTC"):
        raise_price(6900)
    # Of another interval or currency is another price.
    raise_price(59000, interval=Interval.ANNUAL)
    raise_price(4500, currency="EUR")


def test_the_database_takes_no_two_prices_for_one_instant() -> None:
    with pytest.raises(IntegrityError, match="price_one_at_a_time"), transaction.atomic():
        Price.objects.create(plan_id="pro", interval=1, cents=1, from_at=NOW)


def test_a_price_is_called_off_before_its_date_and_never_after() -> None:
    price = raise_price(5900, from_at=NOW + 30 * DAY)
    with pytest.raises(catalogue.Begun):
        catalogue.call_off(price, at=NOW + 30 * DAY)
    assert catalogue.call_off(price, at=NOW + 29 * DAY)
    assert not catalogue.call_off(price, at=NOW + 29 * DAY)
    assert listed(pro(), NOW + 99 * DAY) == [(1, 4900), (12, 49000)]
    # It is history, and another one can be decided for the same date.
    raise_price(6900, from_at=NOW + 30 * DAY, at=NOW + 29 * DAY)
    assert listed(pro(), NOW + 99 * DAY) == [(1, 6900), (12, 49000)]


def test_a_price_that_is_stopped_is_sold_no_more(account: Account) -> None:
    (price,) = Price.objects.on_the_list(NOW).filter(plan="pro", interval=1)
    assert catalogue.stop_price(price, at=NOW)
    assert not catalogue.stop_price(price, at=NOW + DAY)
    with pytest.raises(NoListPrice):
        subscribe(account, at=NOW)
    raise_price(5500, at=NOW + DAY)
    assert subscribe(account, at=NOW + DAY).cents == 5500


@pytest.mark.parametrize(
    ("cents", "from_at", "notice"),
    [(0, None, None), (5900, NOW - DAY, None), (5900, None, timedelta(days=13)), (5900, None, timedelta(days=366))],
)
def test_a_price_that_can_not_be_is_refused(cents: int, from_at: object, notice: object) -> None:
    with pytest.raises(catalogue.WrongPrice):
        raise_price(cents, from_at=from_at, notice=notice)
    assert listed(pro()) == [(1, 4900), (12, 49000)]


def test_the_page_of_a_plan_says_what_it_cost_costs_and_will_cost(lead: User, agent: User, sign_in: SignIn) -> None:
    at = clock.now()
    raise_price(5900, at=at)
    raise_price(6900, from_at=at + 30 * DAY, at=at + timedelta(seconds=1), notice=30 * DAY)
    subscribe(at=at, cents=4900)
    page = sign_in(lead).get("/admin/subscriptions/plan/pro/change/").content.decode()
    for words in ("$49.00", "$59.00", "$69.00", "to come", "1 subscription holds it", "30 days of notice: 1"):
        assert words in page, words
    assert "/admin/act/call_off_price/" in page
    assert "/admin/act/" not in sign_in(agent).get("/admin/subscriptions/plan/pro/change/").content.decode()
    assert "/admin/act/new_plan/new/" in sign_in(lead).get("/admin/subscriptions/plan/").content.decode()
    assert sign_in(lead).get("/admin/subscriptions/plan/none/change/").status_code == 404


def test_a_price_is_not_decided_by_a_list_that_another_tab_has_changed_since() -> None:
    seen = catalogue.list_of(pro())
    raise_price(5900)
    with pytest.raises(ListChanged):
        raise_price(6900, decided_by=seen)
    assert [price.cents for price in Price.objects.on_the_list(NOW).filter(plan=pro(), interval=1)] == [5900]
    # The same decision twice is one.
    assert raise_price(5900, decided_by=seen).cents == 5900
    assert raise_price(6900, decided_by=catalogue.list_of(pro())).cents == 6900


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_two_leads_at_once_one_decides() -> None:
    def decide(cents: int) -> str:
        try:
            raise_price(cents, from_at=NOW + 30 * DAY)
        except DecidedAlready:
            return "refused"
        finally:
            connection.close()
        return "decided"

    with ThreadPoolExecutor(2) as leads:
        assert sorted(leads.map(decide, (5900, 6900))) == ["decided", "refused"]
    assert Price.objects.ahead(NOW).count() == 1


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_purchase_beside_a_change_of_features_is_not_cut_short() -> None:
    account = AccountFactory()

    def buy() -> str:
        try:
            subscribe(account)
        finally:
            connection.close()
        return "bought"

    def grant_less() -> str:
        try:
            catalogue.change_plan(pro(), name="Pro", features=["live"], at=NOW)
        except KeepsFeatures:
            return "kept"
        finally:
            connection.close()
        return "less"

    with ThreadPoolExecutor(2) as both:
        bought, changed = both.submit(buy), both.submit(grant_less)
        outcome = changed.result()
        assert bought.result() == "bought"
    # Either the change came first, and less was sold; or the purchase did, and nothing was taken.
    assert len(pro().features) == (1 if outcome == "less" else 4)
