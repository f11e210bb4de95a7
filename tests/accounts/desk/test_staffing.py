"""Who is staff: made so by a command, mailed a way in, and no more, at once."""

import re
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from pytest_django import Settings

from accounts.core import clock, roles
from accounts.customers.history import Actor
from accounts.desk import staffing
from accounts.desk.staffing import StaffRole, set_role
from accounts.mail import sending
from accounts.mail.notices import Notice
from accounts.models import Account, Event, User
from accounts.signing_in.session import Session
from accounts.support import answers, requests
from accounts.support.requests import RequestKind
from tests.config.test_admin_site import code
from tests.factories import NOW, PASSWORD

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
SMTP = "django.core.mail.backends.smtp.EmailBackend"
NEW = "new.lead@example.com"


def make(email: str, role: str, *flags: str) -> str:
    out = StringIO()
    call_command("staff", email, "--role", role, *flags, stdout=out)
    return out.getvalue()


def link_in(text: str) -> str:
    found = re.search(re.escape(settings.SITE_URL) + r"(/auth/password/reset/key/\S+/)", text)
    assert found, text
    return found[1]


def choose_password(link: str, password: str = PASSWORD) -> int:
    client = Client()
    page = client.get(link)
    if page.status_code != 302:
        return page.status_code
    return client.post(page["Location"], {"password1": password, "password2": password}).status_code


