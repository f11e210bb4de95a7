"""entitlements: the API's answer to a token, beside an empty page of somebody who has signed in.

Measured are answers a second, and the median of their time in milliseconds, of
GET /api/v1/accounts/<uuid>/entitlements/ with a token that is a row, and of the home page of an account that has
nothing, with a session; over HTTP on 127.0.0.1 from one web server exactly as `make run` starts it, in turn. Closed
loop: as many clients as the server has threads, each on a connection of its own that it keeps. Every answer is read and
has to be the right one.
"""

import http.client
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.test import Client
from django.urls import reverse

from accounts.api import tokens
from accounts.api.problems import ROOT
from accounts.api.tokens import Scope
from accounts.core import clock
from accounts.customers.history import Actor
from bench import filling
from bench.measuring import Goal, Result, Row, Samples, interleaved, require
from bench.nothing_due import FEW, FEW_ENDING
from bench.pages import account_with
from bench.serving import START_SECONDS, THREADS, web_server
from bench.stage import Stage, say

DATABASE = "entitlements"
#: Asked before anything counts: first connections, first imports, templates.
WARM_UP_SECONDS = 0.5
#: A product asks it before it lets anybody do anything: it may not cost much more than a page that does nothing.
AT_LEAST = 0.7


@dataclass(frozen=True)
class Asked:
    """What is asked for, by whom, and what the right answer has in it."""

    address: str
    headers: dict[str, str]
    says: bytes


@dataclass(frozen=True)
class Load:
    """One measurement: answers a second, and their median time in milliseconds."""

    per_second: float
    median: float


def run(stage: Stage) -> Result:
    """Compare the two on one server."""
    stage.copy(filling.filled(stage, subscriptions=FEW, ending=FEW_ENDING), DATABASE)
    stage.use(DATABASE)
    asked = _asked()
    stage.release()
    with web_server(stage, DATABASE) as server:
        for each in asked.values():
            _load(server.port, each, WARM_UP_SECONDS)
        say(f"entitlements: {stage.scale.rounds} rounds …")
        candidates: dict[str, Callable[[], Load]] = {
            name: partial(_load, server.port, each, stage.scale.load_seconds) for name, each in asked.items()
        }
        found = interleaved(stage.scale.rounds, candidates)
    stage.drop(DATABASE)
    result = Result(facts={"clients": THREADS})
    for name, loads in found.items():
        result.rows += [
            Row(name, "answers/s", Samples(tuple(load.per_second for load in loads))),
            Row("  median answer", "ms", Samples(tuple(load.median for load in loads))),
        ]
    by_token, page = (statistics.median(load.per_second for load in loads) for loads in found.values())
    result.goals.append(Goal("entitlements by token / empty signed-in page", by_token / page, at_least=AT_LEAST))
    return result


def _asked() -> dict[str, Asked]:
    account = account_with(0)
    owner = account.owner()
    require(owner is not None, "the account has no owner")
    browser = Client()
    browser.force_login(owner, backend=settings.AUTHENTICATION_BACKENDS[0])  # type: ignore[arg-type]  # asked above
    session = f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"
    _row, token = tokens.make("bench", [Scope.ENTITLEMENTS_READ], by=Actor.system(), at=clock.now())
    return {
        "entitlements by token": Asked(
            f"{ROOT}accounts/{account.pk}/entitlements/", {"Authorization": f"Bearer {token}"}, b'"plan":"pro"'
        ),
        "empty signed-in page": Asked(reverse("home"), {"Cookie": session}, account.name.encode()),
    }


def _load(port: int, asked: Asked, length: float) -> Load:
    """Ask for so many seconds."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as clients:
        asking = [clients.submit(_ask_until, begun + length, port, asked) for _ in range(THREADS)]
        answered = [taken for client in asking for taken in client.result()]
    return Load(len(answered) / (time.perf_counter() - begun), statistics.median(answered) * 1000)


def _ask_until(until: float, port: int, asked: Asked) -> list[float]:
    """Asks again and again over one connection. Returns how long each answer took, in seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    taken: list[float] = []
    while (begun := time.perf_counter()) < until or not taken:
        connection.request("GET", asked.address, headers=asked.headers)
        response = connection.getresponse()
        body = response.read()
        taken.append(time.perf_counter() - begun)
        require(response.status == 200 and asked.says in body, f"{asked.address} answered {response.status}")
    connection.close()
    return taken
