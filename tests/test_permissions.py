"""Every URL with every role, made from the URL configuration: a new URL without an entry here fails."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.api import application
from accounts.blueprints.models import Grid
from accounts.core import clock
from accounts.customers.history import Actor
from accounts.customers.promises import promise
from accounts.erasure.last_mail import LastMail, digest
from accounts.exports.builder import export_due
from accounts.exports.export import Export, ask, link_token
from accounts.models import Account, Event, Membership, Role, User
from accounts.people import inviting
from accounts.support.requests import RequestKind
from accounts.support.requests import ask as ask_support
from subscriptions.models import Cancellation, Subscription
from tests.accounts.erasure.purging import erase_all
from tests.factories import AccountFactory, BlueprintFactory, ConnectionFactory, UserFactory, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]

APPS = ("blueprints", "accounts", "subscriptions", "marketplace")
ROLES = ("owner", "admin", "member", "stranger", "staff", "nobody")
#: Doors that other packages own and test. What we ask of them: `test_sign_in_is_the_only_open_door_of_allauth`.
FOREIGN = ("auth/", "admin/")


@dataclass(frozen=True)
class Door:
    """The status of one method for each role, in the order of `ROLES`."""

    method: str
    statuses: tuple[int, int, int, int, int, int]


def all_alike(status: int) -> tuple[int, int, int, int, int, int]:
    return (status,) * 6


#: The doors of the API: none is opened by who somebody is.
API_DOORS = {
    operation["operationId"]: method.upper()
    for operations in application.document()["paths"].values()
    for method, operation in operations.items()
}

#: `staff` belongs to no account. `stranger` owns another account: pages show that one, objects are not found, and
#: a form that names somebody else's account does nothing (409).
EXPECTED: dict[str, tuple[Door, ...]] = {
    # Staff without an account are sent to the desk.
    "home": (Door("GET", (200, 200, 200, 200, 302, 302)), Door("POST", (405, 405, 405, 405, 405, 302))),
    "blueprint": (Door("GET", (200, 200, 200, 404, 404, 302)), Door("POST", (302, 302, 302, 404, 404, 302))),
    "blueprint_convert": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", (302, 302, 302, 404, 404, 302))),
    "blueprint_live": (Door("GET", (200, 200, 200, 404, 404, 302)),),
    "blueprint_bits": (Door("GET", (200, 200, 200, 404, 404, 302)),),
    "blueprint_thumbnail": (Door("GET", (200, 200, 200, 404, 404, 302)),),
    "connections": (Door("GET", (200, 200, 200, 200, 403, 302)),),
    "connection": (Door("GET", (200, 200, 200, 404, 404, 302)),),
    "preferences": (Door("GET", (200, 200, 200, 200, 200, 302)), Door("POST", (302, 302, 302, 302, 302, 302))),
    "switch_account": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", (302, 302, 302, 404, 404, 302))),
    # Users see the owner and themselves, and can leave. The owner hands over first.
    "people": (Door("GET", (200, 200, 200, 200, 403, 302)), Door("POST", (405, 405, 405, 405, 405, 302))),
    "invite": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", (302, 302, 403, 409, 403, 302))),
    "invitation_resend": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", (302, 302, 403, 409, 403, 302))),
    "invitation_revoke": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", (302, 302, 403, 409, 403, 302))),
    "member_role": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", (302, 302, 403, 409, 403, 302))),
    "member_remove": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", (302, 302, 403, 409, 403, 302))),
    # The form of a plain user; whoever has another role sends what their page never promised.
    "member_leave": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", (409, 409, 302, 409, 403, 302))),
    "ownership": (Door("GET", (200, 403, 403, 200, 403, 302)), Door("POST", (302, 403, 403, 409, 403, 302))),
    "ownership_take_back": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", (409, 403, 403, 409, 403, 302))),
    # Nothing is offered to anybody here: back to the page of people; a form about it is out of date.
    "ownership_offer": (Door("GET", (302, 302, 302, 302, 403, 302)), Door("POST", (302, 302, 302, 302, 403, 302))),
    "ownership_decline": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", (409, 409, 409, 409, 403, 302))),
    # Nobody here has opened the link of an invitation, nor of a sign-up; the vendor lets nobody sign up.
    "invitation": (Door("GET", all_alike(410)), Door("POST", all_alike(405))),
    "invitation_open": (Door("GET", all_alike(410)), Door("POST", all_alike(405))),
    "invitation_accept": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", (410, 410, 410, 410, 410, 302))),
    "invitation_join": (Door("GET", all_alike(405)), Door("POST", all_alike(302))),
    "invitation_sign_out": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", all_alike(302))),
    "sign_up": (Door("GET", all_alike(200)), Door("POST", all_alike(200))),
    "sign_up_open": (Door("GET", (302, 302, 302, 302, 302, 410)), Door("POST", all_alike(405))),
    "sign_up_finish": (Door("GET", all_alike(405)), Door("POST", all_alike(302))),
    "export": (Door("GET", (200, 403, 403, 200, 403, 302)), Door("POST", (302, 403, 403, 409, 403, 302))),
    # A link that was made for the owner.
    "export_file": (Door("GET", (200, 404, 404, 404, 404, 302)), Door("POST", (405, 405, 405, 405, 405, 302))),
    # Deletion is not offered to members: the page again, with what they wrote.
    "support": (Door("GET", (200, 200, 200, 200, 403, 302)), Door("POST", (302, 422, 422, 409, 403, 302))),
    "support_message": (
        Door("GET", (200, 404, 404, 404, 403, 302)),
        Door("POST", (302, 404, 404, 409, 403, 302)),
    ),
    "deletion_call_off": (
        Door("GET", (405, 405, 405, 405, 405, 302)),
        Door("POST", (302, 403, 403, 409, 403, 302)),
    ),
    "subscription": (Door("GET", (200, 200, 200, 200, 403, 302)), Door("POST", (405, 405, 405, 405, 405, 302))),
    # The stranger's own account has no subscription: 409 says so.
    "cancellation": (Door("GET", (200, 403, 403, 409, 403, 302)), Door("POST", (302, 403, 403, 409, 403, 302))),
    "cancellation_withdraw": (
        Door("GET", (405, 405, 405, 405, 405, 302)),
        Door("POST", (302, 403, 403, 409, 403, 302)),
    ),
    # Nobody sells in the tests: the page shows what there is. Nothing of anybody is paid by a provider.
    "plans": (Door("GET", (200, 403, 403, 200, 403, 302)), Door("POST", (409, 403, 403, 409, 403, 302))),
    "bought": (Door("GET", (404, 403, 403, 404, 403, 302)), Door("POST", (405, 405, 405, 405, 405, 302))),
    "payment": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", (409, 403, 403, 409, 403, 302))),
    "api_entitlements": (Door("GET", all_alike(401)),),
    "api_resources": (Door("PUT", all_alike(401)),),
    # No secret of Stripe's is in the settings of the tests.
    "stripe_webhook": (Door("GET", all_alike(405)), Door("POST", all_alike(503))),
    "github_webhook": (Door("GET", all_alike(405)), Door("POST", all_alike(401))),
    "github_setup": (Door("GET", (200, 200, 200, 200, 200, 302)), Door("POST", (200, 200, 200, 200, 200, 302))),
    "github_stay": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", (302, 403, 403, 409, 403, 302))),
    # Nobody here comes from AWS: the page says how to.
    # No topic of ours is in the settings of the tests.
    "aws_sns": (Door("GET", all_alike(405)), Door("POST", all_alike(503))),
    "aws_events": (Door("GET", all_alike(405)), Door("POST", all_alike(401))),
    "aws_register": (Door("GET", all_alike(200)), Door("POST", all_alike(400))),
    "aws_register_open": (Door("GET", all_alike(410)), Door("POST", all_alike(405))),
    "aws_register_link": (Door("GET", (405, 405, 405, 405, 405, 302)), Door("POST", all_alike(302))),
    "aws_register_join": (Door("GET", all_alike(405)), Door("POST", (302, 302, 302, 302, 302, 410))),
    "api_github_hooks": (Door("PUT", all_alike(401)), Door("DELETE", all_alike(401))),
    # Whoever has the link, for good.
    "certificate": (Door("GET", all_alike(200)), Door("POST", all_alike(405))),
    "certificate_record": (Door("GET", all_alike(200)), Door("POST", all_alike(405))),
    "brand_css": (Door("GET", all_alike(200)), Door("POST", all_alike(405))),
    "brand_mark": (Door("GET", all_alike(200)), Door("POST", all_alike(405))),
    "favicon": (Door("GET", all_alike(200)), Door("POST", all_alike(405))),
    # What the API answers to whom is asked by token: tests/accounts/api.
    "api_document": (Door("GET", all_alike(200)), Door("POST", all_alike(405))),
    "api_problem": (Door("GET", all_alike(200)), Door("POST", all_alike(405))),
    "api-root": (Door("GET", all_alike(404)), Door("POST", all_alike(404))),
    **{name: (Door(method, all_alike(401)),) for name, method in API_DOORS.items()},
    "healthz": (Door("GET", all_alike(200)), Door("POST", all_alike(405))),
    "readyz": (Door("GET", all_alike(503)),),
    "metrics": (Door("GET", all_alike(404)), Door("POST", all_alike(405))),
}
#: What a POST sends beside the account; anything else is sent empty.
POSTED = {
    "invite": {"email": "new@example.org", "role": "user"},
    "invitation_resend": {"shown": "{invitation_id} 1"},
    "invitation_revoke": {"shown": "{invitation_id}"},
    "member_role": {"role": "admin", "shown": "{user_id} user"},
    "member_remove": {"shown": "{user_id} user"},
    "member_leave": {"shown": "user"},
    "ownership": {"new_owner": "{place_id}", "stays": "yes", "shown": "nothing"},
    "blueprint": {"name": "New", "components": "[]", "shown": "{blueprint}"},
    "cancellation": {"shown": "{cancellation}"},
    "preferences": {"name": "", "language": "", "time_zone": "UTC"},
    "support": {"kind": "deletion", "message": ""},
    "support_message": {"text": "And another thing."},
}


#: Where else nobody is sent, by doors that need no sign-in.
ELSEWHERE = {"invitation_join": ("/invitation/",), "sign_up_finish": ("/sign-up/",)}
#: What the address of a page says after its path.
ASKED = {"blueprint_bits": "component=web"}


def patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, str | None]]:
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield path, pattern.name
        else:
            yield from patterns(pattern, path)


OUR_URLS = [(path, name) for path, name in patterns(get_resolver()) if not path.startswith(FOREIGN)]


def test_every_url_is_in_the_matrix() -> None:
    assert sorted(name or path for path, name in OUR_URLS) == sorted(EXPECTED)


#: The people of `ROLES`, by their addresses.
PEOPLE = {
    "owner": "owner@doors.example",
    "admin": "admin@doors.example",
    "member": "member@doors.example",
    "stranger": "stranger@doors.example",
    "staff": "staff@doors.example",
}


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, str]]:
    """What the placeholders of the URLs stand for: things of the owner's account, which is on Pro.

    Made once for all doors: an export takes longer than a hundred knocks. What a test does is undone after it.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        yield _made()
        transaction.set_rollback(True)


