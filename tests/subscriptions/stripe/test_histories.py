"""Whatever happens between an owner, staff, Stripe and time, both sides end alike, and nobody pays for nothing.

Random histories: what the owner does here and on Stripe's pages, what staff do here and in Stripe's dashboard, cards
that fail and banks that take money back, what becomes of the events (late, twice, shuffled, lost), what Stripe does to
our calls (fails, limits, does it and is not heard, is away for hours), and where a worker of ours dies: at any
statement, at any call. Then peace. `HYPOTHESIS_PROFILE=thorough` lives through 2,000 of them.
"""

import random
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.stripe import FakeStripe
from tests.subscriptions.stripe import promises
from tests.subscriptions.stripe.life import Life

pytestmark = pytest.mark.django_db

ACTS = (
    *("wait",) * 12,
    *("cancel", "cancel", "cancel", "cancel", "keep", "keep", "keep", "buy", "buy", "refund", "refund"),
    *("ask_for_deletion", "approve_deletion", "call_deletion_off", "end"),
    *("portal_cancel", "portal_cancel", "portal_keep", "portal_change", "pay_invoice", "card_pays"),
    *("card_fails",) * 4,
    *("dashboard_end", "dashboard_cancel", "dashboard_refund", "second_subscription"),
    *("pause", "resume", "pause_collection", "longer_trial", "schedule"),
    *("dispute", "dispute_ends", "refund_settles"),
)
acts = st.sampled_from(ACTS)
fates = st.sampled_from(["arrives", "arrives", "twice", "shuffled", "late", "lost"])
troubles = st.sampled_from(["none", "none", "none", "fails", "unheard", "limited", "away", "dies", "dies calling"])
histories = st.lists(st.tuples(acts, fates, troubles, st.integers(0, 2**16)), min_size=1, max_size=14)
beginnings = st.fixed_dictionaries(
    {
        "yearly": st.sampled_from([False, False, True]),
        "trial": st.sampled_from([False, False, True]),
        "classic": st.booleans(),
        "after": st.sampled_from(["canceled", "unpaid", "past_due"]),
        "refunds": st.sampled_from(["succeeded", "pending"]),
    }
)


IS_THOROUGH = settings().max_examples > 30
#: A history takes half a second of a core. The few are always the same: what is red is red for everybody.
EXAMPLES = settings().max_examples if IS_THOROUGH else 12


@given(beginning=beginnings, history=histories)
@settings(
    max_examples=EXAMPLES,
    derandomize=not IS_THOROUGH,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_every_history_ends_alike_on_both_sides(
    stripe: FakeStripe, client: Client, beginning: dict[str, Any], history: list[tuple[str, str, str, int]]
) -> None:
    live(stripe, client, beginning, history)


def live(
    stripe: FakeStripe, client: Client, beginning: dict[str, Any], history: list[tuple[str, str, str, int]]
) -> None:
    """A whole life, and then what must be so. Nothing of it stays."""
    stripe.clear()
    undone = transaction.atomic()
    # As Django's own test cases: what is durable in production may stand within it.
    vars(undone)["_from_testcase"] = True
    with undone:
        life = Life(stripe, client, **beginning)
        for act, fate, trouble, seed in history:
            life.goes_on(act, fate, trouble, random.Random(seed))  # noqa: S311  # reproducible
        life.comes_to_rest()
        promises.all_kept(life)
        transaction.set_rollback(True)
