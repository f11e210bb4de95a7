"""Bodies of old deliveries are emptied; their rows stay."""

from datetime import timedelta

import pytest

from marketplace import hygiene
from marketplace.models import Delivery
from tests.factories import NOW
from tests.marketplace.conftest import World

pytestmark = pytest.mark.django_db


def test_a_body_is_kept_for_ninety_days(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    world.hears(world.github.buy(world.github.account(login="harbour"), pro))
    assert hygiene.empty_old(NOW + timedelta(days=90)) == 0
    late = NOW + timedelta(days=90, seconds=1)
    assert len(list(hygiene.preview(late))) == 1
    assert hygiene.empty_old(late) == 1
    assert hygiene.empty_old(late) == 0
    stored = Delivery.objects.get()
    assert (stored.body, stored.outcome) == (None, "applied")
