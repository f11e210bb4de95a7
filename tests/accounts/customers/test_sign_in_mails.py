"""Mails about signing in: letters like all others, in the vendor's name and the reader's language."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import allauth
import pytest
from django.conf import settings as product
from django.core import mail
from django.test import Client
from pytest_django import Settings

from accounts.branding import letter
from accounts.branding.letter import Reader
from accounts.models import User
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]

#: Mails of allauth that are never sent here, and why.
NOT_SENT = {
    "account/email/login_code": "nobody signs in by a code from a mail",
    "account/email/password_reset_code": "a reset is a link",
    "account/email/unknown_account": "whom we do not know we write no mails",
    "mfa/email/webauthn_added": "there are no security keys",
    "mfa/email/webauthn_removed": "there are no security keys",
}
THEIRS = sorted(
    str(path.relative_to(Path(allauth.__file__).parent / "templates")).removesuffix("_subject.txt")
    for path in (Path(allauth.__file__).parent / "templates").glob("*/email/*_subject.txt")
)
SENT = [prefix for prefix in THEIRS if prefix not in NOT_SENT]
FACTS: dict[str, Any] = {
    "email": "olivia@harbour.example",
    "from_email": "old@harbour.example",
    "to_email": "olivia@harbour.example",
    "deleted_email": "old@harbour.example",
    "provider": "GitHub",
    "password_reset_url": f"{product.SITE_URL}/auth/password/reset/key/abc/",
    "activate_url": f"{product.SITE_URL}/auth/confirm-email/abc/",
    "ip": "192.0.2.7",
    "user_agent": "Firefox",
    "timestamp": datetime(2026, 7, 1, 8, tzinfo=UTC),
}


@pytest.fixture(autouse=True)
def acme(settings: Settings) -> None:
    settings.BRAND_NAME, settings.BRAND_COLOUR, settings.SUPPORT_EMAIL = "Acme", "#7a0b74", "help@acme.example"


@pytest.fixture
def told(owner: User, sign_in: SignIn) -> Callable[[], Any]:
    """The one mail that has gone out since."""
    mail.outbox.clear()

    def told() -> Any:
        (message,) = mail.outbox
        mail.outbox.clear()
        return message

    return told


def test_every_mail_of_allauth_is_ours_or_never_sent() -> None:
    assert len(SENT) == 15
    folder = Path(product.BASE_DIR, "templates")
    assert [prefix for prefix in SENT if not (folder / f"{prefix}.txt").is_file()] == []
    assert NOT_SENT.keys() <= {*THEIRS}


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("template", SENT)
def test_every_mail_about_signing_in_is_a_letter_with_one_button(template: str, language: str) -> None:
    reader = Reader("olivia@harbour.example", name="Olivia", language=language, time_zone="Europe/Paris")
    message = letter.write(template, to=reader, **FACTS)
    ((html, _kind),) = message.alternatives
    for text in (str(message.body), str(html)):
        assert ("Hello Olivia," if language == "en" else "Bonjour Olivia,") in text
        assert ("The Acme team" if language == "en" else "L’équipe Acme") in text
        assert "help@acme.example" in text
        assert f"{product.SITE_URL}/auth/" in text
        assert "Firefox" not in text
    assert str(html).count("background:#7a0b74") <= 1
    assert message.reply_to == ["help@acme.example"]
    assert 8 <= len(message.subject) <= 60
    # Sentences, not Titles Of Their Own.
    assert not re.search(r" [A-Z][a-z]+ [A-Z][a-z]+", str(message.subject)), message.subject
    assert "\n\n\n" not in str(message.body)


def test_a_reset_is_asked_for_and_told_of(told: Callable[[], Any], owner: User) -> None:
    client = Client()
    client.post("/auth/password/reset/", {"email": owner.email})
    message = told()
    assert message.subject == "Choose a new password for Acme"
    assert message.body.startswith(f"Hello {owner.name},\n\nSomebody, probably you, asked for a new password")
    link = re.search(rf"^{re.escape(product.SITE_URL)}(/auth/password/reset/key/\S+)$", message.body, re.M)
    assert link
    page = client.get(link[1], follow=True)
    client.post(page.request["PATH_INFO"], {"password1": "a new long password", "password2": "a new long password"})
    done = told()
    assert done.subject == "You have a new password"
    assert "from 127.0.0.1." in done.body
    assert f"{product.SITE_URL}/auth/password/reset/" in done.body


def test_a_changed_password_is_told_in_the_persons_own_language(
    told: Callable[[], Any], owner: User, sign_in: SignIn
) -> None:
    owner.language = "fr"
    owner.save()
    client = sign_in(owner)
    new = {"oldpassword": PASSWORD, "password1": "a new long password", "password2": "a new long password"}
    assert client.post("/auth/password/change/", new).status_code == 302
    message = told()
    assert message.subject == "Votre mot de passe a été modifié"
    assert message.body.startswith(f"Bonjour {owner.name},")


def test_a_new_address_is_confirmed_by_a_letter(told: Callable[[], Any], owner: User) -> None:
    client = Client()
    client.post("/auth/login/", {"login": owner.email, "password": PASSWORD})
    client.get("/auth/reauthenticate/")
    client.post("/auth/reauthenticate/", {"password": PASSWORD})
    client.post("/auth/email/", {"email": "new@harbour.example", "action_add": ""})
    message = told()
    assert message.to == ["new@harbour.example"]
    assert message.subject == "Confirm your email address"
    assert f"{product.SITE_URL}/auth/confirm-email/" in message.body


def test_the_authenticator_lists_us_under_the_vendors_name(owner: User) -> None:
    client = Client()
    client.post("/auth/login/", {"login": owner.email, "password": PASSWORD})
    page = client.get("/auth/2fa/totp/activate/")
    assert page.status_code == 200
    assert "issuer=Acme" in page.context["totp_url"]