def _made() -> dict[str, str]:
    at = clock.now()
    owner = UserFactory(email=PEOPLE["owner"], name="Olga Owner")
    account = AccountFactory(name="Harbour", owner=owner)
    for role in (Role.ADMIN, Role.USER):
        who = UserFactory(email=PEOPLE["admin" if role == Role.ADMIN else "member"])
        Membership.objects.create(account=account, user=who, role=role)
    AccountFactory(name="Elsewhere", owner=UserFactory(email=PEOPLE["stranger"]))
    UserFactory(email=PEOPLE["staff"], is_staff=True, is_superuser=True)
    subscription = subscribe(account, at=at)
    blueprint = BlueprintFactory(account=account, grid=Grid.INFINITE)
    blueprint.redraw_thumbnail()
    export, _new = ask(account, by=Actor.owner(owner), at=at)
    export_due(export.asked_at)
    made, _new = ask_support(account, kind=RequestKind.OTHER, message="A question.", by=Actor.owner(owner), at=at)
    colleague = UserFactory(email="colleague@example.org")
    place = Membership.objects.create(account=account, user=colleague, role=Role.USER)
    invitation, _new = inviting.invite(account, email="asked@example.org", role=Role.USER, by=Actor.owner(owner), at=at)
    return {
        "invitation_id": str(invitation.pk),
        "user_id": str(colleague.pk),
        "place_id": str(place.pk),
        "account_id": str(account.pk),
        "subscription_id": str(subscription.pk),
        "blueprint_id": str(blueprint.pk),
        "blueprint": promise(blueprint.changed_at),
        "cancellation": promise(subscription.pk, subscription.paid_through(at)),
        "connection_id": str(ConnectionFactory(account=account).pk),
        "reference": made.reference,
        "endpoint_id": "11111111-2222-4333-8444-555555555555",
        "dispatch_id": "1",
        "key": "not-a-key",
        "name": "not_found",
        "external_id": "u-1",
        "erasure_request": str(uuid.uuid4()),
        "token": link_token(Export.objects.get(), owner),
        "link": link_to_a_certificate(),
    }


