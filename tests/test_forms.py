"""A form says what it is about (design, idea 11), over every POST of owners, members and buyers.

The doors come from the URL configuration: a new one that takes a POST, and has no place here, fails. Each is tried in
two tabs: the form stands in the first one; the second one puts another account, purchase or sign-in in front; then the
first one's button is pressed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from django.conf import settings as project
from django.core import mail
from django.db.models import QuerySet
from django.test import Client, RequestFactory
from django.urls import get_resolver
from pytest_django import Settings

from accounts.blueprints.blueprint import Grid
from accounts.blueprints.models import Blueprint
from accounts.core import clock
from accounts.customers.history import Actor
from accounts.customers.promises import page_of, promise
from accounts.erasure import inventory
from accounts.erasure.inventory import Order
from accounts.mail import notices, sending
from accounts.models import Account, Event, Membership, Notice, Role, SupportRequest, User
from accounts.people import inviting
from accounts.support import deletion, ownership_proposal
from accounts.support.requests import RequestKind, ask
from accounts.views.errors import MACHINE_PATHS
from marketplace.aws.registration import Registration, hash_of
from marketplace.github import tokens
from marketplace.github.customer import GitHubCustomer
from marketplace.github.listing import ListingPlan
from marketplace.offboarding import offboarding
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import Cancellation
from tests.factories import NOW, PASSWORD, AccountFactory, BlueprintFactory, UserFactory, owner_of, subscribe
from tests.pages import form_on, press
from tests.test_permissions import OUR_URLS, filled, patterns

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
SETTINGS = "/user/subscription/"
CANCEL = "/user/subscription/cancellation/"
KEEP = "/user/subscription/cancellation/withdraw/"
PEOPLE = "/user/people/"
SUPPORT = "/user/support/"
REGISTER = "/marketplace/aws/register/"


# What each form needs to stand on a page: of an account, made alike for both of them. Returns the page and the door.


def a_blueprint(account: Account) -> tuple[str, str]:
    page = f"/blueprints/{BlueprintFactory(account=account).pk}/"
    return page, page


def a_read_only_blueprint(account: Account) -> tuple[str, str]:
    page = f"/blueprints/{BlueprintFactory(account=account, grid=Grid.INFINITE).pk}/"
    return page, f"{page}convert/"


def nothing_for_the_export(account: Account) -> tuple[str, str]:
    return "/user/export/", "/user/export/"


def nothing_for_support(account: Account) -> tuple[str, str]:
    return SUPPORT, SUPPORT


def an_open_request(account: Account) -> tuple[str, str]:
    made, _new = ask(account, kind=RequestKind.OTHER, message="A question.", by=by(account), at=clock.now())
    return SUPPORT, f"{SUPPORT}{made.reference}/"


def a_deletion_that_was_asked_for(account: Account) -> tuple[str, str]:
    ask(account, kind=RequestKind.DELETION, message="", by=by(account), at=clock.now())
    return SUPPORT, f"{SUPPORT}deletion/call-off/"


def a_subscription(account: Account) -> tuple[str, str]:
    subscribe(account, at=clock.now() - DAY)
    return CANCEL, CANCEL


def a_cancellation(account: Account) -> tuple[str, str]:
    cancel(subscribe(account, at=clock.now() - DAY), by=by(account), at=clock.now())
    return SETTINGS, KEEP


def a_downgrade_at_github(account: Account) -> tuple[str, str]:
    plan, _new = ListingPlan.objects.get_or_create(id=1, defaults={"number": 1, "name": "Pro", "plan_id": "pro"})
    GitHubCustomer.objects.create(
        github_id=GitHubCustomer.objects.count() + 1,
        login="x",
        account=account,
        listing_plan=plan,
        cancelled_at=clock.now(),
    )
    offboarding.begin(
        account,
        cause=offboarding.OffboardingCause.CANCELLED,
        received_at=clock.now(),
        at=clock.now(),
        by=Actor.system(),
    )
    return SETTINGS, "/marketplace/github/stay/"


def nobody_invited(account: Account) -> tuple[str, str]:
    return PEOPLE, f"{PEOPLE}invitations/"


def an_invitation(account: Account) -> str:
    invitation, _new = inviting.invite(
        account, email=f"asked@{account.pk}.example", role=Role.USER, by=by(account), at=clock.now()
    )
    return f"{PEOPLE}invitations/{invitation.pk}/"


def an_invitation_to_send_again(account: Account) -> tuple[str, str]:
    return PEOPLE, f"{an_invitation(account)}resend/"


def an_invitation_to_take_back(account: Account) -> tuple[str, str]:
    return PEOPLE, f"{an_invitation(account)}revoke/"


def a_member(account: Account) -> Membership:
    return Membership.objects.create(account=account, user=UserFactory(), role=Role.USER)


def a_member_with_a_role(account: Account) -> tuple[str, str]:
    return PEOPLE, f"{PEOPLE}members/{a_member(account).user_id}/role/"


def a_member_to_remove(account: Account) -> tuple[str, str]:
    return PEOPLE, f"{PEOPLE}members/{a_member(account).user_id}/remove/"


def an_offer_of_ownership(account: Account) -> tuple[str, str]:
    owner = account.owner()
    assert owner is not None
    ownership_proposal.propose(account, to=a_member(account).user, stays=True, by=owner, at=clock.now())
    return PEOPLE, f"{PEOPLE}ownership/take-back/"


@dataclass(frozen=True)
class Case:
    """A form about an account: how it comes to stand on a page, what is typed, and what the history then says."""

    made: Callable[[Account], tuple[str, str]]
    typed: dict[str, str]
    happened: str = ""


ABOUT_AN_ACCOUNT = {
    "blueprint": Case(a_blueprint, {"name": "Renamed"}),
    "blueprint_convert": Case(a_read_only_blueprint, {}, "blueprint.converted"),
    "export": Case(nothing_for_the_export, {}, "export.asked"),
    "invite": Case(nobody_invited, {"email": "new@example.org", "role": "admin"}, "person.invited"),
    "invitation_resend": Case(an_invitation_to_send_again, {}, "invitation.sent_again"),
    "invitation_revoke": Case(an_invitation_to_take_back, {}, "invitation.revoked"),
    "member_role": Case(a_member_with_a_role, {"role": "admin"}, "person.role_changed"),
    "member_remove": Case(a_member_to_remove, {}, "person.removed"),
    "ownership_take_back": Case(an_offer_of_ownership, {}, "ownership.taken_back"),
    "support": Case(nothing_for_support, {"kind": "deletion"}, "request.made"),
    "support_message": Case(an_open_request, {"text": "And another thing."}, "request.added_to"),
    "deletion_call_off": Case(a_deletion_that_was_asked_for, {}, "deletion.called_off"),
    "cancellation": Case(a_subscription, {"reason": "unused"}, "cancellation.requested"),
    "cancellation_withdraw": Case(a_cancellation, {}, "cancellation.withdrawn"),
    "github_stay": Case(a_downgrade_at_github, {}, "offboarding.called_off"),
}
#: Forms of buyers who may have no account yet: they name the purchase, or the sign-in at GitHub, that they are about.
ABOUT_A_PURCHASE = {"github_setup", "aws_register_link", "aws_register_join"}
#: Forms of members who are not the owner, and the offer to one of them: `tests/accounts/people/test_members.py`.
ABOUT_ONESELF = {"member_leave", "ownership", "ownership_offer", "ownership_decline"}
#: Forms of people who may belong to no account: `tests/accounts/people/`.
ABOUT_JOINING = {"invitation_accept", "invitation_join", "invitation_sign_out", "sign_up", "sign_up_finish"}
#: Forms that end on the provider's page: `tests/subscriptions/billing/test_buying.py`.
ABOUT_BUYING = {"plans", "payment"}
OTHERS = {
    "switch_account": "names the account to show, and does nothing else",
    "preferences": "is about the person; another person's sign-in makes its CSRF token void",
    "aws_register": "stands on AWS's site, and names its purchase by AWS's token",
}


#: Templates whose forms are about no account: staff's, and those about a person's own sign-in and preferences.
ABOUT_NO_ACCOUNT = {"admin", "allauth", "account", "mfa", "socialaccount", "sessions.html", "preferences.html"}


def by(account: Account) -> Actor:
    owner = account.owner()
    assert owner is not None
    return Actor.owner(owner)


@pytest.fixture
def north(owner: User) -> Account:
    return AccountFactory(name="Northwind", owner=owner)


@pytest.fixture
def south(owner: User) -> Account:
    return AccountFactory(name="Southgate", owner=owner)


@pytest.fixture(autouse=True)
def downgrades(settings: Settings) -> None:
    settings.GITHUB_CANCELLATION = "downgrade"


def done() -> "QuerySet[Event]":
    return Event.objects.exclude(kind="attempt.refused")


def held_by(account: Account) -> dict[str, list[str]]:
    """Every row that belongs to an account, by its place in the inventory of personal data, and its history.

    Without the lines that say that an attempt was refused: those are all that one leaves.
    """
    rows: dict[str, list[str]] = {
        store.name: sorted(str(row) for row in store.find(account.pk).values())
        for store in inventory.stores()
        if store.order in (Order.CONTENT, Order.PLACES, Order.ACCOUNT) and hasattr(store, "find")
    }
    rows["history"] = [str(row) for row in done().filter(account=account).order_by("id").values()]
    return rows


def test_every_door_that_takes_a_post_has_a_place_in_these_tests(north: Account, owner: User, sign_in: SignIn) -> None:
    blueprint = BlueprintFactory(account=north)
    world = dict.fromkeys(("account_id", "connection_id", "blueprint_id"), str(blueprint.pk))
    world |= {"invitation_id": str(blueprint.pk), "user_id": "1"}
    world |= dict.fromkeys(("component_id", "reference", "key", "token", "link"), "none")
    takes_a_post = {
        name
        for path, name in OUR_URLS
        if not filled(path, world).startswith(MACHINE_PATHS)
        # One of them signs out.
        and sign_in(owner).post(filled(path, world)).status_code != 405
    }
    assert takes_a_post == {
        *ABOUT_AN_ACCOUNT,
        *ABOUT_A_PURCHASE,
        *ABOUT_ONESELF,
        *ABOUT_JOINING,
        *ABOUT_BUYING,
        *OTHERS,
    }


@pytest.mark.parametrize("name", ABOUT_AN_ACCOUNT)
def test_what_is_done_is_done_to_the_account_of_the_form(
    name: str, north: Account, south: Account, owner: User, sign_in: SignIn
) -> None:
    case = ABOUT_AN_ACCOUNT[name]
    (page, door), _other = case.made(north), case.made(south)
    client = sign_in(owner)
    client.post("/user/account/", {"account": str(north.pk)})
    form = form_on(client, page, door)
    client.post("/user/account/", {"account": str(south.pk)})
    before, before_there = held_by(north), held_by(south)
    answer = client.post(form.action, form.sent(**case.typed))
    assert answer.status_code == 302, answer.content.decode()
    assert held_by(south) == before_there
    assert held_by(north) != before
    if case.happened:
        assert Event.objects.filter(account=north, kind=case.happened).count() == 1
    # The page that follows is about the same account.
    assert 'aria-current="true">Northwind</button>' in client.get(answer["Location"]).content.decode()


@pytest.mark.parametrize("lie", ["nothing", "nonsense", "a stranger's"])
@pytest.mark.parametrize("name", ABOUT_AN_ACCOUNT)
def test_a_form_that_names_no_account_of_ones_own_does_nothing_and_shows_its_page(
    name: str, lie: str, north: Account, south: Account, stranger: User, owner: User, sign_in: SignIn
) -> None:
    case = ABOUT_AN_ACCOUNT[name]
    (page, door), _other = case.made(north), case.made(south)
    client = sign_in(owner)
    sent = form_on(client, page, door).sent(**case.typed)
    if lie == "nothing":
        del sent["account"]
    else:
        sent["account"] = "'; DROP" if lie == "nonsense" else str(stranger.accounts.get().pk)
    before = held_by(north), held_by(south), done().count()
    answer = client.post(door, sent)
    assert answer.status_code == 409
    words = answer.content.decode()
    assert "Nothing was done: the form did not say which of your accounts it is about." in words
    assert '<a class="brand" href="/">' in words
    assert (held_by(north), held_by(south), done().count()) == before


@pytest.mark.parametrize("name", ABOUT_AN_ACCOUNT)
def test_a_form_whose_page_promised_something_else_does_nothing_and_shows_its_page(
    name: str, north: Account, owner: User, sign_in: SignIn
) -> None:
    case = ABOUT_AN_ACCOUNT[name]
    page, door = case.made(north)
    client = sign_in(owner)
    form = form_on(client, page, door)
    if "shown" not in form.hidden:
        assert name in {"blueprint_convert", "export", "invite", "support", "support_message"}, (
            "their pages promise nothing"
        )
        return
    before = held_by(north)
    for shown in ("", "something else"):
        answer = client.post(door, {**form.sent(**case.typed), "shown": shown})
        assert answer.status_code == 409
        assert "Nothing was" in answer.content.decode()
        assert held_by(north) == before
    assert client.post(door, form.sent(**case.typed)).status_code == 302


def registration(number: int) -> Registration:
    at = clock.now()
    return Registration.objects.create(
        key=hash_of(f"key-{number}"),
        agreement_id=f"agmt-{number}",
        aws_account_id=f"{number:012}",
        product_code="product",
        resolved_at=at,
        expires_at=at + DAY,
    )


@pytest.mark.parametrize("choice", ["an account", "a new account"])
def test_a_purchase_at_aws_is_linked_only_if_it_is_the_one_that_the_form_is_about(
    choice: str, north: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    first, _second = registration(1), registration(2)
    client.get(f"{REGISTER}key-1/")
    sent = {"shown": promise(first.pk), **({"account": str(north.pk)} if choice == "an account" else {"name": "New"})}
    assert f'value="{first.pk}"' in client.get(REGISTER).content.decode()
    client.get(f"{REGISTER}key-2/")
    answer = client.post(f"{REGISTER}link/", sent)
    assert answer.status_code == 409
    assert "000000000002" in answer.content.decode()
    assert not Registration.objects.exclude(used_at=None).exists()
    assert not Event.objects.filter(kind="aws.registered").exists()
    assert Account.objects.count() == 1


def test_a_newcomer_joins_only_for_the_purchase_that_the_form_is_about(db: None, sign_in: SignIn) -> None:
    client = sign_in(None)
    for number in (1, 2):
        registration(number)
    client.get(f"{REGISTER}key-1/")
    form = form_on(client, REGISTER, f"{REGISTER}join/")
    client.get(f"{REGISTER}key-2/")
    told = {"name": "Nora", "account_name": "New Harbour", "email": "nora@new.example", "password": PASSWORD}
    answer = client.post(f"{REGISTER}join/", form.sent(**told))
    assert answer.status_code == 409
    assert "New Harbour" in answer.content.decode(), "what was typed is not lost"
    assert PASSWORD not in answer.content.decode()
    assert not User.objects.exists()
    assert not Account.objects.exists()


def test_a_purchase_that_was_linked_in_the_other_tab_is_not_said_to_be_linked_elsewhere(
    north: Account, south: Account, owner: User, sign_in: SignIn, settings: Settings
) -> None:
    settings.AWS_PRODUCT_CODES = ["product"]
    client = sign_in(owner)
    registration(1)
    client.get(f"{REGISTER}key-1/")
    sent = {"shown": promise(Registration.objects.get().pk)}
    assert client.post(f"{REGISTER}link/", {**sent, "account": str(north.pk)}).status_code == 302
    answer = client.post(f"{REGISTER}link/", {**sent, "account": str(south.pk)})
    assert answer.status_code == 409
    assert "Linked to Northwind" in answer.content.decode()
    # The same form twice is no other form.
    assert client.post(f"{REGISTER}link/", {**sent, "account": str(north.pk)}).status_code == 302


def test_purchases_at_github_are_linked_only_as_whom_the_page_said(
    owner: User, account: Account, sign_in: SignIn, settings: Settings
) -> None:
    # Nobody answers there: asking would say so.
    settings.GITHUB_API_URL = "http://127.0.0.1:1"
    client = sign_in(owner)
    authorised(owner, 1, "harbour", NOW)
    form = form_on(client, "/marketplace/github/setup/")
    authorised(owner, 2, "pier", NOW + DAY)
    answer = client.post(form.action, form.sent())
    assert answer.status_code == 409
    assert "authorised at GitHub as pier" in answer.content.decode()
    assert not done().exists()


def authorised(user: User, number: int, login: str, at: datetime) -> None:
    tokens.keep(user, github_user_id=number, login=login, access=login, refresh="", scopes="", expires_at=None, at=at)


def test_a_page_of_cancelling_that_outlived_its_cycle_says_the_new_date_and_cancels_nothing(
    account: Account, owner: User, sign_in: SignIn
) -> None:
    """Opened 14 s before the cycle's end, sent 3 s after it: a month more would be charged than the page said."""
    subscription = subscribe(account, at=NOW)
    client = sign_in(owner)
    end = subscription.paid_through(NOW)
    with time_machine.travel(end - 14 * SECOND, tick=False):
        form = form_on(client, CANCEL)
    with time_machine.travel(end + 3 * SECOND, tick=False):
        answer = client.post(CANCEL, form.sent(comment="We draw seldom"))
        assert answer.status_code == 409
        assert not Cancellation.objects.exists()
        assert not Notice.objects.exists()
        words = answer.content.decode()
        assert "what the page said is not so any more" in words
        assert 'datetime="2026-05-17T09:30:00Z"' in words
        assert "We draw seldom" in words
        assert press(client, CANCEL).status_code == 302
    assert Cancellation.objects.get().effective_at == datetime.fromisoformat("2026-05-17T09:30:00Z")


