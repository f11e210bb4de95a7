"""An account with its owner, by a command or at the desk: opened once, and its owner mailed a way in."""

import uuid
from collections.abc import Callable
from io import StringIO

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.core import clock
from accounts.mail import sending
from accounts.mail.notices import Notice
from accounts.models import Account, Event, Membership, Role, User
from tests.accounts.desk.test_staffing import choose_password, link_in
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
OWNER = "olivia@example.org"


def open_account(name: str = "Harbour", owner: str = OWNER, *flags: str) -> tuple[str, str]:
    out, told = StringIO(), StringIO()
    call_command("account", name, "--owner", owner, *flags, stdout=out, stderr=told)
    return out.getvalue(), told.getvalue()


def test_it_prints_the_id_alone_and_mails_its_owner_a_way_in() -> None:
    printed, told = open_account()
    account = Account.objects.get(pk=uuid.UUID(printed.strip()))
    (place,) = Membership.objects.filter(account=account)
    assert (account.name, place.role, place.user.email) == ("Harbour", Role.OWNER, OWNER)
    assert Event.objects.get(account=account).kind == "account.opened"
    assert "No mail server is set: hand this link to the owner." in told
    sending.send_due(clock.now())
    (sent,) = mail.outbox
    assert sent.to == [OWNER]
    assert choose_password(link_in(str(sent.body))) == 302
    client = Client()
    assert client.post("/auth/login/", {"login": OWNER, "password": PASSWORD})["Location"] == "/"
    assert client.get("/user/subscription/").status_code == 200


def test_the_same_external_id_prints_the_same_id_and_changes_nothing() -> None:
    first, _told = open_account("Harbour", OWNER, "--external-id", "crm-7")
    again, told = open_account("Another name", OWNER.upper(), "--external-id", " crm-7 ")
    assert again == first
    assert "It was there already, as Harbour. Nothing was changed." in told
    assert (Account.objects.count(), Notice.objects.count(), User.objects.count()) == (1, 1, 1)
    # Without one nobody can know that it is meant to be the same.
    other, _told = open_account()
    assert other != first


def test_somebody_who_signs_in_already_is_told_without_a_link(owner: User) -> None:
    _printed, told = open_account("Second", owner.email)
    assert "signs in at" in told
    sending.send_due(clock.now())
    assert "/auth/password/" not in mail.outbox[0].body


def test_nonsense_is_refused_with_words(lead: User, owner: User, account: Account) -> None:
    open_account("Harbour", OWNER, "--external-id", "crm-7")
    gone = Account.objects.get(external_id="crm-7")
    counted = (Account.objects.count(), User.objects.count())
    User.objects.create_user("off@example.com", is_active=False)
    for name, email, external_id, words in (
        ("  ", OWNER, "", "An account has a name."),
        ("A\x00b", OWNER, "", "can't be written down"),
        ("A" * 201, OWNER, "", "too long"),
        ("A", "nobody", "", "valid email"),
        ("A", lead.email, "", "Staff, and people who may not sign in, are no customers."),
        ("A", "off@example.com", "", "are no customers"),
        ("A", owner.email, "crm-7", "Another account has the external id “crm-7”"),
    ):
        with pytest.raises(CommandError, match=words):
            open_account(name, email, "--external-id", external_id)
    Account.objects.filter(pk=gone.pk).update(purging_at=clock.now())
    with pytest.raises(CommandError, match="is being erased"):
        open_account("A", OWNER, "--external-id", "crm-7")
    assert counted == (Account.objects.count(), User.objects.count() - 1)


def test_a_lead_opens_one_at_the_desk_and_sees_the_mail_without_its_link(lead: User, sign_in: SignIn) -> None:
    form = {"name": "Harbour", "owner": OWNER, "external_id": "", "reason": "Their first order"}
    client = sign_in(lead)
    rehearsed = client.post("/admin/act/open_account/new/", form).content.decode()
    assert f"Mail to {OWNER}" in rehearsed
    assert "/auth/…" in rehearsed
    assert "/auth/password/" not in rehearsed
    assert not Account.objects.exists()
    done = client.post("/admin/act/open_account/new/", {**form, "confirmed": "yes"})
    assert done.status_code == 302
    assert Account.objects.get().owner() == User.objects.get(email=OWNER)
