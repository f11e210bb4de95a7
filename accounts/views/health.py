"""Whether the process answers, and whether the whole of it is well."""

import logging

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from kombu import Connection
from kombu.exceptions import OperationalError

from accounts import clock, invariants
from accounts.invariants import Violation

log = logging.getLogger(__name__)


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. For the load balancer: asks nothing of database or broker."""
    return JsonResponse({"status": "ok"})


@login_not_required
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Database, broker, beat's heartbeat, overdue work. 503 with the reasons when anything is not well."""
    if problems := _database_problems():
        return JsonResponse({"status": "not ready", "problems": problems}, status=503)
    at = clock.now()
    warnings = _lines(invariants.warnings(at))
    more = {"warnings": warnings} if warnings else {}
    if problems := [*_broker_problems(), *_lines(invariants.violations(at))]:
        return JsonResponse({"status": "not ready", "problems": problems, **more}, status=503)
    return JsonResponse({"status": "ready", **more})


def _database_problems() -> list[str]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        log.error("database: %s", error)
        return ["database: no connection"]
    return []


def _broker_problems() -> list[str]:
    # Short time-outs come with the transport options: a silent broker must not hang this page.
    with Connection(
        settings.CELERY_BROKER_URL, transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS, connect_timeout=1
    ) as broker:
        try:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=2)
        except (OperationalError, OSError) as error:
            log.error("broker: %s", error)
            return ["broker: no connection; work is done later, nothing is lost"]
    return []


def _lines(violations: list[Violation]) -> list[str]:
    # Without examples: this page is open to whoever can reach it, and `manage.py doctor` names them.
    return [f"{violation.name}: {violation.count} {violation.message}" for violation in violations]
