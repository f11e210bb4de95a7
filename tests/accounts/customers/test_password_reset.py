"""A reset of the password: once, and the end of every other way in."""

import re
import threading
from collections.abc import Callable

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount
from django.core import mail
from django.db import connection
from django.test import Client

from accounts.models import Session, User
from accounts.signing_in.addresses import is_proven
from tests.factories import PASSWORD, UserFactory

SignIn = Callable[[User | None], Client]
NEW = "another horse and battery"


def ask(address: str) -> str | None:
    """Ask for a link. Returns its path, or None where no link came."""
    mail.outbox.clear()
    Client().post("/auth/password/reset/", {"email": address})
    found = [re.search(r"(/auth/password/reset/key/\S+)", str(message.body)) for message in mail.outbox]
    return next((match[1] for match in found if match), None)


def set_up(link: str) -> tuple[Client, str]:
    """A browser in which the link was followed, and the address of its form."""
    client = Client()
    return client, client.get(link)["Location"]


def reset(address: str) -> None:
    link = ask(address)
    assert link
    client, form = set_up(link)
    answer = client.post(form, {"password1": NEW, "password2": NEW})
    assert answer["Location"] == "/auth/password/reset/key/done/", answer.content.decode()


def connect_github(user: User) -> None:
    SocialAccount.objects.create(user=user, provider="github", uid="5", extra_data={})


@pytest.mark.django_db
def test_a_reset_proves_the_address(db: None) -> None:
    user = UserFactory(is_proven=False)
    reset(user.email)
    assert is_proven(user)
    client = Client()
    client.post("/auth/login/", {"login": user.email, "password": NEW})
    assert client.get("/user/preferences/").status_code == 200


@pytest.mark.django_db
def test_whoever_claimed_the_address_early_has_no_way_in_after_the_rightful_one_has_reset(sign_in: SignIn) -> None:
    user = UserFactory(is_proven=False)
    thief = sign_in(user)
    connect_github(user)
    TOTP.activate(user, "JBSWY3DPEHPK3PXP")
    EmailAddress.objects.create(user=user, email="thief@example.net")

    reset(user.email)

    assert thief.get("/user/preferences/").status_code == 302
    assert not Session.objects.filter(user=user).exists()
    assert not SocialAccount.objects.exists()
    assert not Authenticator.objects.exists()
    assert list(EmailAddress.objects.values_list("email", flat=True)) == [user.email]
    old = Client()
    old.post("/auth/login/", {"login": user.email, "password": PASSWORD})
    assert old.get("/user/preferences/").status_code == 302


@pytest.mark.django_db
def test_a_mailbox_alone_does_not_undo_a_second_factor(owner: User, sign_in: SignIn) -> None:
    TOTP.activate(owner, "JBSWY3DPEHPK3PXP")
    connect_github(owner)
    left_open = sign_in(owner)
    reset(owner.email)
    assert left_open.get("/user/preferences/").status_code == 302
    assert not SocialAccount.objects.exists()
    assert Authenticator.objects.count() == 1
    client = Client()
    answer = client.post("/auth/login/", {"login": owner.email, "password": NEW})
    assert answer["Location"].startswith("/auth/2fa/authenticate/")


@pytest.mark.django_db
def test_an_address_that_a_change_was_only_begun_to_gets_no_link(owner: User) -> None:
    """Mistyped, it is a stranger's."""
    EmailAddress.objects.create(user=owner, email="mistyped@example.org")
    assert ask("mistyped@example.org") is None
    assert ask(owner.email.upper())


@pytest.mark.django_db
def test_whoever_resets_while_signed_in_gets_no_error(owner: User, sign_in: SignIn) -> None:
    client, link = sign_in(owner), ask(owner.email)
    assert link
    form = client.get(link)["Location"]
    done = client.post(form, {"password1": NEW, "password2": NEW}, follow=True)
    assert done.status_code == 200
    assert client.get("/user/preferences/").status_code == 302


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_four_uses_of_a_link_at_the_same_instant_one_counts() -> None:
    user = UserFactory()
    link = ask(user.email)
    assert link
    passwords = [f"{NEW} {number}" for number in range(4)]
    browsers = [set_up(link) for _password in passwords]
    done: list[str] = []
    read: dict[str, str] = {}
    gate = threading.Barrier(len(browsers))

    def use(client: Client, form: str, password: str) -> None:
        gate.wait()
        # One that comes when another is through already is answered at once, one beside it is led there.
        answer = client.post(form, {"password1": password, "password2": password}, follow=True)
        if any(location == "/auth/password/reset/key/done/" for location, _status in answer.redirect_chain):
            done.append(password)
        read[password] = answer.content.decode()
        connection.close()

    threads = [
        threading.Thread(target=use, args=(client, form, password))
        for (client, form), password in zip(browsers, passwords, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (won,) = done
    assert set(read) == set(passwords)
    user.refresh_from_db()
    assert user.check_password(won)
    for late in set(passwords) - {won}:
        assert "It was used already" in read[late]
    # Whoever comes later still reads the same.
    client, form = next(browser for browser, password in zip(browsers, passwords, strict=True) if password != won)
    later = client.post(form, {"password1": NEW, "password2": NEW}, follow=True)
    assert "It was used already" in later.content.decode()
    user.refresh_from_db()
    assert user.check_password(won)


@pytest.mark.django_db
def test_a_new_password_signs_out_everywhere_else(owner: User, sign_in: SignIn) -> None:
    here, there = sign_in(owner), sign_in(owner)
    here.post("/auth/password/change/", {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW})
    assert here.get("/user/preferences/").status_code == 200
    assert there.get("/user/preferences/").status_code == 302
    assert Session.objects.filter(user=owner).count() == 1
    assert [message.to for message in mail.outbox] == [[owner.email]]
