"""Who comes in at the support desk: staff, with a role and a second factor. Who is turned away leaves a line."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.contrib.auth.models import Group
from django.test import Client
from pytest_django import Settings

from accounts.core import clock, roles
from accounts.models import Account, Event, User
from tests.factories import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]


def code(secret: str) -> str:
    """What an authenticator shows now."""
    return str(format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time())))))


@pytest.fixture
def second_factor(settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = True


def denials() -> list[tuple[str, int | None, str]]:
    return [
        (event.actor_kind, event.actor_id, event.facts["door"])
        for event in Event.objects.filter(kind="desk.denied").order_by("id")
    ]


def test_the_groups_may_do_what_their_roles_say() -> None:
    for name, permissions in ((roles.AGENT, roles.OF_AGENTS), (roles.LEAD, roles.OF_LEADS)):
        group = Group.objects.get(name=name)
        assert {f"accounts.{found.codename}" for found in group.permissions.all()} == set(permissions)
    assert {f"accounts.{code}" for code, _words in roles.PERMISSIONS} == set(roles.OF_LEADS)


def test_who_is_no_staff_is_refused_and_it_is_written_down(account: Account, owner: User, sign_in: SignIn) -> None:
    client = sign_in(owner)
    for path in ("/admin/", "/admin/accounts/account/", "/admin/login/?next=/admin/"):
        assert client.get(path).status_code == 403
    assert client.post("/admin/act/hold/1/", {"reason": "x", "confirmed": "yes"}).status_code == 403
    assert denials() == [
        ("member", owner.pk, "index"),
        ("member", owner.pk, "accounts_account_changelist"),
        ("member", owner.pk, "login"),
        ("member", owner.pk, "act"),
    ]
    assert set(Event.objects.filter(kind="desk.denied").values_list("account_id", flat=True)) == {None}


def test_staff_without_a_role_are_refused(sign_in: SignIn) -> None:
    without = UserFactory(is_staff=True)
    assert sign_in(without).get("/admin/").status_code == 403
    assert denials() == [("staff", without.pk, "index")]


def test_a_former_member_of_staff_is_signed_out_of_the_desk(lead: User, sign_in: SignIn) -> None:
    client = sign_in(lead)
    assert client.get("/admin/").status_code == 200
    User.objects.filter(pk=lead.pk).update(is_staff=False)
    assert client.get("/admin/").status_code == 403
    User.objects.filter(pk=lead.pk).update(is_staff=True, is_active=False)
    assert client.get("/admin/").status_code == 302


@pytest.mark.usefixtures("second_factor")
def test_staff_without_a_second_factor_are_taken_to_set_one_up(lead: User, sign_in: SignIn) -> None:
    client = sign_in(lead)
    response = client.get("/admin/")
    assert (response.status_code, response["Location"]) == (302, "/auth/2fa/totp/activate/")
    posted = client.post("/admin/act/hold/1/", {"reason": "x", "confirmed": "yes"})
    assert (posted.status_code, posted["Location"]) == (302, "/auth/2fa/totp/activate/")


@pytest.mark.usefixtures("second_factor")
def test_staff_set_up_a_second_factor_and_come_in_with_it(lead: User) -> None:
    client = Client()
    client.post("/auth/login/", {"login": lead.email, "password": PASSWORD})
    page = client.get("/auth/2fa/totp/activate/")
    secret = re.search(r"[A-Z2-7]{32}", page.content.decode())
    assert secret
    client.post("/auth/2fa/totp/activate/", {"code": code(secret[0])})
    # Who has typed a code of it has used it: the desk asks for no second one.
    assert client.get("/admin/").status_code == 200


@pytest.mark.usefixtures("second_factor")
def test_whoever_finds_a_desk_left_alone_sets_up_no_factor_of_their_own(lead: User) -> None:
    client = Client()
    client.post("/auth/login/", {"login": lead.email, "password": PASSWORD})
    with time_machine.travel(clock.now() + timedelta(minutes=6)):
        assert client.get("/auth/2fa/totp/activate/")["Location"].startswith("/auth/reauthenticate/")
        client.post("/auth/reauthenticate/", {"password": PASSWORD})
        assert client.get("/auth/2fa/totp/activate/").status_code == 200


@pytest.mark.usefixtures("second_factor")
def test_signing_in_with_the_second_factor_opens_the_desk(lead: User) -> None:
    secret = "JBSWY3DPEHPK3PXP"  # a test's
    TOTP.activate(lead, secret)
    client = Client()
    first = client.post("/auth/login/", {"login": lead.email, "password": PASSWORD})
    assert first["Location"].startswith("/auth/2fa/authenticate/")
    assert client.get("/admin/").status_code == 302
    client.post("/auth/2fa/authenticate/", {"code": code(secret)})
    assert client.get("/admin/").status_code == 200


@pytest.mark.usefixtures("second_factor")
def test_a_session_from_before_the_second_factor_must_use_it(lead: User, sign_in: SignIn) -> None:
    client = sign_in(lead)
    secret = "JBSWY3DPEHPK3PXP"  # a test's
    TOTP.activate(lead, secret)
    asked = client.get("/admin/accounts/account/?q=harbour")
    assert asked["Location"] == "/auth/2fa/reauthenticate/?next=%2Fadmin%2Faccounts%2Faccount%2F%3Fq%3Dharbour"
    used = client.post(asked["Location"], {"code": code(secret), "next": "/admin/"})
    assert used["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_staff_land_at_the_desk_after_signing_in(lead: User, owner: User, account: Account) -> None:
    assert Client().post("/auth/login/", {"login": lead.email, "password": PASSWORD})["Location"] == "/admin/"
    assert Client().post("/auth/login/", {"login": owner.email, "password": PASSWORD})["Location"] == "/"


def test_a_password_is_changed_where_everybody_changes_theirs(lead: User, sign_in: SignIn) -> None:
    assert sign_in(lead).get("/admin/password_change/")["Location"] == "/auth/password/change/"


@pytest.mark.parametrize("app", ["accounts", "subscriptions", "marketplace"])
def test_the_desk_has_a_page_of_each_app(app: str, agent: User, lead: User, sign_in: SignIn) -> None:
    """Breadcrumbs lead there: “Home › Customers › People”."""
    for person in (agent, lead):
        page = sign_in(person).get(f"/admin/{app}/")
        assert page.status_code == 200
        assert f'href="/admin/{app}/' in page.content.decode()


def test_what_the_desk_has_no_page_of_is_not_found(agent: User, staff: User, sign_in: SignIn) -> None:
    # Groups are for superusers.
    assert sign_in(agent).get("/admin/auth/").status_code == 404
    assert sign_in(staff).get("/admin/auth/").status_code == 200
    for path in ("/admin/r/1/1/", "/admin/r/9999/x/", "/admin/r/x/1/", "/admin/nothing/"):
        assert sign_in(staff).get(path).status_code == 404, path


def test_a_superuser_makes_a_colleague_staff_and_no_more_staff_again(staff: User, sign_in: SignIn) -> None:
    colleague = UserFactory(email="colleague@example.com", name="Cleo")
    lead = Group.objects.get(name=roles.LEAD)
    client, path = sign_in(staff), f"/admin/accounts/user/{colleague.pk}/change/"
    page = client.get(path).content.decode()
    assert 'name="is_staff"' in page
    # Names, addresses, passwords and superusers are not made here.
    for field in ("email", "name", "password", "is_superuser", "user_permissions"):
        assert f'name="{field}"' not in page
    sent = {
        "is_active": "on",
        "is_staff": "on",
        "groups": [lead.pk],
        "is_superuser": "on",
        "email": "other@example.com",
    }
    assert client.post(path, sent).status_code == 302
    colleague.refresh_from_db()
    assert (colleague.is_staff, colleague.is_superuser, colleague.email) == (True, False, "colleague@example.com")
    assert sign_in(colleague).get("/admin/").status_code == 200
    assert client.post(path, {}).status_code == 302
    colleague.refresh_from_db()
    assert (colleague.is_staff, colleague.is_active, colleague.groups.count()) == (False, False, 0)
    assert sign_in(colleague).get("/admin/").status_code == 302
    assert [
        (event.actor_id, event.facts) for event in Event.objects.filter(kind="desk.staff_changed").order_by("id")
    ] == [
        (staff.pk, {"person": colleague.pk, "may_sign_in": True, "is_staff": True, "roles": [roles.LEAD]}),
        (staff.pk, {"person": colleague.pk, "may_sign_in": False, "is_staff": False, "roles": []}),
    ]


def test_nobody_else_makes_staff_and_a_superuser_not_themselves(staff: User, lead: User, sign_in: SignIn) -> None:
    for person, of in ((lead, staff), (lead, lead), (staff, staff)):
        path = f"/admin/accounts/user/{of.pk}/change/"
        assert sign_in(person).get(path).status_code == 200
        assert 'name="is_staff"' not in sign_in(person).get(path).content.decode()
        assert sign_in(person).post(path, {"is_active": "on"}).status_code == 403
    assert Event.objects.filter(kind="desk.staff_changed").count() == 0
