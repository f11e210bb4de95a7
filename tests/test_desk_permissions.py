"""Every act with every role, made from the register of acts: a new act without an entry here fails."""

import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import get_resolver

from accounts.api import tokens
from accounts.core import clock, roles
from accounts.customers.history import Actor
from accounts.desk.actions import action
from accounts.desk.actions.action import act_named
from accounts.elsewhere import by_hand
from accounts.elsewhere.remote_erasure import RemoteErasure, Said
from accounts.erasure.holds import set_hold
from accounts.erasure.obligation import PurgeCause
from accounts.events import managing
from accounts.models import (
    Account,
    Delivery,
    Dispatch,
    Endpoint,
    Event,
    Membership,
    Notice,
    RequestKind,
    Role,
    StaffAction,
    SupportRequest,
    User,
)
from accounts.support import deletion
from accounts.support.requests import ask
from marketplace import tombstone
from marketplace.models import Dimension, ListingPlan, OffboardingStep, StepKind
from marketplace.offboarding import offboarding
from marketplace.tombstone import Marketplace
from subscriptions import catalogue
from subscriptions.ending import cancellation
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Channel, Ends, Finding, Interval, Plan, Price, Refund, StripePrice, Subscription, Wish
from subscriptions.refunds import decisions
from tests.accounts.events.hearing import tell
from tests.factories import UserFactory, subscribe
from tests.test_permissions import patterns

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
Row = Callable[[Account, User], Model]

DAY = timedelta(days=1)
#: Who never comes in at the desk, and who does.
OUTSIDE = ("owner", "admin", "member", "stranger")
AT_THE_DESK = ("agent", "lead")


def _hold(account: Account, lead: User) -> Model:
    at = clock.now()
    return set_hold(account, reason="Case 1", until=at + DAY, at=at - DAY, by=Actor.staff(lead))


def _subscription(account: Account, lead: User) -> Model:
    return subscribe(account, at=clock.now() - DAY)


def _cancellation(account: Account, lead: User) -> Model:
    found, _new = cancel(subscribe(account, at=clock.now() - DAY), by=Actor.staff(lead), at=clock.now())
    return found


def _leaving(account: Account, lead: User) -> Model:
    at = clock.now()
    offboarding.begin(account, cause=offboarding.OffboardingCause.CANCELLED, received_at=at, at=at, by=Actor.system())
    return account


def _step(account: Account, lead: User) -> Model:
    _leaving(account, lead)
    return OffboardingStep.objects.get(kind=StepKind.CONFIRM)


def _tombstone(account: Account, lead: User) -> Model:
    tombstone.leave(Marketplace.GITHUB, 7, account_id=account.pk, at=clock.now() - DAY)
    found = tombstone.named(Marketplace.GITHUB, 7, clock.now())
    assert found
    return found


def _delivery(account: Account, lead: User) -> Model:
    return Delivery.objects.create(
        source="github",
        delivery_id=str(uuid.uuid4()),
        event="ping",
        body=b"{}",
        digest=b"x" * 32,
        received_at=clock.now(),
        account_id=account.pk,
        alert="Look",
    )


def _store(account: Account, lead: User) -> Model:
    """One that refuses to erase: staff have to see to it."""
    at = clock.now() - DAY
    return RemoteErasure.objects.create(
        account_id=account.pk,
        store="crm",
        cause=PurgeCause.CUSTOMER_REQUEST,
        said=Said.REFUSED,
        obliged_at=at,
        next_attempt_at=at,
        deadline_at=at + 20 * DAY,
        promised_days=20,
        promised_at=at + 20 * DAY,
        shown_from=at,
    )


def _stated_store(account: Account, lead: User) -> Model:
    row = _store(account, lead)
    assert isinstance(row, RemoteErasure)
    by_hand.state(row, case_number="T-12", at=clock.now(), by=Actor.staff(lead))
    return row


def _endpoint(account: Account, lead: User) -> Model:
    at = clock.now() - DAY
    return managing.make("Heard", "https://heard.example/", by=Actor.staff(lead), at=at)[0]


def _endpoint_that_is_off(account: Account, lead: User) -> Model:
    endpoint = _endpoint(account, lead)
    assert isinstance(endpoint, Endpoint)
    managing.switch_off(endpoint, by=Actor.staff(lead), at=clock.now())
    return endpoint


def _dispatch(account: Account, lead: User) -> Model:
    _endpoint(account, lead)
    tell(account.pk, at=clock.now())
    Dispatch.objects.update(delivered_at=clock.now())
    return Dispatch.objects.get()


