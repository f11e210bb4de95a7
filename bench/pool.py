"""pool: what pooled connections to the database are worth to the entitlement API.

Measured are answers a second, and the median and 99th percentile of their time in milliseconds, of
GET /api/accounts/<uuid>/entitlements/ over HTTP on 127.0.0.1, from the web server exactly as `make run` starts it,
with the product's settings and with `bench.unpooled`. Closed loop: as many clients as the server has threads, each on a
connection of its own that it keeps, each asking again as soon as it is answered; in turn on both servers, which run all
the while. Every answer is read and has to be the right one. The clients are Python threads on the same cores, so the
numbers are of this machine and these clients; the ratio is what counts.
"""

import http.client
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from django.urls import reverse

from bench import filling
from bench.measuring import Goal, Result, Row, Samples, interleaved, require
from bench.nothing_due import FEW, FEW_ENDING
from bench.pages import account_with
from bench.serving import START_SECONDS, THREADS, web_server
from bench.stage import API_TOKEN, Stage, say
from config.stack import run as stack

DATABASE = "pool"
CLIENTS = THREADS
#: Asked of each server before anything counts: first connections, first imports.
WARM_UP_SECONDS = 0.5
#: engineering.md 5.2 found a factor of five for an insert; less than this and the pool has been lost.
AT_LEAST = 2.0


@dataclass(frozen=True)
class Load:
    """One measurement: answers a second, their times in milliseconds, and the clients' share of one core."""

    per_second: float
    median: float
    slowest_hundredth: float
    client_share: float


def run(stage: Stage) -> Result:
    """Compare the web server with and without the pool."""
    source = filling.filled(stage, subscriptions=FEW, ending=FEW_ENDING)
    stage.copy(source, DATABASE)
    stage.use(DATABASE)
    account = account_with(10)
    address = reverse("api_entitlements", args=[account.pk])
    stage.release()
    with ExitStack() as running:
        ports = {
            "pool": running.enter_context(web_server(stage, DATABASE)).port,
            "a connection each request": running.enter_context(
                web_server(stage, DATABASE, settings="bench.unpooled")
            ).port,
        }
        for port in ports.values():
            _load(port, address, str(account.pk), WARM_UP_SECONDS)
        say(f"pool: {stage.scale.rounds} rounds …")
        found = interleaved(
            stage.scale.rounds,
            {
                name: partial(_load, port, address, str(account.pk), stage.scale.load_seconds)
                for name, port in ports.items()
            },
        )
    stage.drop(DATABASE)
    result = Result(facts={"clients": CLIENTS, "processes": stack.WEB_PROCESSES, "threads each": stack.WEB_THREADS})
    for name, loads in found.items():
        result.rows += [
            Row(name, "answers/s", Samples(tuple(load.per_second for load in loads))),
            Row("  median answer", "ms", Samples(tuple(load.median for load in loads))),
            Row("  99th percentile", "ms", Samples(tuple(load.slowest_hundredth for load in loads))),
            Row("  clients' share of a core", "%", Samples(tuple(load.client_share * 100 for load in loads))),
        ]
    pooled, unpooled = (statistics.median(load.per_second for load in loads) for loads in found.values())
    result.goals.append(Goal("pool / a connection each request", pooled / unpooled, at_least=AT_LEAST))
    return result


def _load(port: int, address: str, account: str, length: float) -> Load:
    """Ask for so many seconds."""
    begun, used = time.perf_counter(), time.process_time()
    until = begun + length
    with ThreadPoolExecutor(CLIENTS) as clients:
        answered = [
            taken
            for client in [clients.submit(_ask_until, until, port, address, account) for _ in range(CLIENTS)]
            for taken in client.result()
        ]
    passed, used = time.perf_counter() - begun, time.process_time() - used
    hundredths = statistics.quantiles(answered, n=100)
    return Load(len(answered) / passed, hundredths[49] * 1000, hundredths[98] * 1000, used / passed)


def _ask_until(until: float, port: int, address: str, account: str) -> list[float]:
    """Asks again and again over one connection. Returns how long each answer took, in seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    taken: list[float] = []
    while (asked := time.perf_counter()) < until:
        connection.request("GET", address, headers={"Authorization": f"Bearer {API_TOKEN}"})
        response = connection.getresponse()
        body = response.read()
        taken.append(time.perf_counter() - asked)
        require(response.status == 200, f"the API answered {response.status}: {body[:200]!r}")
        answer = json.loads(body)
        require(answer["account"] == account and answer["plan"] == "pro", f"the API answered {answer}")
    connection.close()
    return taken
