"""intake: what accepting a GitHub delivery costs, as a share of the floor in the same run.

Measured are deliveries acknowledged a second, and the median and 99th percentile of their time in milliseconds, of
POST /marketplace/github/webhook/ over HTTP on 127.0.0.1, on two servers in turn: the web server exactly as `make run`
starts it, and the floor, the same command with the same pool, database and table, under a bare Django view without any
middleware (`bench.floor_door`). Closed loop: 16 clients, each on a connection of its own that it keeps, each sending
the next delivery as soon as the last one is answered. Deliveries are what GitHub sends, about 2 kB; every tenth is the
one before it again, so that both are often under way at once.

Each slice of a round begins with an empty table, and ends with a look at it: every delivery acknowledged is there
exactly once, byte for byte, and nothing else is. After the last round Redis is stopped, and the webhook measured once
more: then the nudge to the worker can only fail, and still everything is accepted.
"""

import hashlib
import itertools
import json
import socket
import statistics
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from django.urls import reverse

from bench.measuring import Goal, Result, Row, Samples, interleaved, require
from bench.serving import START_SECONDS, WebServer, web_server
from bench.stage import EMPTY, FULL, Stage, say
from config import embedded, stack
from marketplace.github.signature import sign

DATABASE = "intake"
SECRET = "bench-webhook-secret"  # noqa: S105  # opens nothing but this run's own server
#: Twice the server's threads: there is always a delivery waiting.
CLIENTS = 16
ROUNDS = 9
#: A round on one server, in seconds. It is cut in slices in which the servers take turns, for two things are chance:
#: what else the machine does just then, and how a slice's connections fall to the server's processes.
SECONDS_FULL, SECONDS_SMALL = 5.0, 0.5
SLICES_FULL, SLICES_SMALL = 5, 1
#: A round ends early when so many deliveries were sent: several times what two cores can take.
MOST_PER_SECOND = 4_000
#: One in so many is the one before it again.
REPEATED_EVERY = 10
WARM_UP_SECONDS = 1.0
#: Issue 3.
AT_LEAST = 0.85
#: Whoever waited for an absent Redis would need a second for each answer.
WITHOUT_REDIS_AT_MOST_MS = 250


@dataclass(frozen=True)
class Delivery:
    """A request, ready to be sent."""

    guid: str
    digest: bytes
    request: bytes


@dataclass(frozen=True)
class Load:
    """One measurement, in seconds: of each answer, of the clock, and of processor time."""

    answers: tuple[float, ...]
    passed: float
    server_used: float
    clients_used: float

    @property
    def per_second(self) -> float:
        return len(self.answers) / self.passed

    @property
    def server_each(self) -> float:
        return self.server_used / len(self.answers)

    def percentile(self, percent: int) -> float:
        """The time within which so many in a hundred were answered."""
        return statistics.quantiles(self.answers, n=100)[percent - 1]


def _together(loads: Iterable[Load]) -> Load:
    """A round, from its slices."""
    loads = list(loads)
    return Load(
        answers=tuple(itertools.chain.from_iterable(load.answers for load in loads)),
        passed=sum(load.passed for load in loads),
        server_used=sum(load.server_used for load in loads),
        clients_used=sum(load.clients_used for load in loads),
    )


def run(stage: Stage) -> Result:
    """Compare the webhook with its floor, and with itself while Redis is away."""
    stage.copy(EMPTY, DATABASE)
    seconds, slices = (SECONDS_FULL, SLICES_FULL) if stage.scale is FULL else (SECONDS_SMALL, SLICES_SMALL)
    with ExitStack() as running:
        folder = stage.folder / DATABASE
        folder.mkdir(mode=0o711)
        redis = running.enter_context(embedded.valkey(folder))
        start = partial(web_server, stage, DATABASE, redis=redis.url)
        servers = {
            "the webhook": running.enter_context(start()),
            "the floor": running.enter_context(start(settings="bench.floor")),
        }
        for server in servers.values():
            _load(stage, server, WARM_UP_SECONDS)
        say(f"intake: {ROUNDS} rounds …")
        measure = {name: partial(_load, stage, server, seconds / slices) for name, server in servers.items()}
        found: dict[str, list[Load]] = {name: [] for name in servers}
        for _round in range(ROUNDS):
            for name, loads in interleaved(slices, measure).items():
                found[name].append(_together(loads))
        redis.stop()
        found["the webhook, Redis stopped"] = [_load(stage, servers["the webhook"], seconds)]
    stage.drop(DATABASE)
    return _result(found)