def _heard(account: Account, lead: User) -> Model:
    dispatch = _dispatch(account, lead)
    assert isinstance(dispatch, Dispatch)
    return dispatch.endpoint


def _request(account: Account, lead: User, kind: RequestKind = RequestKind.OTHER) -> SupportRequest:
    owner = account.owner()
    assert owner is not None
    made, _new = ask(account, kind=kind, message="Hello", by=Actor.owner(owner), at=clock.now() - DAY)
    return made


def _deletion(account: Account, lead: User) -> SupportRequest:
    return _request(account, lead, RequestKind.DELETION)


def _proposed_deletion(account: Account, lead: User) -> Model:
    made = _deletion(account, lead)
    deletion.propose(made, by=Actor.staff(lead), at=clock.now())
    return made


def _refund(account: Account, lead: User) -> Model:
    at = clock.now()
    found, _new = decisions.propose(
        subscribe(account, at=at - DAY, cents=4900),
        cents=4900,
        currency="USD",
        ends=Ends.NOW,
        payment_reference="ch_1",
        by=Actor.staff(lead),
        at=at,
    )
    return found


def _approved_refund(account: Account, lead: User) -> Model:
    found = _refund(account, lead)
    assert isinstance(found, Refund)
    decisions.approve(found, by=Actor.staff(lead), at=clock.now())
    return found


def _wish(account: Account, lead: User) -> Model:
    """The owner has cancelled: whoever charges has not agreed yet."""
    owner = account.owner()
    assert owner is not None
    at = clock.now()
    cancellation.cancel(subscribe(account, at=at - DAY), by=Actor.owner(owner), at=at)
    return Wish.objects.get(subscription__account=account)


def _finding(account: Account, lead: User) -> Model:
    at = clock.now() - DAY
    return Finding.objects.create(
        provider="stripe", code="wrong-mode", reference="sub_1", account=account, found_at=at, seen_at=at
    )


def _kept_wish(account: Account, lead: User) -> Model:
    wish = _wish(account, lead)
    Wish.objects.filter(pk=wish.pk).update(want="go_on", wanted_end_at=None, version=2, sent_version=1)
    return Wish.objects.get(pk=wish.pk)


def _contract(account: Account, lead: User) -> Model:
    at = clock.now()
    return subscribe(account, at=at - DAY, channel=Channel.DATADOG_SALES, ends_at=at + DAY)


def _token(account: Account, lead: User) -> Model:
    made, _text = tokens.make("product", ["accounts:read"], by=Actor.system(), at=clock.now() - DAY)
    return made


def _catalogue(account: Account, lead: User) -> Model:
    """Nothing: the act makes its row."""
    return Plan(pk=action.NEW)


def _plan(account: Account, lead: User) -> Model:
    return Plan.objects.get(code="pro")


def _retired_plan(account: Account, lead: User) -> Model:
    Plan.objects.filter(code="pro").update(retired_at=clock.now())
    return _plan(account, lead)


def _price(account: Account, lead: User) -> Model:
    return Price.objects.get(plan="pro", interval=Interval.MONTHLY)


def _price_ahead(account: Account, lead: User) -> Model:
    at = clock.now()
    price, _new = catalogue.set_price(
        Plan.objects.get(code="pro"),
        interval=Interval.MONTHLY,
        currency="USD",
        cents=5900,
        from_at=at + DAY,
        at=at,
    )
    return price


#: Acts about nobody's account.
OF_NOBODY = frozenset(
    act.name for act in action.registered() if act.makes or act.model in (Plan, Price, tokens.ApiToken, Endpoint)
)
TERMS = {"plan": "pro", "seats": 5, "order_reference": "Q-1", "price": ""}
COMPARED = {"identity": ["owner_email", "card_digits"]}
REFUND = {"amount": "10.00", "currency": "USD", "payment_reference": "ch_1", "ends": "now"}
NEXT_YEAR = {"ends_at_0": "{next_year}", "ends_at_1": "12:00"}

