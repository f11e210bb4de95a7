"""What other systems are told when a marketplace sells, when its customer leaves, and when they are back."""

import json
from datetime import timedelta
from typing import Any

import pytest

from accounts.events.message import EventMessage
from accounts.events.publishing import publish_due
from accounts.models import Account, User
from tests.marketplace.aws.world import AwsWorld
from tests.marketplace.conftest import World

pytestmark = pytest.mark.django_db


def told(account: Account, at: Any) -> list[tuple[str, dict[str, Any]]]:
    publish_due(at)
    rows = EventMessage.objects.of(account.pk).published()
    return [(row.type, json.loads(row.body)["data"]) for row in rows]


def test_a_buyer_at_github_leaves_and_is_back(world: World) -> None:
    pro = world.github.listing_plan(name="Pro", monthly=900)
    buyer = world.github.account(login="harbour")
    world.hears(world.github.buy(buyer, pro))
    account = Account.objects.get()
    found = told(account, world.now)
    assert [name for name, _data in found] == ["account.created", "subscription.started", "entitlements.changed"]
    assert {data["cause"] for _name, data in found} == {"marketplace"}
    assert found[0][1]["owner"] is None
    world.hears(world.github.cancel(buyer))
    left = told(account, world.now)[3:]
    assert [name for name, _data in left] == [
        "subscription.ended",
        "deletion.scheduled",
        "account.deactivated",
        "entitlements.changed",
    ]
    account.refresh_from_db()
    assert account.returnable_until is not None
    until = account.returnable_until.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert left[2][1]["returnable_until"] == until
    assert (left[3][1]["active"], left[3][1]["features"]) == (False, [])
    world.passes(timedelta(days=1))
    world.hears(world.github.buy(buyer, pro))
    world.run("github-check")
    back = told(account, world.now)[7:]
    assert [name for name, _data in back] == [
        "deletion.called_off",
        "account.reactivated",
        "subscription.started",
        "entitlements.changed",
    ]
    assert back[-1][1]["active"] is True
    assert "harbour" not in str(EventMessage.objects.values_list("body", flat=True))


def test_a_purchase_at_aws_opens_an_account_for_who_registers(cloud: AwsWorld, owner: User) -> None:
    _bought, account = cloud.customer(owner)
    found = told(account, cloud.aws.now)
    assert [name for name, _data in found] == ["account.created", "subscription.started", "entitlements.changed"]
    assert found[0][1]["owner"] == owner.pk