def _result(found: dict[str, list[Load]]) -> Result:
    webhook, floor, without_redis = found.values()
    result = Result(
        facts={"clients": CLIENTS, "processes": stack.WEB_PROCESSES, "threads each": stack.WEB_THREADS},
    )
    for name, loads in found.items():
        rows: dict[tuple[str, str], Callable[[Load], float]] = {
            (name, "deliveries/s"): lambda load: load.per_second,
            ("  median answer", "ms"): lambda load: load.percentile(50) * 1000,
            ("  99th percentile", "ms"): lambda load: load.percentile(99) * 1000,
            ("  slowest answer", "ms"): lambda load: max(load.answers) * 1000,
            ("  web server's processor time each", "ms"): lambda load: load.server_each * 1000,
            ("  clients' share of a core", "%"): lambda load: load.clients_used / load.passed * 100,
        }
        result.rows += [
            Row(what, unit, Samples(tuple(figure(load) for load in loads))) for (what, unit), figure in rows.items()
        ]
    rounds = zip(webhook, floor, strict=True)
    share = Samples(tuple(ours.per_second / least.per_second for ours, least in rounds))
    result.rows.append(Row("the webhook / the floor, round by round", "", share))
    result.goals = [
        Goal("the webhook / the floor", share.median, at_least=AT_LEAST),
        Goal(
            "99th percentile without Redis, ms",
            without_redis[0].percentile(99) * 1000,
            at_most=WITHOUT_REDIS_AT_MOST_MS,
        ),
    ]
    return result


def _load(stage: Stage, server: WebServer, seconds: float) -> Load:
    """Send for so many seconds, then compare the table with what was acknowledged."""
    deliveries = list(_deliveries(int(seconds * MOST_PER_SECOND)))
    with stage.connect(DATABASE) as connection:
        connection.execute("TRUNCATE marketplace_delivery")
        connection.execute("CHECKPOINT")
    waiting = iter(deliveries)
    begun, used, server_used = time.perf_counter(), time.process_time(), server.used()
    with ThreadPoolExecutor(CLIENTS) as clients:
        until = begun + seconds
        answered = [
            answer
            for client in [clients.submit(_send_until, until, server.port, waiting) for _ in range(CLIENTS)]
            for answer in client.result()
        ]
    passed, used, server_used = (
        time.perf_counter() - begun,
        time.process_time() - used,
        server.used() - server_used,
    )
    _check(stage, [delivery for delivery, _taken in answered])
    return Load(tuple(taken for _delivery, taken in answered), passed, server_used, used)


def _check(stage: Stage, acknowledged: list[Delivery]) -> None:
    """Everything acknowledged is in the table exactly once, as it was sent, and nothing else."""
    with stage.connect(DATABASE) as connection:
        rows = connection.execute("SELECT delivery_id, sha256(body) FROM marketplace_delivery").fetchall()
    kept = {guid: bytes(digest) for guid, digest in rows}
    sent = {delivery.guid: delivery.digest for delivery in acknowledged}
    require(len(rows) == len(kept), "a delivery is in the table twice")
    require(kept == sent, f"{len(sent)} deliveries were acknowledged, {len(kept)} are in the table")
    require(len(acknowledged) > len(sent), "no delivery was sent twice")


def _send_until(until: float, port: int, waiting: Iterator[Delivery]) -> list[tuple[Delivery, float]]:
    """Sends one after the other over one connection. Returns each with the time that its answer took, in seconds."""
    answered: list[tuple[Delivery, float]] = []
    with socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for delivery in waiting:
            if (sent := time.perf_counter()) >= until:
                break
            connection.sendall(delivery.request)
            answer = _read_answer(connection)
            answered.append((delivery, time.perf_counter() - sent))
            require(answer.startswith(b"HTTP/1.1 202 "), f"the server answered {answer[:300]!r}")
    return answered


