"""Whether the process answers, and whether the whole of it is well."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from kombu import Connection
from kombu.exceptions import OperationalError

from accounts.core import clock, leaving
from accounts.customers.product_api import has_token
from accounts.jobs import invariants, opening
from accounts.jobs.invariants import Violation

log = logging.getLogger(__name__)

#: Seconds for which an answer of `/readyz/` is given again: it takes dozens of questions to the database, and
#: anybody may ask for it. Alarms are raised by minutes.
ASKED_EVERY = 5


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. For the load balancer: asks nothing of database or broker."""
    return JsonResponse({"status": "ok"})


@login_not_required
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Database, broker, beat's heartbeat, overdue work. 503 with the reasons when anything is not well.

    A stranger sees the reasons' names; how many customers they concern is told to who has one of `API_TOKENS`. The
    answer is a few seconds old at most (`ASKED_EVERY`).
    """
    if leaving.is_leaving():
        return JsonResponse({"status": "not ready", "problems": ["stopping"]}, status=503)
    found = readiness.answer()
    return JsonResponse(
        found.in_full() if has_token(request) else found.by_name(), status=503 if found.problems else 200
    )


@dataclass(frozen=True)
class NotReady:
    """Why we are not well, or what staff should look at."""

    name: str
    words: str

    def __str__(self) -> str:
        return f"{self.name}: {self.words}"


@dataclass(frozen=True)
class HealthAnswer:
    problems: list[NotReady]
    warnings: list[NotReady]

    def in_full(self) -> dict[str, object]:
        return self._told(str)

    def by_name(self) -> dict[str, object]:
        return self._told(lambda reason: reason.name)

    def _told(self, word: Callable[[NotReady], str]) -> dict[str, object]:
        # Each name once: the heartbeat of several sweeps is one reason.
        problems, warnings = (list(dict.fromkeys(map(word, found))) for found in (self.problems, self.warnings))
        told: dict[str, object] = {"status": "not ready" if problems else "ready"}
        return told | ({"problems": problems} if problems else {}) | ({"warnings": warnings} if warnings else {})


class Readiness:
    """The newest answer of this process. Whoever asks more often than `ASKED_EVERY` asks nothing of the database."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.forget()

    def forget(self) -> None:
        """Ask anew the next time."""
        self._answer: HealthAnswer | None = None
        self._asked_at = 0.0

    def answer(self) -> HealthAnswer:
        # Under the lock: of many who ask at once one finds out, and the others read what it found.
        with self._lock:
            now = time.monotonic()
            if self._answer is None or not 0 <= now - self._asked_at < ASKED_EVERY:
                self._answer, self._asked_at = _find_out(clock.now()), now
            return self._answer


readiness = Readiness()


def _find_out(at: datetime) -> HealthAnswer:
    if problems := _database_problems():
        return HealthAnswer(problems, [])
    if not opening.known.is_open():
        return HealthAnswer([NotReady("restored", str(opening.Closed()))], [])
    return HealthAnswer(
        [*_broker_problems(), *map(_reason, invariants.violations(at))], list(map(_reason, invariants.warnings(at)))
    )


def _database_problems() -> list[NotReady]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        log.error("database: %s", error)
        return [NotReady("database", "no connection")]
    return []


def _broker_problems() -> list[NotReady]:
    # Short time-outs come with the transport options: a silent broker must not hang this page.
    with Connection(
        settings.CELERY_BROKER_URL, transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS, connect_timeout=1
    ) as broker:
        try:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=2)
        except (OperationalError, OSError) as error:
            log.error("broker: %s", error)
            return [NotReady("broker", "no connection; work is done later, nothing is lost")]
    return []


def _reason(violation: Violation) -> NotReady:
    # Without examples: `manage.py doctor` names them.
    return NotReady(violation.name, f"{violation.count} {violation.message}")
