"""What carrying out a message costs the database: statements are what most of its time goes to (`bench.deliveries`)."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.marketplace.conftest import World, deliver

pytestmark = pytest.mark.django_db

#: Of a run, whatever it finds: waiting for the disk switched off and on, and the look that finds nothing more.
RUN = 5
#: Each with the savepoint that stands for its transaction here, and one for all that other systems are told of it.
PURCHASED, CANCELLED = 17, 22


def statements(world: World) -> int:
    with CaptureQueriesContext(connection) as captured:
        world.run("deliveries")
    return len(captured)


def test_a_purchase_and_a_cancellation_take_few_statements(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    # What is said of the plan is new with the first purchase alone.
    world.hears(world.github.buy(world.github.account(login="first"), pro))
    buyer = world.github.account(login="harbour")
    deliver(world.github.buy(buyer, pro), world.now)
    assert statements(world) - RUN <= PURCHASED
    deliver(world.github.cancel(buyer), world.now)
    assert statements(world) - RUN <= CANCELLED


def test_many_take_as_many_each(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    world.hears(world.github.buy(world.github.account(login="first"), pro))
    for number in range(3):
        deliver(world.github.buy(world.github.account(login=f"harbour-{number}"), pro), world.now)
    assert statements(world) - RUN <= 3 * PURCHASED