def link_to_a_certificate() -> str:
    """The end of a last mail's link, of an account that is gone."""
    erase_all(AccountFactory())
    LastMail.objects.update(link=digest("a-link-of-a-last-mail"))
    return "a-link-of-a-last-mail"


def person(role: str) -> User | None:
    return None if role == "nobody" else User.objects.get(email=PEOPLE[role])


def filled(path: str, world: dict[str, str]) -> str:
    for name, value in world.items():
        for kind in ("uuid", "uuidstr", "str", "int"):
            path = path.replace(f"<{kind}:{name}>", value)
    return "/" + path


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("path", "name"), OUR_URLS, ids=[str(name) for _path, name in OUR_URLS])
def test_who_may_knock_at_which_door(
    path: str,
    name: str,
    role: str,
    world: dict[str, str],
    sign_in: SignIn,
) -> None:
    client = sign_in(person(role))
    for door in EXPECTED[name]:
        posted = {"account": world["account_id"], **{k: v.format(**world) for k, v in POSTED.get(name, {}).items()}}
        if door.method == "POST":
            response = client.post(filled(path, world), posted)
        else:
            response = client.generic(door.method, filled(path, world), QUERY_STRING=ASKED.get(name, ""))
        assert response.status_code == door.statuses[ROLES.index(role)], f"{door.method} {path} as {role}"
        if role == "nobody" and response.status_code == 302:
            assert response["Location"].startswith(("/auth/login/", *ELSEWHERE.get(name, ())))


