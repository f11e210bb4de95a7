"""deliveries: how fast what GitHub told us is carried out, and what that costs those who are still telling.

Rates: the inbox holds `purchased` of so many customers, none known before; then `cancelled` of the same customers.
Measured are deliveries a second, from the message that wakes the workers of `make run` until none is left unprocessed.
The workers are woken as the web server does it, once a second for each of its processes. Each round begins with a copy
of the empty database, in which staff have said what the plan of the listing grants. A round counts only if each
delivery was applied once, at the first attempt: one account, one subscription and one line of history a purchase; one
end, one offboarding with its steps, one purge and the lines of history of each of them a cancellation.

Accepting: deliveries acknowledged a second by the web server of `make run`, as `bench.intake` measures it, with the
workers at rest and with the workers at a backlog, in turns. The web server has a Redis of its own, so that what it
accepts wakes nobody. At rest, the inbox is emptied first; at work, the backlog must outlast the measurement.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event as Signal
from threading import Thread

from celery import Celery
from django.db.models import Count, Q

from accounts.core import clock
from accounts.inbox.delivery import Delivery, DeliveryOutcome
from accounts.jobs.queues import Queue
from accounts.jobs.sweeps import SweepRun
from accounts.models import Account, Event, Purge
from bench.door import accepting, github
from bench.door.accepting import MOST_PER_SECOND, Load
from bench.measuring import Goal, Result, Row, Samples, interleaved, require
from bench.serving import START_SECONDS, WebServer, web_server, worker
from bench.stage import EMPTY, FULL, Stage, say
from config.stack import run as stack
from config.stack import servers
from marketplace.github.listing import ListingPlan
from marketplace.offboarding.offboarding import ORDER, Offboarding, OffboardingStep
from subscriptions.models import Subscription

DATABASE = "deliveries"
CUSTOMERS_FULL, CUSTOMERS_SMALL = 5_000, 100
ROUNDS_FULL, ROUNDS_SMALL = 3, 1
#: Seconds of one measurement of accepting, and how many of each kind.
SECONDS_FULL, SECONDS_SMALL = 3.0, 0.5
PAIRS_FULL, PAIRS_SMALL = 7, 1
#: The backlog outlasts a measurement if no more than so many deliveries are processed a second.
BACKLOG_PER_SECOND = 1_000
#: Customers of what is accepted: none of those whose purchases are the backlog.
ACCEPTED_CUSTOMERS = 9_000_000
#: The goals.
PURCHASED_PER_SECOND = 300
CANCELLED_PER_SECOND = 200
ACCEPTING_AT_LEAST = 0.8
#: Nothing takes so long but what has come to a stop.
PATIENCE_SECONDS = 300
#: How often the inbox is looked at. The look goes to an index as small as what is left.
LOOK_EVERY = 0.02
#: What one customer's deliveries leave in the history, a line each.
PURCHASED_EVENTS = ("subscription.started",)
CANCELLED_EVENTS = ("subscription.ended", "offboarding.begun", "purge.scheduled")


def run(stage: Stage) -> Result:
    """Have both kinds processed, then accept beside a worker that is busy."""
    full = stage.scale is FULL
    customers = CUSTOMERS_FULL if full else CUSTOMERS_SMALL
    result = Result(facts={"customers": customers, "processes of the worker": stack.WORKER_PROCESSES})
    purchased: list[float] = []
    cancelled: list[float] = []
    for number in range(ROUNDS_FULL if full else ROUNDS_SMALL):
        with _at_rest(stage) as waking:
            purchased.append(_rate("purchased", customers, waking))
            _require_purchased(customers)
            cancelled.append(_rate("cancelled", customers, waking))
            _require_cancelled(customers)
        say(f"deliveries: round {number + 1}: {purchased[-1]:.0f} purchased, {cancelled[-1]:.0f} cancelled a second")
    result.rows += [
        Row("purchased", "deliveries/s", Samples(tuple(purchased))),
        Row("cancelled", "deliveries/s", Samples(tuple(cancelled))),
    ]
    result.goals += [
        Goal("purchased a second", result.rows[0].samples.median, at_least=PURCHASED_PER_SECOND),
        Goal("cancelled a second", result.rows[1].samples.median, at_least=CANCELLED_PER_SECOND),
    ]
    _accept(stage, result)
    return result


@contextmanager
def _at_rest(stage: Stage) -> Iterator[Celery]:
    """An empty database with the workers of `make run`, who have nothing to do; and the way to wake them."""
    stage.copy(EMPTY, DATABASE)
    stage.use(DATABASE)
    ListingPlan.objects.create(**github.PLAN, plan_id="pro")
    folder = stage.folder / DATABASE
    folder.mkdir(mode=0o711, exist_ok=True)
    with ExitStack() as running:
        redis = running.enter_context(servers.valkey(folder))
        running.enter_context(worker(stage, Queue.NOW, DATABASE, redis=redis.url))
        # A worker that has just started asks for every sweep.
        _until(lambda: SweepRun.objects.filter(name="deliveries", finished_at__isnull=False).exists(), START_SECONDS)
        yield running.enter_context(_waking(redis.url))
    stage.drop(DATABASE)


@contextmanager
def _waking(redis: str) -> Iterator[Celery]:
    """Celery, talking to the workers by way of this Redis."""
    with Celery("bench") as app:
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.conf.update(broker_url=redis.replace("unix://", "redis+socket://", 1))
        yield app


@contextmanager
def _woken(waking: Celery) -> Iterator[None]:
    """As long as this lasts, the workers are told that there is something to do, as the web server tells them."""
    over = Signal()

    def wake() -> None:
        while True:
            for _process in range(stack.WEB_PROCESSES):
                waking.send_task("accounts.sweep", args=["deliveries"], expires=60)
            if over.wait(1):
                return

    thread = Thread(target=wake)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        waking.control.purge()


def _rate(action: str, customers: int, waking: Celery) -> float:
    """Deliveries processed a second, of one of each customer."""
    begun = github.FIRST_CUSTOMER
    github.store([github.delivery(action, begun + number) for number in range(customers)], clock.now())
    begun_at = time.perf_counter()
    with _woken(waking):
        _until(_all_processed)
        return customers / (time.perf_counter() - begun_at)


def _all_processed() -> bool:
    return not Delivery.objects.unprocessed().exists()


def _until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    stop = time.monotonic() + seconds
    while not condition():
        require(time.monotonic() < stop, "the workers do not come to an end")
        time.sleep(LOOK_EVERY)


def _require_purchased(customers: int) -> None:
    _require_applied(customers)
    require(Account.objects.count() == customers, f"{Account.objects.count()} accounts instead of {customers}")
    live = Subscription.objects.live(clock.now()).count()
    require(live == customers, f"{live} live subscriptions instead of {customers}")
    _require_history(customers, PURCHASED_EVENTS)


def _require_cancelled(customers: int) -> None:
    _require_applied(2 * customers)
    require(not Subscription.objects.live(clock.now()).exists(), "a subscription is still live")
    require(Offboarding.objects.open().count() == customers, "not one offboarding for each cancellation")
    require(OffboardingStep.objects.count() == customers * len(ORDER), "not all steps for each offboarding")
    require(Purge.objects.open().count() == customers, "not one purge for each cancellation")
    _require_history(customers, PURCHASED_EVENTS + CANCELLED_EVENTS)


def _require_applied(deliveries: int) -> None:
    applied = Delivery.objects.filter(outcome=DeliveryOutcome.APPLIED, attempts=0).count()
    require(applied == deliveries, f"{applied} deliveries were applied at once instead of {deliveries}")


def _require_history(customers: int, kinds: tuple[str, ...]) -> None:
    lines = Event.objects.filter(kind__in=kinds).values("account").annotate(lines=Count("kind"))
    wrong = lines.filter(~Q(lines=len(kinds))).count()
    require(
        lines.count() == customers and not wrong, f"the history of {wrong or 'some'} accounts is not as it should be"
    )


def _accept(stage: Stage, result: Result) -> None:
    full = stage.scale is FULL
    seconds, pairs = (SECONDS_FULL, PAIRS_FULL) if full else (SECONDS_SMALL, PAIRS_SMALL)
    say(f"deliveries: accepting, {pairs} pairs …")
    with _at_rest(stage) as waking, web_server(stage, DATABASE) as server:
        door = _Door(stage, server, waking, seconds)
        door.beside_rest()
        found = interleaved(pairs, {"at rest": door.beside_rest, "at work": door.beside_work})
    for name, loads in found.items():
        result.rows += [
            Row(f"accepting, workers {name}", "deliveries/s", Samples(tuple(load.per_second for load in loads))),
            Row("  99th percentile", "ms", Samples(tuple(load.percentile(99) * 1000 for load in loads))),
        ]
    share = Samples(
        tuple(work.per_second / rest.per_second for rest, work in zip(found["at rest"], found["at work"], strict=True))
    )
    result.rows += [
        Row("  at work / at rest, by pair", "", share),
        Row("processed while accepting", "deliveries/s", Samples(tuple(door.processed))),
    ]
    result.goals.append(Goal("accepting, workers at work / at rest", share.median, at_least=ACCEPTING_AT_LEAST))


@dataclass
class _Door:
    """The webhook, measured for so many seconds at a time. Every measurement begins with nobody at work."""

    stage: Stage
    server: WebServer
    waking: Celery
    seconds: float
    #: Deliveries processed a second, in each measurement beside work.
    processed: list[float] = field(default_factory=list)
    next_customer: int = github.FIRST_CUSTOMER

    def beside_rest(self) -> Load:
        """What it takes when nobody is at work."""
        load = self._measured(self._to_send())
        self._empty()
        return load

    def beside_work(self) -> Load:
        """What it takes while the workers have a backlog that outlasts the measurement."""
        to_send, at = self._to_send(), clock.now()
        size = int(self.seconds * BACKLOG_PER_SECOND)
        github.store([github.delivery("purchased", self.next_customer + number) for number in range(size)], at)
        self.next_customer += size
        left = Delivery.objects.unprocessed().filter(received_at=at)
        with _woken(self.waking):
            _until(lambda: left.count() < size)
            before, begun_at = left.count(), time.perf_counter()
            load = self._measured(to_send)
            after = left.count()
            self.processed.append((before - after) / (time.perf_counter() - begun_at))
            require(after > 0, "the backlog was over before the measurement")
        self._empty()
        return load

    def _to_send(self) -> list[github.Delivery]:
        count = int(self.seconds * MOST_PER_SECOND)
        return list(github.with_repetitions(count, first=ACCEPTED_CUSTOMERS))

    def _measured(self, to_send: list[github.Delivery]) -> Load:
        load, acknowledged = accepting.measured(self.server, to_send, self.seconds)
        accepting.check(self.stage, DATABASE, acknowledged, alone=False)
        return load

    def _empty(self) -> None:
        """Take what is left out of the inbox: whoever is at work comes to rest."""
        with self.stage.connect(DATABASE) as connection:
            connection.execute("DELETE FROM marketplace_delivery WHERE processed_at IS NULL")
            connection.execute("CHECKPOINT")
