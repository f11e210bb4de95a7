"""intake: what accepting a GitHub delivery costs, as a share of the floor in the same run.

Measured are deliveries acknowledged a second, and the median and 99th percentile of their time in milliseconds, of
POST /marketplace/github/webhook/ over HTTP on 127.0.0.1, on two servers in turn: the web server exactly as `make run`
starts it, and the floor, the same command with the same pool, database and table, under a bare Django view without any
middleware (`bench.door.floor_door`). Closed loop: 16 clients, each on a connection of its own that it keeps, each
sending the next delivery as soon as the last one is answered. Deliveries are what GitHub sends, about 2 kB; every tenth
is the one before it again, so that both are often under way at once.

Each slice of a round begins with an empty table, and ends with a look at it: every delivery acknowledged is there
exactly once, byte for byte, and nothing else is. After the last round Redis is stopped, and the webhook measured once
more: then the nudge to the worker can only fail, and still everything is accepted.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from bench.door import accepting, github
from bench.door.accepting import CLIENTS, MOST_PER_SECOND, Load
from bench.measuring import Goal, Result, Row, Samples, interleaved
from bench.serving import WebServer, web_server
from bench.stage import EMPTY, FULL, Stage, say
from config.stack import run as stack
from config.stack import servers as embedded

DATABASE = "intake"
ROUNDS_FULL, ROUNDS_SMALL = 9, 2
#: A round on one server, in seconds. It is cut in slices in which the servers take turns, for two things are chance:
#: what else the machine does just then, and how a slice's connections fall to the server's processes.
SECONDS_FULL, SECONDS_SMALL = 5.0, 0.5
SLICES_FULL, SLICES_SMALL = 5, 1
WARM_UP_SECONDS = 1.0
#: The goal.
AT_LEAST = 0.85
#: Whoever waited for an absent Redis would need a second for each answer.
WITHOUT_REDIS_AT_MOST_MS = 250

#: So many deliveries, every tenth the one before it again.
Sent = Callable[[int], Iterable[github.Delivery]]


def run(stage: Stage) -> Result:
    """Compare the webhook with its floor, and with itself while Redis is away."""
    return compared(stage, github.with_repetitions)


def compared(stage: Stage, sent: Sent) -> Result:
    """The same of whatever webhook these deliveries are sent to."""
    stage.copy(EMPTY, DATABASE)
    full = stage.scale is FULL
    seconds, slices = (SECONDS_FULL, SLICES_FULL) if full else (SECONDS_SMALL, SLICES_SMALL)
    rounds = ROUNDS_FULL if full else ROUNDS_SMALL
    with ExitStack() as running:
        # One of each webhook's own: several are measured in one run.
        folder = Path(mkdtemp(prefix=DATABASE, dir=stage.folder))
        folder.chmod(0o711)
        redis = running.enter_context(embedded.valkey(folder))
        start = partial(web_server, stage, DATABASE, redis=redis.url)
        servers = {
            "the webhook": running.enter_context(start()),
            "the floor": running.enter_context(start(settings="bench.door.floor")),
        }
        for server in servers.values():
            _load(stage, server, sent, WARM_UP_SECONDS)
        say(f"intake: {rounds} rounds …")
        measure = {name: partial(_load, stage, server, sent, seconds / slices) for name, server in servers.items()}
        found: dict[str, list[Load]] = {name: [] for name in servers}
        for _round in range(rounds):
            for name, loads in interleaved(slices, measure).items():
                found[name].append(accepting.together(loads))
        redis.stop()
        found["the webhook, Redis stopped"] = [_load(stage, servers["the webhook"], sent, seconds)]
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


def _load(stage: Stage, server: WebServer, sent: Sent, seconds: float) -> Load:
    """Send for so many seconds, then compare the table with what was acknowledged."""
    deliveries = sent(int(seconds * MOST_PER_SECOND))
    with stage.connect(DATABASE) as connection:
        connection.execute("TRUNCATE marketplace_delivery")
        connection.execute("CHECKPOINT")
    load, acknowledged = accepting.measured(server, deliveries, seconds)
    accepting.check(stage, DATABASE, acknowledged, alone=True)
    return load