#: For each act: the permission that it needs, a row that it can be done to, and what its form asks for.
EXPECTED: dict[str, tuple[str, Row, dict[str, Any]]] = {
    "renewal_stopped": (roles.CANCEL, _wish, {}),
    "renewal_goes_on": (roles.CANCEL, _kept_wish, {}),
    "close_finding": (roles.CANCEL, _finding, {}),
    "hand_over": (roles.HAND_OVER, lambda account, lead: account, {"new_owner": "member@example.org", **COMPARED}),
    "open_account": (
        roles.OPEN,
        lambda account, lead: Account(pk=action.NEW),
        {"name": "Fresh", "owner": "fresh@example.org"},
    ),
    "hold": (roles.HOLD, lambda account, lead: account, {"until_0": "{tomorrow}", "until_1": "12:00"}),
    "confirm_hold": (roles.HOLD, _hold, {}),
    "release_hold": (roles.HOLD, _hold, {}),
    "ask": (roles.ANSWER, lambda account, lead: account, {"kind": "deletion", **COMPARED}),
    "answer": (roles.ANSWER, _request, {"text": "Here they are."}),
    "note": (roles.ANSWER, _request, {"text": "Called twice."}),
    "assign": (roles.ANSWER, _request, {"to": "{lead}"}),
    "record_case": (roles.ANSWER, _request, {"case_number": "123"}),
    "extend": (
        roles.ANSWER,
        _deletion,
        {"until_0": "{in_two_months}", "until_1": "12:00", "text": "It is complicated."},
    ),
    "propose_deletion": (roles.ANSWER, _deletion, {}),
    "send_back_deletion": (roles.ANSWER, _proposed_deletion, {}),
    "approve_deletion": (roles.DELETE, _proposed_deletion, {}),
    "call_off_deletion": (roles.DELETE, _proposed_deletion, {}),
    "close": (roles.ANSWER, _request, {"outcome": "answered", "text": "Here they are."}),
    "propose_refund": (roles.ANSWER, _subscription, REFUND),
    "approve_refund": (roles.REFUND, _refund, {}),
    "say_paid": (roles.REFUND, _approved_refund, {"payment_reference": "re_1"}),
    "decline_refund": (roles.REFUND, _refund, {}),
    "enter_contract": (
        roles.SELL,
        lambda account, lead: account,
        {**TERMS, "starts_at_0": "{tomorrow}", "starts_at_1": "12:00", **NEXT_YEAR},
    ),
    "record_subscription": (
        roles.SELL,
        lambda account, lead: account,
        {"plan": "pro", "interval": "1", "seats": "5", "starts_at_0": "{tomorrow}", "starts_at_1": "12:00"},
    ),
    "extend_contract": (roles.SELL, _contract, NEXT_YEAR),
    "renew_contract": (roles.SELL, _contract, {**TERMS, **NEXT_YEAR}),
    "new_plan": (roles.PLANS, _catalogue, {"code": "team", "name": "Team", "monthly": "19.90", "currency": "USD"}),
    "set_price": (
        roles.PLANS,
        _plan,
        {"interval": "1", "currency": "USD", "price": "59", "whom": "existing", "notice_days": "30"},
    ),
    "change_plan": (roles.PLANS, _plan, {"name": "Pro+", "features": ["live"]}),
    "retire_plan": (roles.PLANS, _plan, {}),
    "sell_plan_again": (roles.PLANS, _retired_plan, {}),
    "delete_plan": (roles.PLANS, _plan, {}),
    "stop_price": (roles.PLANS, _price, {}),
    "call_off_price": (roles.PLANS, _price_ahead, {}),
    "cancel": (roles.CANCEL, _subscription, COMPARED),
    "keep": (roles.CANCEL, _cancellation, {}),
    "end_now": (roles.END, _subscription, {}),
    "reactivate": (roles.REACTIVATE, _leaving, {}),
    "retry_step": (roles.MEND, _step, {}),
    "skip_step": (roles.MEND, _step, {}),
    "process_again": (roles.MEND, _delivery, {}),
    "acknowledge": (roles.MEND, _delivery, {}),
    "deal_with_tombstone": (roles.MEND, _tombstone, {}),
    "revoke_token": (roles.TOKENS, _token, {}),
    "make_endpoint": (
        roles.ENDPOINTS,
        lambda account, lead: Endpoint(pk=action.NEW),
        {"name": "Product", "address": "https://product.example/hook"},
    ),
    "test_endpoint": (roles.ENDPOINTS, _endpoint, {}),
    "change_endpoint": (
        roles.ENDPOINTS,
        _endpoint,
        {"name": "Other", "address": "https://other.example/", "types": ["account.erased"]},
    ),
    "ask_store_again": (roles.MEND, _store, {}),
    "state_store": (roles.DELETE, _store, {"case_number": "T-12"}),
    "approve_store": (roles.DELETE, _stated_store, {}),
    "take_back_store": (roles.DELETE, _stated_store, {}),
    "rotate_secret": (roles.ENDPOINTS, _endpoint, {}),
    "replay_messages": (
        roles.ENDPOINTS,
        _heard,
        {"since_0": "2026-01-01", "since_1": "00:00", "until_0": "{next_year}", "until_1": "00:00"},
    ),
    "switch_endpoint_off": (roles.ENDPOINTS, _endpoint, {}),
    "switch_endpoint_on": (roles.ENDPOINTS, _endpoint_that_is_off, {}),
    "remove_endpoint": (roles.ENDPOINTS, _endpoint, {}),
    "replay_message": (roles.ENDPOINTS, _dispatch, {}),
}


