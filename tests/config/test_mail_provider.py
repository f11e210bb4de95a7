"""Mail by a provider over HTTP: what is queued here arrives there, and what the provider refuses is tried again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from accounts.mail.sending import send_due
from accounts.models import Notice
from config import mail_provider
from config.environment import Environment
from subscriptions.ending.cancellation import cancel
from tests.config.test_sentry import run
from tests.factories import NOW, owner_of, subscribe


@contextmanager
def fake_postmark() -> Iterator[tuple[str, dict[str, Any]]]:
    """A provider over HTTP: its address, and what it was sent. It answers with `status`."""
    said: dict[str, Any] = {"status": 200, "mails": [], "token": None}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said["token"] = self.headers["X-Postmark-Server-Token"]
            mail = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if said["status"] == 200:
                said["mails"].append(mail)
            answer = {"ErrorCode": 0, "Message": "OK", "MessageID": "1", "SubmittedAt": "", "To": mail["To"]}
            body = json.dumps(answer).encode()
            self.send_response(said["status"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", said
    finally:
        server.shutdown()
        server.server_close()


def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str) -> Environment:
    monkeypatch.setenv("EMAIL_URL", address)
    return Environment(tmp_path / "none.env")


@pytest.mark.django_db
def test_what_is_queued_arrives_at_the_provider_and_what_it_refuses_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    subscription = subscribe()
    cancel(subscription, by=owner_of(subscription), at=NOW)
    with fake_postmark() as (address, said):
        env = environment(monkeypatch, tmp_path, f"anymail+postmark://se%2Fcret@?api_url={address}")
        found = mail_provider.provider(env, timeout=5)
        assert found is not None
        backend, options = found
        with override_settings(EMAIL_BACKEND=backend, ANYMAIL=options):
            said["status"] = 503
            send_due(NOW)
            notice = Notice.objects.get()
            assert (notice.sent_at, notice.attempts) == (None, 1)
            said["status"] = 200
            send_due(notice.next_attempt_at)
    notice.refresh_from_db()
    assert notice.sent_at is not None
    (mail,) = said["mails"]
    assert said["token"] == "se/cret"
    assert notice.recipient is not None
    assert notice.recipient.email in mail["To"]
    assert mail["TextBody"]
    assert "Message-ID" in {header["Name"] for header in mail["Headers"]}


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("anymail+pigeon://key@", "one of brevo, mailersend, mailgun, postmark, resend, sendgrid"),
        ("anymail+postmark://", "a provider is anymail"),
        ("anymail+mailgun://key@", "Mailgun needs the sender's domain"),
    ],
)
def test_a_wrong_address_stops_the_start(
    address: str, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env = environment(monkeypatch, tmp_path, address)
    mail_provider.provider(env, timeout=5)
    with pytest.raises(ImproperlyConfigured, match=told):
        env.stop_if_wrong()


def test_the_settings_take_a_provider_and_without_the_extra_say_what_to_install() -> None:
    show = "import django; django.setup(); from django.conf import settings; print(settings.EMAIL_BACKEND)"
    done = run(show, EMAIL_URL="anymail+resend://key@")
    assert done.stdout.strip() == "anymail.backends.resend.EmailBackend", done.stderr
    done = run(f"import sys; sys.modules['anymail'] = None; {show}", EMAIL_URL="anymail+resend://key@")
    assert done.returncode == 1
    assert "uv sync --no-default-groups --extra mail" in done.stderr
