"""A fake GitHub, and a client that holds every answer against GitHub's own description."""

from collections.abc import Iterator

import httpx
import pytest

from tests.fakes.github import FakeGitHub
from tests.fakes.openapi.conforming import conforms


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as github:
        yield github


@pytest.fixture
def rest(github: FakeGitHub) -> Iterator[httpx.Client]:
    """Asks without credentials; each answer is checked as it arrives."""
    with httpx.Client(base_url=github.url, event_hooks={"response": [conforms]}, trust_env=False) as client:
        yield client


@pytest.fixture
def app(github: FakeGitHub, rest: httpx.Client) -> httpx.Client:
    """Asks with client id and secret."""
    rest.auth = (github.client_id, github.client_secret)
    return rest
