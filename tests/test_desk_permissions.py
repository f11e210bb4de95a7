"""Every act with every role, made from the register of acts: a new act without an entry here fails."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client

from accounts import clock
from accounts.desk import action, roles
from accounts.desk.action import act_named
from accounts.history import Actor
from accounts.holds import set_hold
from accounts.models import Account, Deed, Event, Notice, User
from marketplace import offboarding
from marketplace.models import Delivery, Source, Step, StepKind
from subscriptions.cancellation import cancel
from subscriptions.models import Subscription
from tests.factories import subscribe

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
    offboarding.begin(account, cause=offboarding.Cause.CANCELLED, received_at=at, at=at, by=Actor.system())
    return account


def _step(account: Account, lead: User) -> Model:
    _leaving(account, lead)
    return Step.objects.get(kind=StepKind.CONFIRM)


def _delivery(account: Account, lead: User) -> Model:
    return Delivery.objects.create(
        source=Source.GITHUB,
        delivery_id=str(uuid.uuid4()),
        event="ping",
        body=b"{}",
        digest=b"x" * 32,
        received_at=clock.now(),
        account_id=account.pk,
        alert="Look",
    )


#: For each act: the permission that it needs, a row that it can be done to, and what its form asks for.
EXPECTED: dict[str, tuple[str, Row, dict[str, Any]]] = {
    "hand_over": (roles.HAND_OVER, lambda account, lead: account, {"new_owner": "member@example.org"}),
    "hold": (roles.HOLD, lambda account, lead: account, {"until_0": "{tomorrow}", "until_1": "12:00"}),
    "confirm_hold": (roles.HOLD, _hold, {}),
    "release_hold": (roles.HOLD, _hold, {}),
    "cancel": (roles.CANCEL, _subscription, {}),
    "keep": (roles.CANCEL, _cancellation, {}),
    "end_now": (roles.END, _subscription, {}),
    "reactivate": (roles.REACTIVATE, _leaving, {}),
    "retry_step": (roles.MEND, _step, {}),
    "skip_step": (roles.MEND, _step, {}),
    "process_again": (roles.MEND, _delivery, {}),
    "acknowledge": (roles.MEND, _delivery, {}),
}


def test_every_act_is_in_the_matrix_with_its_permission() -> None:
    assert {act.name: act.permission for act in action.registered()} == {
        name: permission for name, (permission, _row, _posted) in EXPECTED.items()
    }


def form_of(name: str) -> dict[str, str]:
    tomorrow = f"{clock.now() + DAY:%Y-%m-%d}"
    posted = {key: str(value).format(tomorrow=tomorrow) for key, value in EXPECTED[name][2].items()}
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
    allowed = role in AT_THE_DESK and permission in (roles.OF_AGENTS if role == "agent" else roles.OF_LEADS)

    shown, done = client.get(url), client.post(url, form_of(name))

    if allowed:
        assert (shown.status_code, done.status_code) == (200, 302), done.content.decode()[-3000:]
        assert Event.objects.get(kind=f"desk.{name}").actor_id == (user and user.pk)
        assert Deed.objects.get().by == user
        return
    assert not Deed.objects.exists()
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
    assert {event.account_id for event in denied} == {account.pk if at_the_desk else None}
    assert {event.facts["permission"] for event in denied} == {permission if at_the_desk else roles.USE}


def test_a_form_without_its_token_does_nothing(account: Account, lead: User) -> None:
    subscription = subscribe(account, at=clock.now())
    client = Client(enforce_csrf_checks=True)
    client.force_login(lead, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.post(f"/admin/act/end_now/{subscription.pk}/", form_of("end_now")).status_code == 403
    assert Subscription.objects.get().ends_at is None
    assert not Deed.objects.exists()


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
            # What a marketplace's plan grants is a setting, not the state of an account.
            assert (role, model._meta.model_name) == ("lead", "listingplan")


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
        subscription, {"reason": "x", "why": ""}, by=Actor.staff(agent), at=subscription.started_at
    )
    assert str(Event.objects.get(kind="desk.cancel").label) == "Cancel on behalf of the owner"
