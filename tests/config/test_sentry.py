"""What Sentry is told of an error: where it was and what it was about, and nothing of anybody."""

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from django.conf import settings

ADDRESS, NAME, TOKEN = "olga@harbour.example", "Olga Owner", "off_secret_0123456789abcdef"

#: A server of ours, of which every page fails, in every way in which pages do.
SCRIPT = f"""
import logging
import django
django.setup()
import sentry_sdk
from django.db import IntegrityError, connection
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path
from django.contrib.auth.decorators import login_not_required
from accounts.core.log_context import about

@login_not_required
def page(request, token):
    address, name = request.POST["address"], request.POST["name"]
    with about(account="00000000-0000-0000-0000-000000000042"):
        try:
            int(address)
        except ValueError as error:
            raise LookupError(f"nobody is {{name}}, {{token}}") from error

def handler500(request):
    return HttpResponse(status=500)

urlpatterns = [path("fetch/<token>/", page)]
client = Client(raise_request_exception=False, headers={{"Authorization": "Bearer {TOKEN}", "Cookie": "s={TOKEN}"}})
with override_settings(ROOT_URLCONF="__main__", MIDDLEWARE=["accounts.core.log_context.RequestIdMiddleware"]):
    client.post("/fetch/{TOKEN}/?q={ADDRESS}", {{"address": "{ADDRESS}", "name": "{NAME}"}})
logging.getLogger("accounts").error("%s could not be told", "{ADDRESS}")
logging.getLogger("accounts").error("{ADDRESS} could not be told")
sentry_sdk.flush(10)
"""


@contextmanager
def fake_sentry() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A Sentry over HTTP: its address for us, and the events that it was sent."""
    events: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = zlib.decompress(body, wbits=31)
            lines = [json.loads(line) for line in body.splitlines() if line]
            events.extend(
                payload for head, payload in zip(lines[1::2], lines[2::2], strict=True) if head["type"] == "event"
            )
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://key@127.0.0.1:{server.server_port}/1", events
    finally:
        server.shutdown()
        server.server_close()


def run(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_an_error_is_told_with_its_place_and_without_anybodys_name_address_or_token() -> None:
    with fake_sentry() as (dsn, events):
        done = run(SCRIPT, SENTRY_DSN=dsn)
    assert done.returncode == 0, done.stderr
    assert len(events) == 3
    sent = json.dumps(events)
    # Lines of source are the script's own, and hold what it says; of the application they hold nothing of anybody.
    for secret in (ADDRESS, NAME, TOKEN, "olga", "harbour", "Bearer", "vars", "cookies", "sys.argv"):
        assert secret.lower() not in sent.lower(), secret
    of_page, of_log, put_together = events
    types = [value["type"] for value in of_page["exception"]["values"]]
    assert types == ["ValueError", "LookupError"]
    assert of_page["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "page"
    assert of_page["transaction"] == "/fetch/{token}/"
    assert of_page["tags"].keys() >= {"request"}
    assert "request" not in of_page
    assert of_log["logentry"] == {"message": "%s could not be told"}
    assert put_together["logentry"] == {"message": "(left out: it may name somebody)"}


@pytest.mark.parametrize(
    ("setting", "told"),
    [("nonsense", "SENTRY_DSN is no address of Sentry's"), ("", "")],
)
def test_a_wrong_address_stops_the_start_and_none_is_fine(setting: str, told: str) -> None:
    done = run("import django; django.setup()", SENTRY_DSN=setting)
    assert (done.returncode, told in done.stderr) == ((1, True) if told else (0, True))


def test_without_the_sdk_the_start_says_what_to_install() -> None:
    script = "import sys; sys.modules['sentry_sdk'] = None; import django; django.setup()"
    done = run(script, SENTRY_DSN="http://key@127.0.0.1:9/1")
    assert done.returncode == 1
    assert "uv sync --no-default-groups --extra sentry" in done.stderr
