"""Every door at which names, texts, addresses, instants, quantities, ids and zones come in, and one table of odd ones.

`Door` says how something is handed in there, and what is kept of it. What the table refuses is answered by 4xx (or
parked, where a marketplace tells it), and nothing of it is kept.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import QuerySet
from django.test import Client
from pytest_django import Settings

from accounts.blueprints.connection import CloudConnection
from accounts.blueprints.models import Blueprint
from accounts.core import clock, foreign_input
from accounts.core.text import TextTooLong, Unwritable, wording
from accounts.customers.history import Actor
from accounts.desk.actions.action import act_named, rehearse
from accounts.desk.actions.log import MAX_REASON
from accounts.mail.sending import send_due
from accounts.models import Account, Delivery, Membership, Notice, Role, SupportRequest, User
from accounts.support.internal_notes import InternalNote
from accounts.support.messages import Message
from accounts.support.requests import MAX_MESSAGE, RequestKind, ask
from marketplace.models import GitHubCustomer, RepositoryHook
from subscriptions.ending.cancellation import MAX_COMMENT
from subscriptions.models import Cancellation, Interval, Plan, Price, Subscription
from tests.factories import NOW, PASSWORD, BlueprintFactory, ConnectionFactory, UserFactory, subscribe
from tests.fakes.aws.messages import Event
from tests.marketplace.aws.world import AwsWorld
from tests.marketplace.conftest import World, aws, cloud, deliver, github, one_aws, one_github, world  # noqa: F401
from tests.odd_inputs import (
    ADDRESSES,
    IDS,
    INSTANTS,
    LIST_PRICE,
    NAMES,
    PRICES,
    SEATS,
    TEXTS,
    TOLD,
    TOLD_INSTANTS,
    TOLD_SEATS,
    ZONES,
)
from tests.pages import form_on

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
REGISTER = "/marketplace/aws/register/"
TOKEN = {"Authorization": "Bearer test-api-token"}


def table(rows: dict[str, Any]) -> Any:
    return pytest.mark.parametrize("row", list(rows.values()), ids=list(rows))


@pytest.fixture
def leads_client(lead: User, sign_in: SignIn) -> Client:
    return sign_in(lead)


def done(client: Client, act: str, pk: object, **fields: Any) -> int:
    """Do an act at the desk, with whatever else its form needs. Returns the status: 302 if it is done."""
    return sent(client, f"/admin/act/{act}/{pk}/", **{"reason": "Case 81", "confirmed": "1", **fields})


def sent(client: Client, page: str, action: str = "", **fields: Any) -> int:
    """Fill in the form on a page that goes to `action`, by default to the page itself, and send it."""
    form = form_on(client, page, action)
    return client.post(form.action, {**form.hidden, **fields}).status_code


# Names.


def name_of_a_person(value: str, account: Account, owner: User, client: Client) -> str | None:
    status = sent(client, "/user/preferences/", name=value, language="", time_zone="UTC")
    owner.refresh_from_db()
    return owner.name if status == 302 else None


def name_of_a_blueprint(value: str, account: Account, owner: User, client: Client) -> str | None:
    blueprint = BlueprintFactory(account=account, name="Before")
    status = sent(client, f"/blueprints/{blueprint.pk}/", name=value, components="[]")
    assert status in (302, 422)
    return Blueprint.objects.get().name if status == 302 else None


@pytest.mark.parametrize("door", [name_of_a_person, name_of_a_blueprint])
@table(NAMES)
def test_a_name_typed_on_a_page(
    door: Callable[..., str | None], row: tuple[str, str | None], account: Account, owner: User, sign_in: SignIn
) -> None:
    given, kept = row
    found = door(given, account, owner, sign_in(owner))
    if kept is None and door is name_of_a_person and not foreign_input.name_told(given, limit=999):
        # A person needs no name.
        assert found == ""
    else:
        assert found == kept


@table(NAMES)
def test_names_of_a_buyer_who_comes_from_aws(
    row: tuple[str, str | None],
    cloud: AwsWorld,  # noqa: F811  # a fixture
) -> None:
    given, kept = row
    cloud.aws.now = clock.now()
    bought = cloud.hears(cloud.aws.buy(cloud.buyer()))
    client = Client()
    landed = client.post(REGISTER, cloud.aws.registration_form(bought))
    client.get(landed["Location"])
    newcomer = {"email": "nora@new.example", "password": "a harbour with ferries"}
    status = sent(client, REGISTER, f"{REGISTER}join/", **newcomer, name="Nora", account_name=given)
    assert [account.name for account in Account.objects.all()] == ([kept] if kept else [])
    assert status == (302 if kept else 422)
    if kept is None:
        sent(client, REGISTER, f"{REGISTER}join/", **newcomer, name=given, account_name="Harbour")
        assert not User.objects.exclude(name="").exists()
        return
    person = User.objects.get(email="nora@new.example")
    # A second purchase of the same person gets an account of its own, named on another form.
    another = cloud.hears(cloud.aws.buy(cloud.buyer()))
    landed = client.post(REGISTER, cloud.aws.registration_form(another))
    client.get(landed["Location"])
    sent(client, REGISTER, f"{REGISTER}link/", name=given)
    assert {place.account.name for place in person.memberships.all()} == {kept}
    assert person.memberships.count() == 2


@table(TOLD)
def test_a_login_told_by_github(
    row: tuple[str, str],
    world: World,  # noqa: F811  # a fixture
) -> None:
    given, kept = row
    sold = world.github.buy(world.github.account(login="octo"), world.github.listing_plan(name="Pro", monthly=900))

    def rename(payload: Any) -> None:
        payload["marketplace_purchase"]["account"]["login"] = given

    world.hears(sold.altered(rename, secret=world.github.webhook_secret))
    assert (Account.objects.get().name, GitHubCustomer.objects.get().login) == (kept, kept)


@table(TOLD)
def test_names_told_by_the_products_own_servers(row: tuple[str, str], account: Account, client: Client) -> None:
    given, kept = row
    subscribe(account, at=clock.now())
    connection = ConnectionFactory(account=account)
    answer = client.put(
        f"/api/accounts/{account.pk}/connections/{connection.pk}/resources/",
        json.dumps([{"id": "i-1", "type": "ec2", "name": given[:200], "region": "eu-west-1"}]),
        content_type="application/json",
        headers=TOKEN,
    )
    assert answer.status_code == 200
    assert CloudConnection.objects.get().resources[0]["name"] == kept


@table({name: row for name, row in NAMES.items() if name != "too long"})
def test_references_typed_at_the_desk(row: tuple[str, str | None], account: Account, leads_client: Client) -> None:
    given, kept = row
    terms = {"plan": "pro", "seats": "5", "order_reference": given, "price": ""}
    begins = {"starts_at_0": "2026-12-01", "starts_at_1": "00:00", "ends_at_0": "2090-12-01", "ends_at_1": "00:00"}
    status = done(leads_client, "enter_contract", account.pk, **terms, **begins)
    assert status == (302 if kept else 422)
    assert [found.order_reference for found in Subscription.objects.all()] == ([kept] if kept else [])


# Texts.


def message_to_support(value: str, account: Account, owner: User, sign_in: SignIn, agent: User) -> list[str]:
    sent(sign_in(owner), "/user/support/", kind="other", message=value)
    return [found.message for found in SupportRequest.objects.all()]


def further_message(value: str, account: Account, owner: User, sign_in: SignIn, agent: User) -> list[str]:
    made, _new = ask(account, kind=RequestKind.OTHER, message="Hello", by=Actor.owner(owner), at=NOW)
    sent(sign_in(owner), "/user/support/", f"/user/support/{made.reference}/", text=value)
    return [found.text for found in Message.objects.filter(request=made).order_by("pk")]


def comment_of_who_leaves(value: str, account: Account, owner: User, sign_in: SignIn, agent: User) -> list[str]:
    subscribe(account, at=clock.now() - timedelta(days=60))
    sent(sign_in(owner), "/user/subscription/cancellation/", reason="", comment=value)
    return [found.comment for found in Cancellation.objects.all()]


def reason_of_staff(value: str, account: Account, owner: User, sign_in: SignIn, agent: User) -> list[str]:
    from accounts.models import StaffAction

    subscription = subscribe(account, at=clock.now())
    done(sign_in(agent), "cancel", subscription.pk, why="", identity=["owner_email", "card_digits"], reason=value)
    return [found.reason for found in StaffAction.objects.all()]


def answer_of_staff(value: str, account: Account, owner: User, sign_in: SignIn, agent: User) -> list[str]:
    made, _new = ask(account, kind=RequestKind.OTHER, message="Hello", by=Actor.owner(owner), at=NOW)
    done(sign_in(agent), "answer", made.pk, text=value)
    return [found.text for found in Message.objects.filter(request=made).order_by("pk")]


def note_of_staff(value: str, account: Account, owner: User, sign_in: SignIn, agent: User) -> list[str]:
    made, _new = ask(account, kind=RequestKind.OTHER, message="Hello", by=Actor.owner(owner), at=NOW)
    done(sign_in(agent), "note", made.pk, text=value)
    return [found.text for found in InternalNote.objects.all()]


@pytest.mark.parametrize(
    ("door", "limit"),
    [
        (message_to_support, MAX_MESSAGE),
        (further_message, MAX_MESSAGE),
        (comment_of_who_leaves, MAX_COMMENT),
        (reason_of_staff, MAX_REASON),
        (answer_of_staff, MAX_MESSAGE),
        (note_of_staff, MAX_MESSAGE),
    ],
)
@table(TEXTS)
def test_a_text_of_several_lines(
    door: Callable[..., list[str]],
    limit: int,
    row: tuple[str, str | None],
    account: Account,
    owner: User,
    agent: User,
    sign_in: SignIn,
) -> None:
    given, kept = (text and text.replace("{fill}", "x" * (limit - 2)) for text in row)
    found = door(given, account, owner, sign_in, agent)
    assert found[-1:] == ([kept] if kept is not None else found[-1:])
    if kept is None:
        assert all(text == "Hello" for text in found)


# Addresses.


@table(ADDRESSES)
def test_an_address_of_a_buyer_who_comes_from_aws(
    row: tuple[str, str | None],
    cloud: AwsWorld,  # noqa: F811  # a fixture
) -> None:
    given, kept = row
    cloud.aws.now = clock.now()
    bought = cloud.hears(cloud.aws.buy(cloud.buyer()))
    client = Client()
    landed = client.post(REGISTER, cloud.aws.registration_form(bought))
    client.get(landed["Location"])
    newcomer = {"name": "Nora", "account_name": "Harbour", "password": "a harbour with ferries"}
    assert sent(client, REGISTER, f"{REGISTER}join/", **newcomer, email=given) == (302 if kept else 422)
    assert [user.email for user in User.objects.all()] == ([kept] if kept else [])


@table(ADDRESSES)
def test_an_address_to_sign_in_and_to_be_helped_in_with(row: tuple[str, str | None], account: Account) -> None:
    given, kept = row
    known: User = UserFactory(email=kept or "somebody@example.org")
    Membership.objects.create(account=account, user=known, role=Role.USER)
    client = Client()
    answer = client.post("/auth/login/", {"login": given, "password": PASSWORD})
    # The field of the page takes an address alone, without what stands around it.
    typed = "<" not in given and not given.startswith("mailto:") and "＠" not in given and "\u202a" not in given
    if kept and typed and not given.endswith("."):
        assert answer.status_code == 302, answer.content
        assert client.session["_auth_user_id"] == str(known.pk)
    else:
        assert answer.status_code in (200, 302)
    assert Client().post("/auth/password/reset/", {"email": given}).status_code in (200, 302)


@table(ADDRESSES)
def test_an_address_of_a_new_owner_typed_at_the_desk(
    row: tuple[str, str | None], account: Account, lead: User, sign_in: SignIn
) -> None:
    given, kept = row
    known: User = UserFactory(email=kept or "somebody@example.org")
    status = done(
        sign_in(lead), "hand_over", account.pk, new_owner=given, stays="on", identity=["owner_email", "card_digits"]
    )
    owner = account.owner()
    assert status == (302 if kept else 422)
    assert (owner == known) is bool(kept)


# Instants.


@table(INSTANTS)
def test_the_end_of_a_contract(row: tuple[str, str, str | None], account: Account, leads_client: Client) -> None:
    day, time, kept = row
    terms = {"plan": "pro", "seats": "5", "order_reference": "ORD-1", "price": ""}
    begins = {"starts_at_0": "2026-12-01", "starts_at_1": "00:00", "ends_at_0": day, "ends_at_1": time}
    status = done(leads_client, "enter_contract", account.pk, **terms, **begins)
    assert status == (302 if kept else 422)
    ends = [found.ends_at.isoformat() for found in Subscription.objects.all() if found.ends_at]
    assert ends == ([kept] if kept else [])
    assert leads_client.get("/admin/subscriptions/subscription/").status_code == 200


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Tokyo", "UTC"])
@table({name: row for name, row in INSTANTS.items() if row[2]})
def test_an_end_that_is_taken_can_be_read_everywhere(
    row: tuple[str, str, str], zone: str, account: Account, owner: User, lead: User, sign_in: SignIn
) -> None:
    day, time, _kept = row
    User.objects.update(time_zone=zone)
    terms = {"plan": "pro", "seats": "5", "order_reference": "ORD-1", "price": ""}
    begins = {"starts_at_0": "2026-11-01", "starts_at_1": "00:00", "ends_at_0": day, "ends_at_1": time}
    status = done(sign_in(lead), "enter_contract", account.pk, **terms, **begins)
    if status == 422:
        # West of Greenwich the last second of the last year is one beyond.
        assert (zone, day) == ("Pacific/Pago_Pago", "2099-12-31")
        return
    for path in ("/user/subscription/", "/"):
        assert sign_in(owner).get(path).status_code == 200
    for path in ("/admin/subscriptions/subscription/", f"/admin/accounts/account/{account.pk}/change/", "/admin/"):
        assert sign_in(lead).get(path).status_code == 200
    assert send_due(clock.now() + timedelta(minutes=1)) == Notice.objects.count() > 0


@table(INSTANTS)
def test_the_end_of_a_hold(row: tuple[str, str, str | None], account: Account, lead: User, sign_in: SignIn) -> None:
    day, time, kept = row
    status = done(sign_in(lead), "hold", account.pk, until_0=day, until_1=time)
    # A hold ends within a year, so of all these one is taken at most.
    near = kept is not None and datetime.fromisoformat(kept) <= clock.now() + timedelta(days=365)
    assert status == (302 if near else 422)


@table(TOLD_INSTANTS)
def test_an_instant_told_by_github(
    row: tuple[Any, str | None],
    world: World,  # noqa: F811  # a fixture
) -> None:
    given, kept = row
    sold = world.github.buy(world.github.account(login="octo"), world.github.listing_plan(name="Pro", monthly=900))

    def alter(payload: Any) -> None:
        payload["marketplace_purchase"]["next_billing_date"] = given

    world.hears(sold.altered(alter, secret=world.github.webhook_secret))
    customer = GitHubCustomer.objects.get()
    assert customer.next_billing_on == (datetime.fromisoformat(kept).date() if kept else None)
    delivery = Delivery.objects.get()
    assert delivery.processed_at
    assert bool(delivery.alert) is (kept is None)


@table(TOLD_INSTANTS)
def test_an_instant_told_by_aws(
    row: tuple[Any, str | None],
    cloud: AwsWorld,  # noqa: F811  # a fixture
) -> None:
    given, kept = row
    happened = cloud.aws.buy(cloud.buyer())
    event = next(sent for sent in happened.events if isinstance(sent, Event) and "Agreement Created" in sent.event)

    def alter(envelope: Any) -> None:
        envelope["detail"]["agreement"]["endTime"] = given

    cloud.receives(event.altered(alter))
    delivery = Delivery.objects.get()
    row_of = [found.renews_or_ends_at for found in _agreements()]
    if kept:
        assert row_of == [datetime.fromisoformat(kept)]
    elif delivery.processed_at:
        assert row_of == [None]
    else:
        # Parked, with the reason: staff look at it.
        assert (delivery.next_attempt_at, "endTime" in delivery.last_error) == (None, True)


def _agreements() -> list[Any]:
    from marketplace.models import AwsAgreement

    return list(AwsAgreement.objects.all())


@table({name: row for name, row in TOLD_INSTANTS.items() if isinstance(row[0], str)})
def test_an_instant_told_to_the_sweep(row: tuple[str, str | None]) -> None:
    given, kept = row
    if given == "":
        return
    if kept:
        call_command("sweep", "notices", at=given, dry_run=True)
    else:
        with pytest.raises(CommandError, match=r"no instant|year has to be"):
            call_command("sweep", "notices", at=given, dry_run=True)


@table({name: row for name, row in TOLD_INSTANTS.items() if isinstance(row[0], str)})
def test_an_instant_in_the_address_of_an_accounts_page(
    row: tuple[str, str | None], account: Account, leads_client: Client
) -> None:
    answer = leads_client.get(f"/admin/accounts/account/{account.pk}/change/", {"before": row[0]})
    assert answer.status_code == 200


# Quantities.


@table(SEATS)
def test_seats_of_a_contract(row: tuple[str, int | None], account: Account, leads_client: Client) -> None:
    given, kept = row
    terms = {"plan": "pro", "seats": given, "order_reference": "ORD-1", "price": ""}
    begins = {"starts_at_0": "2026-12-01", "starts_at_1": "00:00", "ends_at_0": "2090-12-01", "ends_at_1": "00:00"}
    status = done(leads_client, "enter_contract", account.pk, **terms, **begins)
    assert status == (302 if kept else 422)
    assert [found.seats for found in Subscription.objects.all()] == ([kept] if kept else [])


@table(PRICES)
def test_the_price_of_a_contract(row: tuple[str, int | None], account: Account, leads_client: Client) -> None:
    given, kept = row
    if kept == LIST_PRICE:
        kept = Price.objects.get(plan="pro", interval=Interval.ANNUAL).cents
    terms = {"plan": "pro", "seats": "5", "order_reference": "ORD-1", "price": given}
    begins = {"starts_at_0": "2026-12-01", "starts_at_1": "00:00", "ends_at_0": "2090-12-01", "ends_at_1": "00:00"}
    status = done(leads_client, "enter_contract", account.pk, **terms, **begins)
    assert status == (422 if kept is None else 302)
    assert [found.cents for found in Subscription.objects.all()] == ([] if kept is None else [kept])


@table(SEATS)
def test_seats_of_a_subscription_recorded_at_the_desk(
    row: tuple[str, int | None], account: Account, leads_client: Client
) -> None:
    given, kept = row
    terms = {"plan": "pro", "interval": "1", "seats": given, "price": ""}
    begins = {"starts_at_0": "2026-12-01", "starts_at_1": "00:00"}
    assert done(leads_client, "record_subscription", account.pk, **terms, **begins) == (302 if kept else 422)
    assert [found.seats for found in Subscription.objects.all()] == ([kept] if kept else [])


@table(PRICES)
def test_the_price_of_a_subscription_recorded_at_the_desk(
    row: tuple[str, int | None], account: Account, leads_client: Client
) -> None:
    given, kept = row
    if kept == LIST_PRICE:
        kept = Price.objects.get(plan="pro", interval=Interval.MONTHLY).cents
    terms = {"plan": "pro", "interval": "1", "seats": "5", "price": given}
    begins = {"starts_at_0": "2026-12-01", "starts_at_1": "00:00"}
    status = done(leads_client, "record_subscription", account.pk, **terms, **begins)
    assert status == (422 if kept is None else 302)
    assert [found.cents for found in Subscription.objects.all()] == ([] if kept is None else [kept])


@table(TOLD_SEATS)
def test_seats_told_by_github(
    row: tuple[Any, int],
    world: World,  # noqa: F811  # a fixture
) -> None:
    given, kept = row
    sold = world.github.buy(world.github.account(login="octo"), world.github.listing_plan(name="Pro", monthly=900))

    def alter(payload: Any) -> None:
        payload["marketplace_purchase"]["unit_count"] = given

    world.hears(sold.altered(alter, secret=world.github.webhook_secret))
    assert Subscription.objects.get().seats == kept


def test_a_second_currency_breaks_no_sale(account: Account, leads_client: Client) -> None:
    Price.objects.create(plan_id="pro", interval=Interval.ANNUAL, cents=45_000, currency="EUR")
    Price.objects.create(plan_id="pro", interval=Interval.MONTHLY, cents=4_500, currency="EUR")
    dollars = Price.objects.get(plan="pro", interval=Interval.MONTHLY, currency="USD").cents
    bought = subscribe(account)
    assert (bought.cents, bought.currency) == (dollars, "USD")
    euros = subscribe(currency="EUR")
    assert (euros.cents, euros.currency) == (4_500, "EUR")


def test_a_plan_without_a_list_price_is_sold_at_a_price_that_is_said(account: Account, leads_client: Client) -> None:
    Price.objects.all().delete()
    terms = {"plan": "pro", "seats": "5", "order_reference": "ORD-1"}
    begins = {"starts_at_0": "2026-12-01", "starts_at_1": "00:00", "ends_at_0": "2090-12-01", "ends_at_1": "00:00"}
    assert done(leads_client, "enter_contract", account.pk, price="", **terms, **begins) == 409
    assert done(leads_client, "enter_contract", account.pk, price="490", **terms, **begins) == 302
    assert Plan.objects.filter(code="pro").exists()


# Ids.


@table(IDS)
def test_an_id_told_by_github(
    row: tuple[Any, int | None],
    world: World,  # noqa: F811  # a fixture
) -> None:
    given, kept = row
    sold = world.github.buy(world.github.account(login="octo"), world.github.listing_plan(name="Pro", monthly=900))

    def alter(payload: Any) -> None:
        payload["marketplace_purchase"]["account"]["id"] = given

    world.hears(sold.altered(alter, secret=world.github.webhook_secret))
    delivery = Delivery.objects.get()
    if kept:
        assert GitHubCustomer.objects.get().github_id == kept
    else:
        assert not Account.objects.exists()
        assert (delivery.processed_at, delivery.next_attempt_at) == (None, None)
        assert "account.id" in delivery.last_error


@table(IDS)
def test_an_id_told_by_the_products_own_servers(row: tuple[Any, int | None], account: Account, client: Client) -> None:
    given, kept = row
    answer = client.put(
        f"/api/accounts/{account.pk}/github-hooks/",
        json.dumps({"repository": "octo/ferries", "hook_id": given}),
        content_type="application/json",
        headers=TOKEN,
    )
    assert answer.status_code == (201 if kept else 422)
    assert [hook.hook_id for hook in RepositoryHook.objects.all()] == ([kept] if kept else [])


@pytest.mark.parametrize("odd", ["", "0", "x", "1" * 40, "{", "00000000-0000-0000-0000-000000000000", "\x00", "é" * 99])
@pytest.mark.parametrize(
    "path",
    [
        "/blueprints/%s/",
        "/connections/%s/",
        "/api/accounts/%s/entitlements/",
        "/user/support/%s/",
        "/admin/act/hold/%s/",
        "/admin/accounts/account/%s/change/",
        "/admin/subscriptions/subscription/%s/change/",
        "/admin/bulk/%s/",
    ],
)
def test_an_id_in_an_address(path: str, odd: str, account: Account, staff: User, sign_in: SignIn) -> None:
    from urllib.parse import quote

    client = sign_in(staff)
    address = path % quote(odd, safe="")
    for answer in (client.get(address, headers=TOKEN), client.post(address, headers=TOKEN)):
        assert answer.status_code in (302, 400, 403, 404, 405)


# Zones.


@table(ZONES)
def test_a_zone_chosen_on_a_page(row: tuple[str, str | None], account: Account, owner: User, sign_in: SignIn) -> None:
    given, kept = row
    status = sent(sign_in(owner), "/user/preferences/", name="Olga", language="", time_zone=given)
    owner.refresh_from_db()
    assert (status, owner.time_zone) == ((302, kept) if kept is not None else (422, ""))


@table({name: row for name, row in ZONES.items() if "\x00" not in row[0] and len(row[0]) <= 64})
def test_a_zone_that_is_stored_and_known_no_more_is_utc(
    row: tuple[str, str | None], account: Account, owner: User, agent: User, sign_in: SignIn, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    given, kept = row
    User.objects.update(time_zone=given)
    subscription = subscribe(account, at=clock.now() - timedelta(days=60))
    assert sign_in(owner).get("/user/subscription/").status_code == 200
    staff = Actor.staff(User.objects.get(pk=agent.pk))
    values = {"reason": "Case 81", "why": "", "identity": ["owner_email", "card_digits"]}
    rehearsal = rehearse(act_named("cancel"), subscription, values, by=staff, at=clock.now())
    assert len(rehearsal.mails) == 1
    act_named("cancel").perform(subscription, values, by=staff, at=clock.now())
    assert send_due(clock.now()) == 1
    assert str(foreign_input.zone(given)) == (kept or "UTC")


# What stands behind the doors.


def test_the_database_takes_no_name_that_breaks_a_line(account: Account, owner: User) -> None:
    from django.db import IntegrityError, transaction

    rows: tuple[QuerySet[Any], ...] = (Account.objects.filter(pk=account.pk), User.objects.filter(pk=owner.pk))
    for found in rows:
        for odd in ("a\nb", "a\rb", "a\x0bb", "a\x1bb", "a\x7fb", "a\x85b", "a\u2028b"):
            with pytest.raises(IntegrityError, match="is_one_line"), transaction.atomic():
                found.update(name=odd)


def test_a_subject_has_one_line_whatever_the_account_is_called(
    account: Account, owner: User, lead: User, sign_in: SignIn, settings: Settings, mailoutbox: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    account.name = foreign_input.name("Blau\r\nBcc: all@example.org", limit=200)
    account.save()
    UserFactory(email="new@example.org")
    done(
        sign_in(lead),
        "hand_over",
        account.pk,
        new_owner="new@example.org",
        stays="on",
        identity=["owner_email", "card_digits"],
    )
    assert send_due(clock.now()) == 2
    assert {letter.subject for letter in mailoutbox} == {"The ownership of Blau Bcc: all@example.org was handed over"}
    assert all(letter.recipients() != ["all@example.org"] for letter in mailoutbox)


def test_texts_of_the_domain_are_counted_as_on_pages() -> None:
    assert wording("a\r\n" * 10, limit=19) == "\n".join("a" * 10)
    with pytest.raises(TextTooLong, match="11 characters, and there is room for 10"):
        wording("x" * 9 + "\r\ny", limit=10)
    with pytest.raises(Unwritable):
        wording("a\x00b", limit=10)


@pytest.mark.parametrize("year", [1999, 2000, 2099, 2100])
def test_years_are_bounded(year: int) -> None:
    assert foreign_input.is_within_years(datetime(year, 6, 1, tzinfo=UTC)) is (2000 <= year <= 2099)


def test_addresses_that_were_kept_in_their_countrys_letters_are_carried_over(account: Account, client: Client) -> None:
    from importlib import import_module

    from allauth.account.models import EmailAddress
    from django.apps import apps

    person: User = UserFactory()
    EmailAddress.objects.filter(user=person).delete()
    User.objects.filter(pk=person.pk).update(email="ida@bücher.example")
    EmailAddress.objects.create(user=person, email="ida@bücher.example", verified=True, primary=True)
    import_module("accounts.migrations.0014_canonical_addresses").carry_over(apps, None)
    person.refresh_from_db()
    assert person.email == EmailAddress.objects.get(user=person).email == "ida@xn--bcher-kva.example"
    assert client.post("/auth/login/", {"login": "ida@bücher.example", "password": PASSWORD}).status_code == 302
    assert User.objects.get_by_natural_key("Ida@Bücher.example") == person
