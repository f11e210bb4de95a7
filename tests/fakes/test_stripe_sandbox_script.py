"""The script for a real sandbox of Stripe's, docs/stripe_sandbox.py, run against the Stripe of the tests."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from subscriptions.stripe import client, forgetting_calls, redaction
from tests.fakes.stripe import FakeStripe

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "stripe_sandbox.py"


def run(stripe: FakeStripe, key: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "STRIPE_API_URL": stripe.url, "STRIPE_API_KEY": key}
    return subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def stripe() -> FakeStripe:
    made = FakeStripe()
    made.run_by_this_machine()
    return made


def test_it_finds_all_as_expected_and_leaves_no_customer_behind(stripe: FakeStripe) -> None:
    with stripe:
        done = run(stripe, stripe.api_key)
    assert done.stderr == ""
    assert "DIFFERENT" not in done.stdout
    assert "\n56 as expected, 0 different, 0 not tried.\n" in done.stdout
    assert done.returncode == 0
    assert all(customer.get("deleted") for customer in stripe.customers)
    assert [price["active"] for price in stripe.prices] == [False]


def test_it_says_what_is_different(stripe: FakeStripe) -> None:
    stripe.draft_seconds = 60
    stripe.fail("POST /v1/billing_portal/sessions", status=400, code="resource_missing")
    with stripe:
        done = run(stripe, stripe.api_key)
    assert "DIFFERENT    its renewal is a draft: saw ('subscription_cycle', 'paid', " in done.stdout
    assert "not tried    a portal session" in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize("key", ["sk_live_51Real", "rk_live_51Real", ""])
def test_a_key_of_live_mode_asks_nothing(stripe: FakeStripe, key: str) -> None:
    with stripe:
        done = run(stripe, key)
    assert (done.returncode, done.stdout) == (2, "")
    assert stripe.count() == 0


def test_it_asks_as_we_ask() -> None:
    script = _script()
    assert script.API_VERSION == client.API_VERSION
    assert script.PREVIEW_VERSION == redaction.PREVIEW_VERSION
    assert script.BLANK == forgetting_calls.BLANK


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stripe_sandbox", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