def test_every_act_is_in_the_matrix_with_its_permission() -> None:
    assert {act.name: act.permission for act in action.registered()} == {
        name: permission for name, (permission, _row, _posted) in EXPECTED.items()
    }


def form_of(name: str, lead: User) -> dict[str, Any]:
    at = clock.now()
    words = {
        "tomorrow": f"{at + DAY:%Y-%m-%d}",
        "in_two_months": f"{at + 60 * DAY:%Y-%m-%d}",
        "next_year": f"{at + 365 * DAY:%Y-%m-%d}",
        "lead": lead.pk,
    }
    posted = {
        key: value.format(**words) if isinstance(value, str) else value for key, value in EXPECTED[name][2].items()
    }
    return {"reason": "Case 81", **posted, "confirmed": "yes"}


@pytest.mark.parametrize("role", [*OUTSIDE, *AT_THE_DESK, "nobody"])
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_who_may_do_what(
    name: str,
    role: str,
    account: Account,
    member: User,
    other_lead: User,
    sign_in: SignIn,
    request: pytest.FixtureRequest,
) -> None:
    permission, row_of, _posted = EXPECTED[name]
    row = row_of(account, other_lead)
    user: User | None = None if role == "nobody" else request.getfixturevalue(role)
    client, url = sign_in(user), f"/admin/act/{name}/{row.pk}/"
    events, mails = Event.objects.count(), Notice.objects.count()
    newest = Event.objects.order_by("id").last()
    last = newest.pk if newest else 0
    allowed = role in AT_THE_DESK and permission in (roles.OF_AGENTS if role == "agent" else roles.OF_LEADS)

    shown, done = client.get(url), client.post(url, form_of(name, other_lead))

    if allowed:
        assert (shown.status_code, done.status_code) == (200, 302), done.content.decode()[-3000:]
        written = Event.objects.filter(id__gt=last)
        assert written
        assert {event.actor_id for event in written} == {user and user.pk}
        asks_for_a_reason = "reason" in act_named(name).form.base_fields
        assert [deed.by for deed in StaffAction.objects.all()] == ([user] if asks_for_a_reason else [])
        assert written.filter(kind=f"desk.{name}").exists() is asks_for_a_reason
        return
    assert not StaffAction.objects.exists()
    assert Notice.objects.count() == mails
    if role == "nobody":
        assert (shown.status_code, done.status_code) == (302, 302)
        assert done["Location"].startswith("/auth/login/")
        assert Event.objects.count() == events
        return
    assert (shown.status_code, done.status_code) == (403, 403)
    denied = list(Event.objects.filter(kind="desk.denied").order_by("id"))
    assert Event.objects.count() == events + len(denied) == events + 2
    assert [event.facts["method"] for event in denied] == ["GET", "POST"]
    assert {event.actor_id for event in denied} == {user and user.pk}
    # Who works at the desk was turned away from this account; others did not come as far as to see one.
    at_the_desk = role in AT_THE_DESK
    about = account.pk if name not in OF_NOBODY else None
    assert {event.account_id for event in denied} == {about if at_the_desk else None}
    assert {event.facts["permission"] for event in denied} == {permission if at_the_desk else roles.USE}


@pytest.mark.parametrize("place", [Role.OWNER, Role.ADMIN, Role.USER])
@pytest.mark.parametrize("name", sorted(set(EXPECTED) - OF_NOBODY))
def test_nobody_decides_about_their_own_account(
    name: str, place: Role, account: Account, member: User, lead: User, other_lead: User, sign_in: SignIn
) -> None:
    _permission, row_of, _posted = EXPECTED[name]
    row = row_of(account, other_lead)
    if place == Role.OWNER:
        account.memberships.filter(role=Role.OWNER).update(role=Role.ADMIN)
    Membership.objects.create(account=account, user=lead, role=place)
    last = Event.objects.order_by("id").last()
    mails, client, url = Notice.objects.count(), sign_in(lead), f"/admin/act/{name}/{row.pk}/"

    filled = form_of(name, other_lead)
    rehearsed = client.post(url, {key: value for key, value in filled.items() if key != "confirmed"})
    done = client.post(url, filled)

    assert (rehearsed.status_code, done.status_code) == (409, 409), done.content.decode()[-3000:]
    assert "nobody decides about their own" in done.content.decode()
    assert list(Event.objects.filter(id__gt=last.pk if last else 0)) == []
    assert Notice.objects.count() == mails
    assert not StaffAction.objects.exists()


