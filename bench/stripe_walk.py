"""stripe_walk: the nightly reconciliation with a Stripe that holds 100,000 subscriptions.

The sweep `stripe-reconcile` as it is, in a process of its own, against a Stripe (`bench.stand_ins.stripe_walk_stub`)
that answers as fast as it can: what is measured is ours. Seconds, statements a page of a hundred, and how much the
process's memory grew from the tenth page on, in MiB. It counts only if all were met, and exactly those are to be asked
about of whom Stripe says something else than we do: one in a hundred. Twice, with a tenth of the subscriptions first,
so that what grows with their number shows. At the small scale there are 2,000.
"""

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import LiteralString

from bench import filling
from bench.filling import ENDS
from bench.measuring import Goal, Result, Row, Samples, require
from bench.stage import FULL, Stage, say
from bench.stand_ins.stripe_walk_stub import CHANGED_EVERY, PER_PAGE
from subscriptions.billing.holding import Holding
from subscriptions.stripe.customer import StripeCustomer

DATABASE = "stripe_walk"
SUBSCRIPTIONS_FULL, SUBSCRIPTIONS_SMALL = 100_000, 2_000
#: The goals: memory constant, no query a subscription. The others are that a night is long enough.
MIB_AT_MOST, STATEMENTS_A_PAGE_AT_MOST, SECONDS_AT_MOST = 32, 10, 300
AT = ENDS
BEGAN = ENDS - timedelta(days=10)
PERIOD_ENDS = ENDS + timedelta(days=20)

#: Stripe holds all of them, in the same period, and none is to end.
HELD: tuple[LiteralString, ...] = (
    """
    UPDATE subscriptions_subscription
       SET held_by = 'stripe', period_started_at = %(began)s, period_ends_at = %(ends)s, ends_at = NULL,
           next_reminder_at = NULL
    """,
    """
    INSERT INTO subscriptions_holding
           (subscription_id, provider, reference, customer_reference, status, status_word, read_at, last_finding)
    SELECT id, 'stripe', 'sub_' || id, 'cus_' || id, 'live', 'active', %(began)s, '' FROM subscriptions_subscription
    """,
    """
    INSERT INTO subscriptions_stripecustomer
           (account_id, reference, livemode, read_at, checks_left, check_attempts, check_error)
    SELECT account_id, 'cus_' || id, true, %(began)s, 0, 0, '' FROM subscriptions_subscription
    """,
)


def run(stage: Stage) -> Result:
    """Walk over a tenth, then over all."""
    most = SUBSCRIPTIONS_FULL if stage.scale is FULL else SUBSCRIPTIONS_SMALL
    few, all_of_them = (_walk(stage, count) for count in (most // 10, most))
    pages = most / PER_PAGE
    grown = (all_of_them["peak"] - all_of_them["before"]) / 2**20
    more = (all_of_them["peak"] - few["peak"]) / 2**20
    return Result(
        facts={"subscriptions": most, "a page": PER_PAGE, "changed": most // CHANGED_EVERY},
        rows=[
            Row("all walked", "s", Samples((all_of_them["seconds"],))),
            Row("subscriptions", "a second", Samples((most / all_of_them["seconds"],))),
            Row("statements", "a page", Samples((all_of_them["statements"] / pages,))),
            Row("memory grew by", "MiB", Samples((grown,))),
            Row("memory above that of a tenth", "MiB", Samples((more,))),
        ],
        goals=[
            Goal("statements a page", all_of_them["statements"] / pages, at_most=STATEMENTS_A_PAGE_AT_MOST),
            Goal("growth of memory, MiB", grown, at_most=MIB_AT_MOST),
            Goal("seconds", all_of_them["seconds"], at_most=SECONDS_AT_MOST),
        ],
    )


def _walk(stage: Stage, count: int) -> dict[str, float]:
    """One walk over so many; what the process says of it."""
    stage.copy(filling.filled(stage, subscriptions=count, ending=count // 10), DATABASE)
    with stage.connect(DATABASE) as connection:
        for statement in HELD:
            connection.execute(statement, {"began": BEGAN, "ends": PERIOD_ENDS})
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
    period = [str(int(instant.timestamp())) for instant in (BEGAN, PERIOD_ENDS)]
    stub = subprocess.Popen(  # noqa: S603  # this program
        [sys.executable, "-m", "bench.stand_ins.stripe_walk_stub", str(count), *period],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = int(stub.stdout.readline()) if stub.stdout else 0
        say(f"stripe_walk: {count} subscriptions …")
        worker = subprocess.run(  # noqa: S603  # this program
            [sys.executable, "-m", "bench.workers.stripe_walk_worker", DATABASE, AT.isoformat()],
            env={
                **os.environ,
                "STRIPE_API_URL": f"http://127.0.0.1:{port}",
                "STRIPE_API_KEY": "rk_live_bench",
                # The limit of calls is not what is measured.
                "STRIPE_CALLS_A_SECOND": "100000",
            },
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    finally:
        stub.terminate()
        stub.wait()
    said: dict[str, float] = json.loads(worker.stdout)
    stage.use(DATABASE)
    require(said["walked"] == count, f"{said['walked']} of {count} were walked")
    require(Holding.objects.filter(walked_at=AT).count() == count, "not all were met")
    asked = sorted(StripeCustomer.objects.filter(check_at=AT).values_list("reference", flat=True))
    changed = sorted(f"cus_{number}" for number in range(CHANGED_EVERY, count + 1, CHANGED_EVERY))
    require(asked == changed, f"{len(asked)} customers are to be asked about, not {len(changed)}")
    stage.drop(DATABASE)
    return said
