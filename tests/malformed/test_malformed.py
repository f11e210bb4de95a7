"""No request, however malformed, by whoever, at whichever door, ends in 5xx.

`make test` sends a few hundred. `MALFORMED_REQUESTS=100000 make test T=tests/malformed` takes its time;
`MALFORMED_SEED` begins somewhere else. A failure names the seed of its request: the same seed is the same request.
"""

import json
import logging
import os
import traceback
from typing import Any

import pytest
from pytest_django import Settings

from accounts.api import problems
from accounts.core import clock
from accounts.inbox import inbox
from accounts.inbox.delivery import Delivery
from accounts.views.errors import MACHINE_PATHS
from config.malformed import Handler
from tests.malformed.generator import Request
from tests.malformed.world import Target, build
from tests.marketplace.aws.world import AwsWorld
from tests.marketplace.conftest import World, aws, cloud, github, one_aws, one_github, world  # noqa: F401  # fixtures

#: Into one world; then it is made anew, so that what was cancelled and changed meanwhile stands again.
A_WORLD = 1000
REQUESTS = int(os.environ.get("MALFORMED_REQUESTS", "400"))
SEED = int(os.environ.get("MALFORMED_SEED", "1"))
#: After so many, everybody signs in again: some have signed out.
SIGNED_IN_FOR = 50

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture
def target(
    world: World,  # noqa: F811  # a fixture
    cloud: AwsWorld,  # noqa: F811  # a fixture
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Target:
    # The test client reads requests by Django's own class; the server reads them by ours.
    monkeypatch.setattr("django.test.client.WSGIRequest", Handler.request_class)
    # Who guesses codes and passwords is held off; here one machine plays everybody.
    settings.ACCOUNT_RATE_LIMITS = False
    settings.SOCIALACCOUNT_PROVIDERS = {
        "github": {"APPS": [{"client_id": world.github.client_id, "secret": world.github.client_secret}]}
    }
    return build(world, cloud)


@pytest.mark.parametrize("first", range(SEED, SEED + REQUESTS, A_WORLD))
def test_no_malformed_request_ends_in_an_error_of_ours(first: int, target: Target) -> None:
    logging.disable(logging.ERROR)
    try:
        wrong = list(
            filter(None, (_sent(seed, target) for seed in range(first, min(first + A_WORLD, SEED + REQUESTS))))
        )
        inbox.process_due(clock.now())
    finally:
        logging.disable(logging.NOTSET)
    assert not wrong, f"{len(wrong)} are wrong:\n" + "\n\n".join(wrong[:20])
    # What was taken in is carried out, or parked with the reason: nothing of it is tried for ever.
    tried_again = Delivery.objects.unprocessed().filter(attempts__gt=0, next_attempt_at__isnull=False)
    assert not list(tried_again.values_list("last_error", flat=True))


def _sent(seed: int, target: Target) -> str:
    """What is wrong with the answer to a request; nothing if it is as it should be."""
    if seed % SIGNED_IN_FOR == 0:
        target.clients.clear()
    request = target.generator.request(seed)
    try:
        answer = target.send(request)
    except Exception as error:
        return _told(seed, request, "raised", error)
    if answer.status_code >= 500:
        raised = getattr(answer, "exc_info", None)
        return _told(seed, request, str(answer.status_code), raised[1] if raised else None)
    if answer.status_code >= 400 and request.method != "HEAD" and not _is_ours(request, answer):
        return _told(seed, request, f"{answer.status_code} without our page or JSON", None)
    return ""


def _is_ours(request: Request, answer: Any) -> bool:
    content = b"".join(answer) if answer.streaming else answer.content
    if request.path.startswith(problems.ROOT) and answer["Content-Type"] == problems.MEDIA_TYPE:
        document = json.loads(content)
        return document["status"] == answer.status_code and document["code"] in problems.CODES
    if request.path.startswith(MACHINE_PATHS):
        return bool(answer["Content-Type"].startswith("application/json") and b'"error"' in content)
    # allauth answers scripts, which say who they are, by JSON.
    is_script = request.headers.get("HTTP_X_REQUESTED_WITH") == "XMLHttpRequest"
    if is_script and answer["Content-Type"].startswith("application/json"):
        return True
    return b"pages.css" in content or b"desk.css" in content


def _told(seed: int, request: Request, what: str, error: BaseException | None) -> str:
    raised = "".join(traceback.format_exception(error)[-6:]) if error else ""
    return f"{what} at seed {seed}: {request}\n{raised}".encode("utf-8", "backslashreplace").decode()
