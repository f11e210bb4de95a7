"""`/metrics`: what Prometheus reads, for who has a token of its own (`METRICS_TOKEN`)."""

from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from accounts.core import clock
from accounts.customers.product_api import bears
from accounts.jobs import measures

#: A question that takes longer than so many milliseconds is not worth its answer: Prometheus asks again soon.
STATEMENT_TIMEOUT = 5000


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures from rows, as Prometheus reads them. 404 without METRICS_TOKEN: the door is not there; 401 without it."""
    if not settings.METRICS_TOKEN:
        return JsonResponse({"error": "not_found", "message": "METRICS_TOKEN is not set."}, status=404)
    if not bears(request, settings.METRICS_TOKEN):
        refused = JsonResponse(
            {"error": "unauthorized", "message": "Send METRICS_TOKEN as `Authorization: Bearer TOKEN`."}, status=401
        )
        refused["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return refused
    registry = CollectorRegistry()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT:d}")
        registry.register(_Rows())
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Rows(Collector):
    """Asked once a scrape; nothing is counted in the process, so it does not matter which one answers."""

    def collect(self) -> Iterator[Metric]:
        yield from measures.families(clock.now())

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand: registering would ask all of it once more."""
        return iter(())
