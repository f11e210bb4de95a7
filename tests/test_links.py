"""Every link of every page leads somewhere: pages and desk, walked by each sign-in of the demo.

Followed are links, forms that ask (GET) with what stands in them, and redirects; style sheets, scripts and pictures
are looked for. What is of a kind is followed a few times (`OF_A_KIND`): the sixtieth blueprint is the same code as the
first. Of a list each filter is followed, but not each combination of filters. Nothing is posted.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urldefrag, urlencode, urljoin, urlsplit

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.urls import Resolver404, resolve

from accounts.core import clock
from accounts.customers.history import Actor
from accounts.exports import export
from accounts.exports.builder import export_due
from accounts.models import Account, User
from accounts.support.messages import write_further
from accounts.support.requests import RequestKind, ask
from tests.factories import BlueprintFactory

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

#: Whose account is switched off: the page at `/` that says so is a refusal (403), and the only one that they meet.
DEACTIVATED = {"owner@left.example": {"/": 403}}
#: So many addresses of one route, with a query of the same keys, are followed; of accounts at the desk all: each stands
#: in another state.
OF_A_KIND = 2
ALL_OF = frozenset({"accounts_account_change"})
#: Far more than anybody's pages; a walk that comes here has found pages without end.
MOST = 1500
STATIC = "/static/"
HOST = "http://testserver"

EMAILS = (
    "owner@direct.example",
    "admin@direct.example",
    "member@direct.example",
    "owner@cancelling.example",
    "owner@new.example",
    "owner@two.example",
    "owner@leaving.example",
    "owner@trial.example",
    "owner@ended.example",
    "owner@sales.example",
    "owner@aws.example",
    "owner@leaving-aws.example",
    "owner@github.example",
    "owner@left.example",
    "agent@support.example",
    "lead@support.example",
    "lead2@support.example",
    "root@support.example",
)


@pytest.fixture(scope="module")
def demo(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The demo's data for all walks, which change nothing: more pages than one, an export, and a superuser besides."""
    with django_db_blocker.unblock(), transaction.atomic():
        call_command("demo")
        User.objects.create_superuser("root@support.example", "demo")
        account = Account.objects.get(name="Harbour Diagrams")
        owner = Actor.owner(account.owner())  # type: ignore[arg-type]  # the demo gives it one
        for number in range(70):
            BlueprintFactory(account=account, name=f"Blueprint {number}")
        for number in range(45):
            at = clock.now() - timedelta(hours=number)
            request, _new = ask(account, kind=RequestKind.OTHER, message=f"Question {number}", by=owner, at=at)
            for further in range(number % 8):
                write_further(request, text=f"And {further}", by=owner, at=at)
        export.ask(account, by=owner, at=clock.now() - timedelta(minutes=1))
        export_due(clock.now())
        yield
        transaction.set_rollback(True)


def test_every_demo_sign_in_is_walked(demo: None) -> None:
    assert set(EMAILS) == set(User.objects.values_list("email", flat=True)) - {None}


@pytest.mark.parametrize("email", EMAILS)
def test_every_link_of_every_page_leads_somewhere(email: str, demo: None) -> None:
    user = User.objects.get(email=email)
    client = Client(raise_request_exception=False)
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    walk = Walk(client, {"/", "/admin/" if user.is_staff else "/user/support/"})

    walk.go()

    wrong = {url: status for url, status in walk.answers.items() if status >= 400}
    assert wrong == DEACTIVATED.get(email, {}), "\n".join(f"{url} on {walk.found_on.get(url)}" for url in wrong)
    assert walk.missing == []
    assert len(walk.answers) > 8


def test_a_stranger_finds_no_dead_link_either(demo: None) -> None:
    walk = Walk(Client(raise_request_exception=False), {"/", "/admin/", "/auth/password/reset/"})
    walk.go()
    assert {url: status for url, status in walk.answers.items() if status >= 400} == {}
    assert walk.missing == []


@dataclass
class Walk:
    """All pages that can be reached from some, each seen once."""

    client: Client
    begin: set[str]
    #: The status of each address, and the page on which it was found.
    answers: dict[str, int] = field(default_factory=dict)
    found_on: dict[str, str] = field(default_factory=dict)
    #: How many addresses of a kind were found.
    of_a_kind: Counter[object] = field(default_factory=Counter)
    #: Static files that are not there, and places on a page that are not on it.
    missing: list[str] = field(default_factory=list)

    def go(self) -> None:
        ahead = deque(sorted(self.begin))
        while ahead:
            url = ahead.popleft()
            if url in self.answers:
                continue
            assert len(self.answers) < MOST, f"pages without end: {list(self.answers)[-20:]}"
            for found in self._visit(url):
                if found not in self.found_on and self._is_worth_it(found):
                    self.found_on[found] = url
                    ahead.append(found)

    def _is_worth_it(self, url: str) -> bool:
        """Whether not enough of its kind have been followed."""
        path, query = urlsplit(url).path, parse_qsl(urlsplit(url).query, keep_blank_values=True)
        try:
            name = resolve(path).url_name
        except Resolver404:
            return True
        if len(query) > 1:
            return False
        kind = (name, *(key for key, _value in query))
        self.of_a_kind[kind] += 1
        return (name in ALL_OF and not query) or self.of_a_kind[kind] <= OF_A_KIND

    def _visit(self, url: str) -> Iterator[str]:
        response = self.client.get(url)
        self.answers[url] = response.status_code
        if response.status_code in (301, 302, 303, 307, 308):
            yield from self._ours(url, response["Location"])
        if not response["Content-Type"].startswith("text/html"):
            # What is streamed fails when it is read.
            assert response.getvalue() is not None
            return
        page = Page()
        page.feed(response.content.decode())
        for address in page.links:
            yield from self._ours(url, address)
        self.missing += [f"{place} on {url}" for place in page.places if place not in page.ids]

    def _ours(self, base: str, address: str) -> Iterator[str]:
        """The address as it is asked for, if it is one of ours to follow."""
        found = urldefrag(urljoin(HOST + base, address)).url
        if not found.startswith(HOST + "/"):
            return
        found = found.removeprefix(HOST)
        if found.startswith(STATIC):
            if finders.find(urlsplit(found).path.removeprefix(STATIC)) is None:
                self.missing.append(f"{found} on {base}")
            return
        yield found


class Page(HTMLParser):
    """What a page leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        #: Where on the page its own links point to.
        self.places: set[str] = set()
        self._form: tuple[str, dict[str, str]] | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if "id" in given:
            self.ids.add(given["id"])
        match tag:
            case "a" if given.get("href", "").startswith("#"):
                self.places.add(given["href"][1:])
                # `#` alone is the top of the page.
                self.places.discard("")
            case "a" | "link" if given.get("href"):
                self.links.append(given["href"])
            case "img" | "script" | "iframe" if given.get("src"):
                self.links.append(given["src"])
            case "form" if given.get("method", "get").lower() == "get":
                self._form = (given.get("action", ""), {})
            case "input" | "select" | "textarea" if self._form and given.get("name"):
                # What was never typed is looked for, as who presses the button without a word.
                self._form[1][given["name"]] = given.get("value", "")
            case _:
                pass

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._form:
            action, fields = self._form
            # Each field by itself: together they may be more than is followed.
            self.links += [f"{action}?{urlencode({name: value})}" for name, value in fields.items()] or [action]
            self._form = None
