"""Another vendor's name stands wherever ours or the demo's would: pages, mails, errors, exports, the desk.

The process has the settings of that vendor and no product, so that no word of the demo's can excuse its name.
"""

import email
import email.policy
import json
import re
from pathlib import Path

import pytest
from babel.messages import pofile
from django.conf import settings

from tests.test_product_apps import bare as bare
from tests.test_product_apps import run

KESTREL = {
    "BRAND_NAME": "Kestrel & Works",
    "BRAND_URL": "https://kestrel.example",
    "BRAND_COLOUR": "#7a2c8f",
    "SUPPORT_EMAIL": "help@kestrel.example",
    "BUY_URL": "https://kestrel.example/plans",
    "DEFAULT_FROM_EMAIL": "",
}
#: Our name as a name, the demo's, and the addresses of the demo's vendor.
OURS = re.compile(r"\bOffboard\b|Blueprints|blueprints\.example|#0b5c74")

SCRIPT = """
import json
from datetime import timedelta
import django
django.setup()
from django.conf import settings
from django.core.management import call_command
from django.test import Client, RequestFactory, override_settings
from django.urls import get_resolver
from accounts.core import clock
from accounts.customers.history import Actor
from accounts.exports import parts
from accounts.mail.sending import send_due
from accounts.models import Account, User
from accounts.support.requests import RequestKind, ask
from accounts.views import errors
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Subscription

plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
override_settings(
    DEBUG=False, ALLOWED_HOSTS=["testserver"], STORAGES={**settings.STORAGES, "staticfiles": plain}
).enable()
call_command("demo", verbosity=0)
at = clock.now()
account = Account.objects.get(memberships__user__email="owner@direct.example", memberships__role="owner")
owner = Actor.owner(account.owner())
ask(account, kind=RequestKind.OTHER, message="A question.", by=owner, at=at)
cancel(Subscription.objects.of(account).live(at).get(), by=owner, at=at)
pages = {}


def see(client, who, path):
    answer = client.get(path)
    if answer.status_code != 302 and not answer.streaming:
        pages[f"{who} {path}"] = [answer.status_code, answer.content.decode()]


routes = get_resolver().reverse_dict
names = [name for name in routes if isinstance(name, str)]
forms = [form for name in names for possible, *_rest in routes.getlist(name) for form in possible]
# Every route without parameters; the API's document is for the vendor's developers, who know what they run.
paths = sorted({"/" + path for path, parameters in forms if not parameters and not path.startswith("api/")})
paths += ["/no/such/page/", "/auth/password/reset/key/1-wrong/", "/auth/confirm-email/wrong/"]
paths.remove("/auth/logout/")
people = ["owner@direct.example", "owner@sales.example", "owner@aws.example", "owner@github.example",
          "owner@ended.example", "owner@left.example", "lead@support.example"]
for language in ("en", "fr"):
    for address in ["", *people]:
        client = Client(headers={"accept-language": language}, raise_request_exception=False)
        if address:
            person = User.objects.get(email=address)
            client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
        for path in paths:
            see(client, f"{language} {address}", path)
strict = Client(enforce_csrf_checks=True)
pages["csrf"] = [403, strict.post("/auth/login/").content.decode()]
pages["500"] = [500, errors.server_error(RequestFactory().get("/")).content.decode()]
send_due(at)
Client().post("/auth/password/reset/", {"email": "owner@direct.example"})
print(json.dumps({"pages": pages, "readme": parts.readme(account, at), "schema": json.dumps(parts.schema())}))
"""


@pytest.mark.slow
@pytest.mark.django_db
def test_every_page_and_mail_speaks_in_the_name_of_another_vendor(
    bare: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KESTREL.items():
        monkeypatch.setenv(name, value)
    found = json.loads(run(bare, tmp_path, "-c", SCRIPT, products="").splitlines()[-1])
    pages: dict[str, tuple[int, str]] = found["pages"]
    assert len(pages) > 150
    assert {404, 403, 500, 200} <= {status for status, _text in pages.values()}
    for page, (_status, text) in pages.items():
        assert not OURS.search(text), f"{page}: {_around(text)}"
    titled = {page: re.search(r"<title>([^<]*)</title>", text) for page, (_status, text) in pages.items()}
    for page, title in titled.items():
        assert title is None or "Kestrel &amp; Works" in title[1], page
    assert sum(title is not None for title in titled.values()) > 100
    assert not OURS.search(found["readme"] + found["schema"])
    assert found["readme"].startswith("Kestrel & Works: all data of the account")

    mails = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in (tmp_path / "mail").glob("*.eml")
    ]
    assert len(mails) > 5
    for message in mails:
        text = f"{message['Subject']}\n{message['From']}\n" + "".join(
            str(part.get_content()) for part in message.walk() if part.get_content_maintype() == "text"
        )
        assert not OURS.search(text), f"{message['Subject']}: {_around(text)}"
        assert str(message["From"]).startswith(('"Kestrel & Works"', "Kestrel & Works")), message["From"]
        assert message["Reply-To"] == "help@kestrel.example"
        assert "The Kestrel & Works team" in text or "L’équipe Kestrel & Works" in text


def test_no_text_of_ours_names_a_vendor() -> None:
    """What no page above happens to show: texts in the catalogue and templates, mails of every kind among them."""
    root = Path(settings.BASE_DIR)
    with (root / "locale/fr/LC_MESSAGES/django.po").open("rb") as file:
        texts = [
            text
            for message in pofile.read_po(file)
            if message.id
            for text in (*_all(message.id), *_all(message.string))
        ]
    templates = [path.read_text() for path in (root / "templates").rglob("*") if path.is_file()]
    assert len(texts) > 2000
    assert len(templates) > 150
    assert [text for text in (*texts, *templates) if re.search(r"\bOffboard\b|blueprints\.example", text)] == []
    assert [text for text in templates if "Blueprints" in text] == []


def _all(text: object) -> tuple[str, ...]:
    return tuple(map(str, text)) if isinstance(text, (tuple, list)) else (str(text),)


def _around(text: str) -> str:
    found = OURS.search(text)
    return text[max(0, found.start() - 80) : found.end() + 40] if found else ""
