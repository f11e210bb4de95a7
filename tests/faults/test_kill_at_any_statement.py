"""Killed at any statement: what owners do with people, and what a new price does, is done once or not at all."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from accounts.customers.history import Actor
from accounts.models import Account, Event, Invitation, Membership, Notice, Role, User
from accounts.people import inviting, joining, members
from subscriptions import catalogue
from subscriptions.models import Interval, Plan, Repricing, Subscription
from subscriptions.pricing.repricing import price_at, reprice_due
from tests.factories import NOW, AccountFactory, UserFactory, subscribe
from tests.faults.dying import Death, dying_at, undone

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
MAY = datetime(2026, 5, 17, 9, 30, tzinfo=UTC)


def every_death(act: Callable[[], object], *, step: int = 1) -> Iterator[Death]:
    """Does it again and again, killed at its first statement, then `step` later, until it lives; each is undone."""
    for number in range(1, 500, step):
        with undone():
            with dying_at(number) as death:
                act()
            yield death
        if not death.came:
            assert number > 3, "it made no statements"
            return
    raise AssertionError("it never ends")


def left_behind() -> tuple[int, ...]:
    """Rows that people are about."""
    return tuple(model.objects.count() for model in (Membership, Invitation, Event, Notice))


def test_an_invitation_is_sent_once_or_not_at_all(account: Account, owner: User) -> None:
    def invite() -> None:
        inviting.invite(account, email="new@example.org", role=Role.USER, by=Actor.owner(owner), at=NOW)

    before = left_behind()
    for death in every_death(invite):
        if death.came and not Invitation.objects.exists():
            assert left_behind() == before
            invite()
        assert (Invitation.objects.count(), Notice.objects.count()) == (1, 1)


def test_whoever_joins_is_in_once_or_not_at_all(account: Account, owner: User) -> None:
    user = UserFactory(email="new@example.org")
    invitation, _new = inviting.invite(account, email="new@example.org", role=Role.USER, by=Actor.owner(owner), at=NOW)

    def join() -> None:
        joining.join(invitation, user=user, at=NOW + DAY)

    before = left_behind()
    for death in every_death(join):
        invitation.refresh_from_db()
        if death.came and not invitation.accepted_at:
            assert left_behind() == before
            join()
        assert Membership.objects.filter(account=account, user=user).count() == 1
        invitation.refresh_from_db()
        assert invitation.accepted_at == NOW + DAY


def test_whoever_is_removed_is_out_and_told_or_neither(account: Account, owner: User, member: User) -> None:
    def remove() -> None:
        members.remove(account, user=member, by=owner, at=NOW)

    before = left_behind()
    for death in every_death(remove):
        if death.came and Membership.objects.filter(account=account, user=member).exists():
            assert left_behind() == before
            remove()
        assert not Membership.objects.filter(account=account, user=member).exists()
        assert Notice.objects.filter(recipient=member).count() == 1


def test_another_role_is_given_and_written_down_or_neither(account: Account, owner: User, member: User) -> None:
    def promote() -> None:
        members.change_role(account, of=member, to=Role.ADMIN, by=owner, at=NOW)

    before = Event.objects.count()
    for _death in every_death(promote):
        is_admin = Membership.objects.filter(account=account, user=member, role=Role.ADMIN).exists()
        assert Event.objects.count() == before + is_admin


@pytest.fixture
def repriced() -> list[Subscription]:
    """Two that are to pay more from May on; nothing is planned yet."""
    held = [subscribe(AccountFactory()) for _number in range(2)]
    catalogue.set_price(
        Plan.objects.get(code="pro"),
        interval=Interval.MONTHLY,
        currency="USD",
        cents=5900,
        from_at=NOW + 34 * DAY,
        notice=30 * DAY,
        at=NOW + DAY,
    )
    return held


def test_a_new_price_is_told_and_paid_once_wherever_the_sweep_is_killed(repriced: list[Subscription]) -> None:
    """Planned, told and carried out in one run would be three transactions: here each comes when it is due."""
    for at in (NOW + 2 * DAY, MAY - 30 * DAY, MAY):

        def sweep(at: datetime = at) -> None:
            reprice_due(at)

        for _death in every_death(sweep, step=3):
            told = Notice.objects.filter(kind="subscriptions/price_changes").count()
            assert told == Repricing.objects.filter(told_at__isnull=False).count()
            sweep()
            assert Repricing.objects.count() == 2
            assert Notice.objects.filter(kind="subscriptions/price_changes").count() == (
                0 if at == NOW + 2 * DAY else 2
            )
            assert [price_at(Subscription.objects.get(pk=held.pk), MAY) for held in repriced] == (
                [4900, 4900] if at == NOW + 2 * DAY else [5900, 5900]
            )
            changed = Event.objects.filter(kind="price.changed").count()
            assert changed == Repricing.objects.filter(carried_out_at__isnull=False).count() == (2 if at == MAY else 0)
        sweep()
