"""Clients that send deliveries to the webhook, and what was measured of the answers.

Closed loop: each client keeps a connection of its own and sends the next delivery as soon as the last one is answered.
"""

import itertools
import socket
import statistics
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.door.github import Delivery
from bench.measuring import require
from bench.serving import START_SECONDS, WebServer
from bench.stage import Stage

#: Twice the server's threads: there is always a delivery waiting.
CLIENTS = 16
#: A measurement ends early when so many deliveries were sent a second: several times what two cores can take.
MOST_PER_SECOND = 4_000
#: How a delivery is acknowledged: to GitHub by the one, to Stripe by the other.
ACCEPTED = (b"HTTP/1.1 202 ", b"HTTP/1.1 200 ")


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


def together(loads: Iterable[Load]) -> Load:
    """A round, from its slices."""
    loads = list(loads)
    return Load(
        answers=tuple(itertools.chain.from_iterable(load.answers for load in loads)),
        passed=sum(load.passed for load in loads),
        server_used=sum(load.server_used for load in loads),
        clients_used=sum(load.clients_used for load in loads),
    )


def measured(server: WebServer, deliveries: Iterable[Delivery], seconds: float) -> tuple[Load, list[Delivery]]:
    """Send for so many seconds. Returns the measurement, and what was acknowledged."""
    waiting = iter(list(deliveries))
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
    load = Load(tuple(taken for _delivery, taken in answered), passed, server_used, used)
    return load, [delivery for delivery, _taken in answered]


def check(stage: Stage, database: str, acknowledged: list[Delivery], *, alone: bool) -> None:
    """Everything acknowledged is in the table exactly once, as it was sent; if `alone`, nothing else is."""
    sent = {delivery.guid: delivery.digest for delivery in acknowledged}
    with stage.connect(database) as connection:
        rows = connection.execute("SELECT delivery_id, sha256(body) FROM marketplace_delivery").fetchall()
    kept = {guid: bytes(digest) for guid, digest in rows if alone or guid in sent}
    require(len(rows) == len({guid for guid, _digest in rows}), "a delivery is in the table twice")
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
            require(answer.startswith(ACCEPTED), f"the server answered {answer[:300]!r}")
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
