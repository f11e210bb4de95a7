"""A plan may grant a code that no product has registered: it counts, and everybody who looks after it is told."""

import pytest
from django.core.checks import run_checks
from django.db import DEFAULT_DB_ALIAS
from django.test import Client

from accounts.customers.entitlements import NotEntitled, entitlements_of, require
from accounts.jobs import invariants
from accounts.models import Account
from subscriptions.models import Plan
from tests.factories import NOW, subscribe

pytestmark = pytest.mark.django_db


def test_a_check_and_the_doctor_name_a_plan_that_grants_an_unknown_feature(client: Client) -> None:
    assert not [warning for warning in invariants.warnings(NOW) if warning.name == "unknown-feature"]
    Plan.objects.filter(code="pro").update(features=["live", "teleport"])
    [warning] = [warning for warning in invariants.warnings(NOW) if warning.name == "unknown-feature"]
    assert (warning.count, warning.examples) == (1, ["pro"])
    found = [message for message in run_checks(databases=[DEFAULT_DB_ALIAS]) if message.id == "subscriptions.W001"]
    assert [message.msg for message in found] == ["The plan 'pro' grants teleport: registered by no product."]
    assert not [message for message in run_checks() if message.id == "subscriptions.W001"]


def test_an_unknown_feature_is_granted_as_the_plan_says(account: Account) -> None:
    Plan.objects.filter(code="pro").update(features=["teleport"])
    subscribe(account)
    assert entitlements_of(account, NOW).features == {"teleport"}
    require("teleport", account, NOW)
    with pytest.raises(NotEntitled):
        require("live", account, NOW)
