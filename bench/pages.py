"""pages: statements and server time of the pages people see most, as an account's belongings grow.

Measured for an account with 10, and for one with 1,000, blueprints, connections and lines of history: the number of
SQL statements of one request (sessions and people included), and the time of a request in milliseconds, in one
thread through Django's test client, middleware and templates included, the network not. The time may grow (a
page of 60 cards has more to draw than one of 10); the number of statements may not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.blueprints.models import Blueprint, CloudConnection, CloudProvider, Grid
from accounts.core import clock
from accounts.customers.history import Actor, ActorKind
from accounts.models import Account, Event, Membership, Role, User
from bench import filling
from bench.measuring import Goal, Result, Row, Samples, interleaved, median_seconds, require
from bench.nothing_due import FEW, FEW_ENDING
from bench.stage import API_TOKEN, Stage, say
from subscriptions.models import Channel, Interval, Plan
from subscriptions.starting import start

SIZES = (10, 1_000)
DATABASE = "pages"
#: Issue 2: Subscription Settings takes at most so many statements.
MOST_STATEMENTS_OF_SETTINGS = 12


@dataclass(frozen=True)
class Page:
    """A request that can be repeated: its name, and what asks for it and checks the answer."""

    name: str
    ask: Callable[[], None]


def run(stage: Stage) -> Result:
    """Count and time each page at both sizes."""
    source = filling.filled(stage, subscriptions=FEW, ending=FEW_ENDING)
    stage.copy(source, DATABASE)
    stage.use(DATABASE)
    accounts = {size: account_with(size) for size in SIZES}
    with stage.connect(DATABASE) as bare:
        bare.execute("VACUUM (ANALYZE)")
    pages = {size: _pages(account) for size, account in accounts.items()}
    result = Result()
    for place, few in enumerate(pages[SIZES[0]]):
        say(f"pages: {few.name} …")
        candidates = {f"{few.name}, {size:,} of each": pages[size][place] for size in SIZES}
        counts = {name: _statements(page) for name, page in candidates.items()}
        times = interleaved(
            stage.scale.rounds,
            {name: partial(median_seconds, page.ask, calls=stage.scale.calls) for name, page in candidates.items()},
        )
        for name in candidates:
            milliseconds = Samples(tuple(times[name])).each(lambda value: value * 1000)
            result.rows.append(Row(f"{name}: {counts[name]} statements", "ms", milliseconds))
        fewest, most = min(counts.values()), max(counts.values())
        result.goals.append(Goal(f"{few.name}: statements more with more data", most - fewest, at_most=0))
        if few.name == "subscription":
            result.goals.append(Goal("subscription: statements", most, at_most=MOST_STATEMENTS_OF_SETTINGS))
        result.facts[few.name] = counts
    stage.drop(DATABASE)
    return result


def account_with(size: int) -> Account:
    """An account on Pro with so many blueprints, connections and lines of history; its owner is its one member."""
    at = clock.now()
    begun = at - timedelta(days=100)
    account = Account.objects.create(name=f"Account of {size}", created_at=begun)
    owner = User.objects.create(email=f"owner-of-{size}@bench.example", name="Olga Owner", password="!")  # noqa: S106
    Membership.objects.create(account=account, user=owner, role=Role.OWNER)
    start(
        account,
        plan=Plan.objects.get(code="pro"),
        channel=Channel.DIRECT,
        interval=Interval.MONTHLY,
        by=Actor.system(),
        at=begun,
    )
    components = [
        {"id": str(place), "type": "ec2", "label": "web", "x": place, "y": 0, "links": []} for place in range(20)
    ]
    grids, providers = list(Grid), list(CloudProvider)
    Blueprint.objects.bulk_create(
        Blueprint(account=account, name=f"Blueprint {n}", grid=grids[n % 2], components=components) for n in range(size)
    )
    CloudConnection.objects.bulk_create(
        CloudConnection(account=account, name=f"production {n}", provider=providers[n % 2]) for n in range(size)
    )
    Event.objects.bulk_create(
        Event(
            account=account,
            kind="blueprint.converted",
            at=begun + timedelta(minutes=n),
            actor_kind=ActorKind.OWNER,
            actor_id=owner.pk,
        )
        for n in range(size)
    )
    return account


def _pages(account: Account) -> list[Page]:
    browser, product = Client(), Client(headers={"Authorization": f"Bearer {API_TOKEN}"})
    owner = account.owner()
    require(owner is not None, "the account has no owner")
    browser.force_login(owner, backend=settings.AUTHENTICATION_BACKENDS[0])  # type: ignore[arg-type]
    pages = [Page(name, partial(_ask, browser, reverse(name))) for name in ("home", "subscription", "cancellation")]
    address = reverse("api_entitlements", args=[account.pk])
    return [*pages, Page("api_entitlements", partial(_ask, product, address))]


def _ask(client: Client, address: str) -> None:
    status = client.get(address).status_code
    require(status == 200, f"{address} answered {status}")


def _statements(page: Page) -> int:
    page.ask()
    with CaptureQueriesContext(connection) as captured:
        page.ask()
    return len(captured)