def test_a_form_without_its_token_does_nothing(account: Account, lead: User) -> None:
    subscription = subscribe(account, at=clock.now())
    client = Client(enforce_csrf_checks=True)
    client.force_login(lead, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.post(f"/admin/act/end_now/{subscription.pk}/", form_of("end_now", lead)).status_code == 403
    assert Subscription.objects.get().ends_at is None
    assert not StaffAction.objects.exists()


@pytest.mark.parametrize("role", AT_THE_DESK)
def test_whoever_works_at_the_desk_sees_every_list_and_edits_no_state(
    role: str, account: Account, sign_in: SignIn, request: pytest.FixtureRequest
) -> None:
    client = sign_in(request.getfixturevalue(role))
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label not in ("accounts", "subscriptions", "marketplace"):
            continue
        url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        response = client.get(url)
        assert response.status_code == 200, url
        assert client.get(f"{url}add/").status_code == 403, url
        assert not model_admin.has_delete_permission(response.wsgi_request), url
        if model_admin.has_change_permission(response.wsgi_request):
            # What a marketplace's plan grants, or a price buys, is a setting, not the state of an account.
            assert role == "lead"
            assert model in (ListingPlan, Dimension, StripePrice)


def test_an_agent_can_not_make_anybody_staff(agent: User, lead: User, sign_in: SignIn) -> None:
    for person in (agent, lead):
        client = sign_in(person)
        assert client.post(f"/admin/accounts/user/{agent.pk}/change/", {"is_superuser": "on"}).status_code == 403
        assert client.get("/admin/auth/group/").status_code == 403
    agent.refresh_from_db()
    assert not agent.is_superuser


def test_what_an_act_is_called_stands_in_the_history(account: Account, agent: User) -> None:
    subscription = subscribe(account)
    act_named("cancel").perform(
        subscription, {"reason": "x", "why": "", "identity": []}, by=Actor.staff(agent), at=subscription.started_at
    )
    assert str(Event.objects.get(kind="desk.cancel").label) == "Cancel on behalf of the owner"


def admin_paths() -> list[str]:
    """Every address below /admin/, its placeholders filled with what fits and leads nowhere."""
    filled = {"int": "1", "uuid": str(uuid.UUID(int=1)), "str": "x", "path": "x", "slug": "x"}
    found = []
    for path, _name in patterns(get_resolver()):
        if path.startswith("admin/"):
            path = re.sub(r"<(?:(\w+):)?\w+>", lambda match: filled[match[1] or "str"], path)
            # The catch-all, and the pages of apps, are regular expressions.
            path = re.sub(r"\^?\(\?P<(\w+)>[^)]*\)", lambda match: "accounts" if match[1] == "app_label" else "x", path)
            found.append("/" + path.replace("$", "").replace("^", ""))
    return sorted(set(found))


@pytest.mark.parametrize("role", [*OUTSIDE, "nobody"])
def test_nothing_below_admin_opens_to_whoever_does_not_work_there(
    role: str, account: Account, sign_in: SignIn, request: pytest.FixtureRequest
) -> None:
    user = None if role == "nobody" else request.getfixturevalue(role)
    paths = admin_paths()
    assert len(paths) > 60
    client = sign_in(user)
    # Signing out is open to all: tried by nobody here, who would be nobody at the next address.
    for path in paths:
        for method in ("GET", "POST"):
            if path == "/admin/logout/":
                continue
            answer = client.generic(method, path)
            if role == "nobody":
                assert answer.status_code == 302, f"{method} {path}"
                assert answer["Location"].startswith(("/auth/login/", "/admin/login/")), f"{method} {path}"
            else:
                assert answer.status_code == 403, f"{method} {path}: {answer.status_code}"


def test_staff_without_a_role_see_none_of_it(account: Account, sign_in: SignIn) -> None:
    client = sign_in(UserFactory(is_staff=True))
    for path in admin_paths():
        if path != "/admin/logout/":
            assert client.get(path).status_code == 403, path