def test_a_button_to_keep_one_cancellation_does_not_take_back_the_next_one(
    account: Account, owner: User, sign_in: SignIn
) -> None:
    at = clock.now()
    subscription = subscribe(account, at=at - DAY)
    first, _new = cancel(subscription, by=owner_of(subscription), at=at)
    client = sign_in(owner)
    form = form_on(client, SETTINGS, KEEP)
    withdraw(first, by=owner_of(subscription), at=at)
    second, _new = cancel(subscription, by=owner_of(subscription), at=at)
    answer = client.post(KEEP, form.sent())
    assert answer.status_code == 409
    assert second.reference in answer.content.decode()
    second.refresh_from_db()
    assert second.withdrawn_at is None


def test_a_form_about_a_deletion_does_not_call_off_the_next_one(
    account: Account, owner: User, agent: User, sign_in: SignIn
) -> None:
    a_deletion_that_was_asked_for(account)
    client = sign_in(owner)
    form = form_on(client, SUPPORT, f"{SUPPORT}deletion/call-off/")
    deletion.call_off(account, by=by(account), at=clock.now())
    a_deletion_that_was_asked_for(account)
    assert client.post(form.action, form.sent()).status_code == 409
    assert SupportRequest.objects.open().count() == 1


def test_two_people_who_edit_one_blueprint_do_not_overwrite_each_other_unseen(
    account: Account, owner: User, member: User, sign_in: SignIn
) -> None:
    page = f"/blueprints/{BlueprintFactory(account=account, name='Harbour').pk}/"
    mine, theirs = sign_in(owner), sign_in(member)
    form = form_on(mine, page)
    assert press(theirs, page, name="Theirs").status_code == 302
    answer = mine.post(page, form.sent(name="Mine"))
    assert answer.status_code == 409
    words = answer.content.decode()
    assert "somebody has changed this blueprint since you opened it" in words
    assert 'value="Mine"' in words
    assert Blueprint.objects.get().name == "Theirs"


