"""A person at a browser: Chromium, a window that watches for faults, and signing in.

Every window fails its test on a console error (a breach of the Content-Security-Policy is one), an uncaught
exception, a 5xx answer, or a picture or style sheet that does not load.
"""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests.browser import chromium
from tests.factories import PASSWORD

#: An answer that does not come within this many milliseconds never will.
PATIENCE = 10_000

#: Opens a window; takes what `Browser.new_context` takes.
OpenWindow = Callable[..., Page]
#: Opens a window in which this person is signed in already.
OpenAs = Callable[..., Page]


@pytest.fixture(scope="package")
def browser(django_db_setup: None) -> Iterator[Browser]:
    """One Chromium for all. Skips where there is none, but fails where CI must have one."""
    executable = chromium.find()
    if executable is None:
        reason = "Chromium is not installed (Debian: apt install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    contents = getattr(connection, "_test_serialized_contents", "[]")
    with pytest.MonkeyPatch.context() as patch, chromium.launched(executable) as browser:
        # Playwright keeps an event loop in this thread. For Django that is a reason to refuse its database, and to
        # open another connection, which must be told what to put back after a flush.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        patch.setattr(connection, "_test_serialized_contents", contents, raising=False)
        yield browser


@pytest.fixture
def open_window(browser: Browser, live_server: LiveServer) -> Iterator[OpenWindow]:
    """Opens windows of separate visitors, watched until the test ends."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_window(**options: Any) -> Page:
        context = browser.new_context(base_url=live_server.url, **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", partial(_note_console, faults))
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        page.on("response", partial(_note_response, faults))
        return page

    yield open_window
    for context in contexts:
        context.close()
    assert faults == []


def _note_console(faults: list[str], message: ConsoleMessage) -> None:
    # Answers are looked at one by one below; here they would only come without their kind.
    if message.type == "error" and not message.text.startswith("Failed to load resource"):
        faults.append(f"{message.location.get('url')}: {message.text}")


def _note_response(faults: list[str], response: Response) -> None:
    document = response.request.resource_type == "document"
    if response.status >= (500 if document else 400):
        faults.append(f"{response.url}: {response.status}")


@pytest.fixture
def open_as(open_window: OpenWindow, live_server: LiveServer, sign_in: Callable[[User | None], Client]) -> OpenAs:
    """Opens a window in which this person is signed in, without the sign-in page."""

    def open_as(user: User, **options: Any) -> Page:
        page = open_window(**options)
        cookie = sign_in(user).cookies[settings.SESSION_COOKIE_NAME]
        page.context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
        return page

    return open_as


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """The server's clock, which goes on ticking from wherever `move_to` puts it."""
    with time_machine.travel(datetime.now(UTC), tick=True) as traveller:
        yield traveller


def enter(page: Page, user: User, password: str = PASSWORD) -> None:
    """Sign in through the sign-in page, which is on the screen."""
    page.locator("input[name=login]").fill(user.email)
    page.locator("input[name=password]").fill(password)
    page.locator("main button").click()