def _read_answer(connection: socket.socket) -> bytes:
    """A whole answer. Not by `http.client`, which would take more of the cores than the answers that it reads."""
    answer = b""
    while True:
        received = connection.recv(65_536)
        require(received != b"", "the server closed the connection")
        answer += received
        head, end, body = answer.partition(b"\r\n\r\n")
        if end:
            _, found, length = head.lower().partition(b"content-length:")
            require(found != b"", f"an answer without a length: {head!r}")
            if len(body) >= int(length.split(b"\r\n", 1)[0]):
                return answer


def _deliveries(count: int) -> Iterator[Delivery]:
    """So many, every tenth being the one before it again."""
    address = reverse("github_webhook")
    for number in itertools.count(1):
        delivery = _delivery(address, number)
        for _time in range(2 if number % (REPEATED_EVERY - 1) == 0 else 1):
            yield delivery
            count -= 1
            if not count:
                return


def _delivery(address: str, number: int) -> Delivery:
    guid = str(uuid.uuid4())
    body = _BODY.replace(b"7000000", b"%d" % (7_000_000 + number))
    signature = sign(SECRET, body)
    head = (
        f"POST {address} HTTP/1.1\r\nHost: testserver\r\nAccept: */*\r\nUser-Agent: GitHub-Hookshot/bench\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-GitHub-Delivery: {guid}\r\nX-GitHub-Event: marketplace_purchase\r\nX-GitHub-Hook-ID: 7\r\n"
        f"X-GitHub-Hook-Installation-Target-Type: marketplace_listing\r\nX-Hub-Signature-256: {signature}\r\n\r\n"
    )
    return Delivery(guid, hashlib.sha256(body).digest(), head.encode() + body)


def _user(login: str) -> dict[str, object]:
    """A GitHub account with all its addresses, as the sender of a delivery."""
    api = f"https://api.github.com/users/{login}"
    lists = ("followers", "gists", "starred", "subscriptions", "orgs", "repos", "events", "received_events")
    return {
        "login": login,
        "id": 7_000_000,
        "node_id": "MDQ6VXNlcjcwMDAwMDA=",
        "avatar_url": "https://avatars.githubusercontent.com/u/7000000?v=4",
        "gravatar_id": "",
        "url": api,
        "html_url": f"https://github.com/{login}",
        **{f"{name}_url": f"{api}/{name}" for name in lists},
        "type": "User",
        "user_view_type": "public",
        "site_admin": False,
        "email": f"{login}@example.com",
    }


def _purchase(cents: int) -> dict[str, object]:
    return {
        "account": {
            "type": "Organization",
            "id": 7_000_000,
            "node_id": "MDEyOk9yZ2FuaXphdGlvbjcwMDAwMDA=",
            "login": "harbour",
            "organization_billing_email": "billing@example.com",
        },
        "billing_cycle": "monthly",
        "unit_count": 1,
        "on_free_trial": False,
        "free_trial_ends_on": None,
        "next_billing_date": "2026-12-05T00:00:00+00:00",
        "plan": {
            "id": 435,
            "name": "Pro",
            "description": "For teams",
            "monthly_price_in_cents": cents,
            "yearly_price_in_cents": cents * 10,
            "price_model": "FLAT_RATE",
            "has_free_trial": True,
            "unit_name": None,
            "bullets": ["Everything in Free", "Live connections"],
        },
    }


#: A change of plan, as GitHub writes it. The account's id is put in for each delivery.
_BODY = json.dumps(
    {
        "action": "changed",
        "effective_date": "2026-11-05T00:00:00+00:00",
        "sender": _user("harbourmaster"),
        "marketplace_purchase": _purchase(2900),
        "previous_marketplace_purchase": _purchase(900),
    }
).encode()
