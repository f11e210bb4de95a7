"""What tests are made of. Dates hang on `NOW`, an instant that means nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import factory
from allauth.account.models import EmailAddress
from factory.django import DjangoModelFactory

from accounts.blueprints.models import Blueprint, CloudConnection, CloudProvider, Grid
from accounts.customers.history import Actor
from accounts.models import Account, Membership, Role, User
from subscriptions.models import Channel, Interval, Plan, Subscription
from subscriptions.starting import start

NOW = datetime(2026, 3, 17, 9, 30, tzinfo=UTC)
PASSWORD = "correct horse battery"
#: One hash is enough for everybody who has this password.
_HASHES: dict[str, str] = {}


class UserFactory(DjangoModelFactory[User]):
    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda number: f"person{number}@example.org")
    name = factory.Sequence(lambda number: f"Person {number}")

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, is_proven: bool = True, **kwargs: Any) -> User:
        user = model_class(**kwargs)
        if PASSWORD not in _HASHES:
            user.set_password(PASSWORD)
            _HASHES[PASSWORD] = user.password
        user.password = _HASHES[PASSWORD]
        user.save()
        if is_proven:
            EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
        return user


class AccountFactory(DjangoModelFactory[Account]):
    """An account with its owner."""

    class Meta:
        model = Account
        skip_postgeneration_save = True

    name = factory.Sequence(lambda number: f"Account {number}")
    created_at = NOW - timedelta(days=400)

    @factory.post_generation
    def owner(self: Account, create: bool, extracted: User | None, **kwargs: Any) -> None:
        Membership.objects.create(account=self, user=extracted or UserFactory(**kwargs), role=Role.OWNER)


class BlueprintFactory(DjangoModelFactory[Blueprint]):
    class Meta:
        model = Blueprint

    account = factory.SubFactory(AccountFactory)
    name = factory.Sequence(lambda number: f"Blueprint {number}")
    grid = Grid.STANDARD
    components = factory.LazyFunction(
        lambda: [{"id": "web", "type": "ec2", "label": "web-1", "x": 0, "y": 0, "links": []}]
    )


class ConnectionFactory(DjangoModelFactory[CloudConnection]):
    class Meta:
        model = CloudConnection

    account = factory.SubFactory(AccountFactory)
    provider = CloudProvider.AWS
    name = factory.Sequence(lambda number: f"production {number}")


def subscribe(account: Account | None = None, *, at: datetime = NOW, **changes: Any) -> Subscription:
    """A monthly Pro subscription bought directly at `at`, unless told otherwise."""
    options: dict[str, Any] = {"channel": Channel.DIRECT, "interval": Interval.MONTHLY, **changes}
    plan = options.pop("plan", "pro")
    return start(account or AccountFactory(), plan=Plan.objects.get(code=plan), by=Actor.system(), at=at, **options)


def owner_of(subscription: Subscription) -> Actor:
    owner = subscription.account.owner()
    assert owner is not None
    return Actor.owner(owner)