@pytest.mark.parametrize("role", ["admin", "member", "stranger", "staff", "nobody"])
def test_who_is_not_the_owner_changes_nothing(role: str, world: dict[str, str], sign_in: SignIn) -> None:
    client = sign_in(person(role))
    done = Event.objects.exclude(kind="attempt.refused")
    before = done.count()
    about = {"account": world["account_id"], "shown": world["cancellation"]}
    client.post("/user/subscription/cancellation/", {"reason": "unused", **about})
    client.post("/user/subscription/cancellation/withdraw/", about)
    assert not Cancellation.objects.exists()
    assert Subscription.objects.get().ends_at is None
    assert done.count() == before


def test_others_are_told_who_the_owner_is(world: dict[str, str], sign_in: SignIn) -> None:
    admin = sign_in(person("admin"))
    assert "Olga Owner" in admin.get("/user/subscription/").content.decode()
    refusal = admin.post("/user/subscription/cancellation/", {"account": world["account_id"]}).content.decode()
    assert "Only the owner of this account, Olga Owner, can do this." in refusal
    assert "Nothing was changed." in refusal


def test_who_may_not_see_the_page_of_a_form_is_refused_whatever_the_form_says(
    account: Account, admin: User, sign_in: SignIn
) -> None:
    for about in ({}, {"account": "nonsense"}, {"account": str(account.pk)}):
        assert sign_in(admin).post("/user/subscription/cancellation/", about).status_code == 403
        assert sign_in(admin).post("/user/export/", about).status_code == 403


def test_the_support_desk_is_for_staff(account: Account, owner: User, staff: User, sign_in: SignIn) -> None:
    assert sign_in(None).get("/admin/")["Location"] == "/admin/login/?next=/admin/"
    assert sign_in(None).get("/admin/login/?next=/admin/")["Location"] == "/auth/login/?next=/admin/"
    assert sign_in(owner).get("/admin/login/?next=/admin/").status_code == 403
    assert sign_in(staff).get("/admin/").status_code == 200


def test_sign_in_is_the_only_open_door_of_allauth(account: Account, sign_in: SignIn) -> None:
    """Of allauth's pages a stranger sees those for getting in, and nothing else."""
    opened = set()
    for path, name in patterns(get_resolver()):
        if path.startswith("auth/") and "<" not in path and "(?P" not in path and "^" not in path:
            response = sign_in(None).get("/" + path)
            if response.status_code == 200:
                opened.add(name)
    assert opened == {
        "account_login",
        "account_signup",
        "account_reset_password",
        "account_reset_password_done",
        "account_reset_password_from_key_done",
        "account_inactive",
        "account_email_verification_sent",
        "socialaccount_login_cancelled",
    }


def test_nobody_can_sign_up_by_themselves(db: None, sign_in: SignIn) -> None:
    sign_in(None).post(
        "/auth/signup/", {"email": "new@example.org", "password1": "correct horse", "password2": "correct horse"}
    )
    assert not User.objects.filter(email="new@example.org").exists()


def test_a_form_without_its_token_changes_nothing(account: Account, owner: User, sign_in: SignIn) -> None:
    subscribe(account, at=clock.now())
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    response = client.post("/user/subscription/cancellation/")
    assert response.status_code == 403
    assert "open for too long" in response.content.decode()
    assert not Cancellation.objects.exists()


def test_the_support_desk_shows_rows_and_edits_none(account: Account, staff: User, sign_in: SignIn) -> None:
    subscribe(account)
    client = sign_in(staff)
    ours = {model: found for model, found in admin.site._registry.items() if model._meta.app_label in APPS}
    for model, model_admin in ours.items():
        list_url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert client.get(list_url).status_code == 200, list_url
        assert client.get(f"{list_url}add/").status_code == 403, list_url
        assert not model_admin.has_delete_permission(client.get(list_url).wsgi_request), list_url
    assert "allauth" not in {model.__module__.split(".")[0] for model in admin.site._registry}