def test_an_address_shows_the_account_that_it_names_and_the_pages_after_it_do_too(
    north: Account, south: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    for account in (south, north, south):
        for page in (SETTINGS, SUPPORT, "/user/export/", "/"):
            assert account.name in client.get(f"{page}?account={account.pk}").content.decode().split("<main")[1]
        assert account.name in client.get("/").content.decode().split("<main")[1]


@pytest.mark.parametrize("named", ["a stranger's", "11111111-2222-4333-8444-555555555555", "nonsense", ""])
def test_an_address_that_names_no_account_of_ones_own_is_not_found(
    named: str, account: Account, stranger: User, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    named = str(stranger.accounts.get().pk) if named == "a stranger's" else named
    assert client.get(f"{SETTINGS}?account={named}").status_code == 404
    assert "Harbour" in client.get(SETTINGS).content.decode()


def test_every_link_in_every_mail_names_the_account_that_it_is_about() -> None:
    ours = [path for path in Path(project.BASE_DIR, "templates").glob("*/mail/*") if path.parent.parent.name != "mail"]
    # What staff are told of their work is about nobody's account; an invitation leads whoever is in none to itself.
    others = ("made_staff", "invitation", "endpoint_failing", "endpoint_off")
    ours = [path for path in ours if path.stem not in others]
    text = "\n".join(path.read_text() for path in ours)
    bare = re.findall(r"\{\{ site_url \}\}(\{%.*?%\}|\S*)", text)
    assert len(bare) > 20
    assert {re.split(r"[\"']", link)[0] for link in bare} == {"{% page_of account "}
    # Buttons and links lead to such a page, or to where the facts of the mail say.
    led_to = re.findall(r"\{% (?:button|link) (\S+) ", text)
    assert len(led_to) > 25
    assert set(led_to) == {"page", "shop", "console_url", "upgrade_url", "way.url"}
    assert {link.split('"')[0] for link in re.findall(r"(\{% page_of .*?) as page %\}", text)} == {
        "{% page_of account "
    }


def test_a_mail_leads_whoever_has_to_sign_in_first_to_the_account_that_it_is_about(
    north: Account, south: Account, owner: User, sign_in: SignIn
) -> None:
    cancel(subscribe(south, at=clock.now() - DAY), by=by(south), at=clock.now())
    sending.send_due(clock.now())
    link = f"{project.SITE_URL}{page_of(south, 'subscription')}"
    (message,) = mail.outbox
    assert link in str(message.body)
    client = sign_in(None)
    entrance = client.get(link.removeprefix(project.SITE_URL))
    answer = press(client, entrance["Location"], "/auth/login/", login=owner.email, password=PASSWORD, follow=True)
    assert "Southgate" in answer.content.decode().split("<main")[1]


def test_who_is_no_member_any_more_is_sent_to_an_address_and_not_to_a_page(
    account: Account, owner: User, settings: Settings
) -> None:
    settings.SUPPORT_EMAIL = "help@blueprints.example"
    notices.queue(
        "accounts/ownership_handed_over",
        to=[owner],
        account=account,
        occasion="x",
        at=NOW,
        is_new_owner=False,
        stays=False,
    )
    body = str(sending.write(Notice.objects.get()).body)
    assert "help@blueprints.example" in body
    assert "/user/support/" not in body


def test_every_form_of_our_pages_carries_what_it_is_about() -> None:
    """Of the templates, so that a form on a page that no test opens is found, too."""
    elsewhere = {"sessions", "switch_account", "account_logout", "account_login", "github_login"}
    # Whoever signs up, or out to accept as somebody else, has no account in front.
    elsewhere |= {"sign_up", "invitation_sign_out"}
    without = []
    for path in Path(project.BASE_DIR, "templates").rglob("*.html"):
        if ABOUT_NO_ACCOUNT & set(path.parts):
            continue
        for form in re.findall(r'<form [^>]*method="post".*?</form>', path.read_text(), re.DOTALL):
            if "{% about " not in form and not any(f"'{name}'" in form for name in elsewhere):
                without.append(f"{path.name}: {form[:80]}")
    assert without == []


def test_a_request_has_one_instant(settings: Settings) -> None:
    request = RequestFactory().post("/user/subscription/cancellation/?at=2030-01-01T00:00:00Z")
    settings.ALLOW_TIME_TRAVEL = True
    with time_machine.travel(NOW, tick=False) as traveller:
        assert clock.of(request) == NOW, "nothing is done as of another instant"
        traveller.shift(DAY)
        assert clock.of(request) == NOW


def test_a_page_is_shown_as_of_an_instant_only_where_time_travel_is_allowed(
    account: Account, owner: User, sign_in: SignIn, settings: Settings
) -> None:
    at = clock.now()
    subscription = subscribe(account, at=at - DAY)
    cancel(subscription, by=owner_of(subscription), at=at)
    later = (at + 40 * DAY).isoformat()
    client, api = sign_in(owner), Client()
    settings.API_TOKENS = ["secret"]
    door, key = f"/api/accounts/{account.pk}/entitlements/", {"Authorization": "Bearer secret"}
    for allowed, plan in ((False, "pro"), (True, "free")):
        settings.ALLOW_TIME_TRAVEL = allowed
        assert api.get(door, {"at": later}, headers=key).json()["plan"] == plan
        page = client.get(SETTINGS, {"at": later}).content.decode()
        assert ("The account is on Free; everything you made is still there." in page) is allowed


def test_what_is_sent_about_a_persons_own_sign_in_touches_no_account(
    north: Account, south: Account, owner: User, sign_in: SignIn
) -> None:
    """The forms below /auth/ are about the person; whichever account is in front, none is changed."""
    doors = [
        f"/{path}"
        for path, _name in patterns(get_resolver())
        if path.startswith("auth/") and not set("<(^") & set(path)
    ]
    assert len(doors) > 10
    before = held_by(north), held_by(south), done().count()
    for door in doors:
        client = sign_in(owner)
        client.post("/user/account/", {"account": str(south.pk)})
        assert client.post(door).status_code < 500, door
    assert (held_by(north), held_by(south), done().count()) == before