def test_who_is_new_is_created_and_mailed_a_way_in_that_works_once(settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = True
    said = make(NEW, "lead")
    user = User.objects.get(email=NEW)
    assert (user.is_staff, user.is_superuser, user.has_usable_password()) == (True, False, False)
    assert [group.name for group in user.groups.all()] == [roles.LEAD]
    assert said.startswith(f"{NEW} is support lead now.\nFirst sign-in, once and within three days: http")
    assert sending.send_due(clock.now()) == 1
    (sent,) = mail.outbox
    assert sent.to == [NEW]
    assert "You are a support lead" in sent.body
    # No link stands in a row.
    assert Notice.objects.get().facts == {"role": "lead", "is_change": False, "needs_way_in": True}
    link = link_in(str(sent.body))
    assert choose_password(link) == 302
    # Another one who has read the mail is too late.
    assert choose_password(link) == 200
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_the_first_sign_in_leads_to_the_desk_with_one_second_factor(settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = True
    link = link_in(make(NEW, "agent", "--link"))
    assert choose_password(link) == 302
    client = Client()
    signed_in = client.post("/auth/login/", {"login": NEW, "password": PASSWORD})
    assert signed_in["Location"] == "/admin/"
    assert client.get("/admin/")["Location"] == "/auth/2fa/totp/activate/"
    page = client.get("/auth/2fa/totp/activate/")
    secret = re.search(r"[A-Z2-7]{32}", page.content.decode())
    assert secret
    activated = client.post("/auth/2fa/totp/activate/", {"code": code(secret[0])})
    assert activated["Location"] == "/auth/2fa/recovery-codes/"
    codes = client.get("/auth/2fa/recovery-codes/")
    assert b'href="/admin/"' in codes.content
    # The code that was typed to set the factor up is the one second factor of this sign-in.
    assert client.get("/admin/").status_code == 200


def test_the_same_again_changes_nothing_and_tells_nobody() -> None:
    make(NEW, "agent")
    assert make(f" {NEW.upper()} ", "agent", "--link").startswith(f"{NEW} was support agent already.\nFirst sign-in")
    assert Notice.objects.count() == 1
    assert Event.objects.filter(kind="desk.staff_changed").count() == 1
    assert User.objects.filter(email=NEW).count() == 1


def test_another_role_is_told_without_a_link_to_who_signs_in_already(agent: User, lead: User) -> None:
    assert make(agent.email, "lead") == (
        f"{agent.email} is support lead now.\nSigns in at {settings.SITE_URL}/admin/ as ever.\n"
    )
    assert [group.name for group in agent.groups.all()] == [roles.LEAD]
    assert Notice.objects.get().facts == {"role": "lead", "is_change": True, "needs_way_in": False}
    sending.send_due(clock.now())
    assert "/auth/password/" not in mail.outbox[0].body
    assert Event.objects.get(kind="desk.staff_changed").facts == {
        "person": agent.pk,
        "may_sign_in": True,
        "is_staff": True,
        "roles": [roles.LEAD],
    }


def test_where_a_mail_server_is_set_the_link_is_in_the_mail_alone() -> None:
    with override_settings(EMAIL_BACKEND=SMTP):
        said = make(NEW, "agent")
        again = make(NEW, "agent")
    assert said == f"{NEW} is support agent now.\nA mail with the link for the first sign-in is on its way.\n"
    assert again.endswith("Another link: the same command with --link.\n")


def test_who_is_no_more_staff_is_signed_out_and_the_desk_is_closed_at_once(
    account: Account, owner: User, agent: User, lead: User, sign_in: SignIn
) -> None:
    at = clock.now()
    asked, _new = requests.ask(account, kind=RequestKind.OTHER, message="Hello?", by=Actor.owner(owner), at=at)
    answers.assign(asked, to=agent, by=Actor.staff(lead), at=at)
    client = sign_in(agent)
    assert client.get("/admin/").status_code == 200
    assert make(agent.email, "none") == f"{agent.email} is staff no more, and signed out everywhere.\n"
    assert client.get("/admin/")["Location"] == "/admin/login/?next=/admin/"
    assert not Session.objects.filter(user=agent).exists()
    agent.refresh_from_db()
    assert (agent.is_staff, agent.is_active, list(agent.groups.all())) == (False, True, [])
    # Nobody's request waits for somebody who is gone.
    asked.refresh_from_db()
    assert (asked.assigned_to, asked.assigned_at) == (None, None)
    # Who signs in again comes in as nobody, and not to the desk.
    client.post("/auth/login/", {"login": agent.email, "password": PASSWORD})
    assert client.get("/admin/").status_code == 403
    assert make(agent.email, "none") == f"{agent.email} was no staff already.\n"


@pytest.mark.parametrize("role", ["none", "agent"])
def test_the_last_lead_stays(lead: User, agent: User, role: str) -> None:
    with pytest.raises(CommandError, match="last support lead"):
        make(lead.email, role)
    assert staffing.role_of(lead) == StaffRole.LEAD
    make(NEW, "lead")
    make(lead.email, role)
    assert staffing.role_of(User.objects.get(pk=lead.pk)) == StaffRole(role)


def test_a_superuser_who_becomes_an_agent_is_no_superuser_any_more(staff: User, lead: User) -> None:
    set_role(staff.email, StaffRole.AGENT, by=Actor.system(), at=NOW)
    staff.refresh_from_db()
    assert (staff.is_superuser, staff.is_staff, staffing.role_of(staff)) == (False, True, StaffRole.AGENT)


def test_nonsense_is_refused_with_words(account: Account, owner: User) -> None:
    for email, role, words in (
        ("nobody", "lead", "is no mail address. Nothing was changed."),
        ("nobody@example.com", "none", "Nobody signs in with this address. Nothing was changed."),
        (owner.email, "agent", "owns the account “Harbour”"),
    ):
        with pytest.raises(CommandError, match=words):
            make(email, role)
    with pytest.raises(CommandError, match="invalid choice: 'boss'"):
        make(NEW, "boss")
    User.objects.create_user("off@example.com", is_active=False)
    with pytest.raises(CommandError, match="may not sign in"):
        make("off@example.com", "lead")
    assert not User.objects.filter(is_staff=True).exists()
    assert not Notice.objects.exists()


def test_a_link_is_worth_nothing_after_three_days() -> None:
    link = link_in(make(NEW, "agent", "--link"))
    with time_machine.travel(clock.now() + timedelta(days=3, minutes=1)):
        assert choose_password(link) == 200
    assert not User.objects.get(email=NEW).has_usable_password()


def test_a_rehearsed_mail_shows_no_way_in() -> None:
    make(NEW, "agent")
    rehearsed = str(sending.write(Notice.objects.get(), rehearsed=True).body)
    assert "/auth/…" in rehearsed
    assert "/auth/password/" not in rehearsed


def test_who_has_lost_the_second_factor_sets_up_a_new_one(settings: Settings, lead: User) -> None:
    settings.STAFF_SECOND_FACTOR = True
    Authenticator.objects.create(user=lead, type=Authenticator.Type.TOTP, data={"secret": "lost"})
    Authenticator.objects.create(user=lead, type=Authenticator.Type.RECOVERY_CODES, data={})
    client = Client()
    client.force_login(lead, backend="allauth.account.auth_backends.AuthenticationBackend")
    out = StringIO()
    call_command("staff", lead.email, "--reset-second-factor", stdout=out)
    assert out.getvalue().startswith(f"{lead.email} has no second factor any more, and is signed out everywhere.")
    assert not Authenticator.objects.filter(user=lead).exists()
    assert not Session.objects.of(lead).exists()
    assert client.get("/admin/")["Location"].startswith("/admin/login/")
    event = Event.objects.get(kind="desk.second_factor_reset")
    assert (event.account_id, event.facts) == (None, {"person": lead.pk})
    sending.send_due(clock.now())
    assert mail.outbox[0].subject == "Your second factor at Blueprints was reset"
    signed_in = Client()
    signed_in.post("/auth/login/", {"login": lead.email, "password": PASSWORD})
    assert signed_in.get("/admin/")["Location"] == "/auth/2fa/totp/activate/"


def test_there_is_no_second_time_and_none_for_customers(lead: User, owner: User) -> None:
    Authenticator.objects.create(user=owner, type=Authenticator.Type.TOTP, data={"secret": "kept"})
    out = StringIO()
    call_command("staff", lead.email, "--reset-second-factor", stdout=out)
    assert out.getvalue() == f"{lead.email} had no second factor.\n"
    with pytest.raises(CommandError, match="Nobody signs in with this address"):
        call_command("staff", owner.email, "--reset-second-factor")
    with pytest.raises(CommandError, match="not allowed with"):
        call_command("staff", lead.email, "--reset-second-factor", "--role", "agent")
    assert Authenticator.objects.filter(user=owner).exists()
    assert not Notice.objects.exists()
