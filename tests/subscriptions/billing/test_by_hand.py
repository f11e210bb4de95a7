"""Staff say what they have done in the payment system."""

from datetime import timedelta

import pytest

from accounts.customers.history import Actor
from accounts.customers.staff import NeedsAnotherPerson, StaffOnly
from accounts.models import Account, Event, User
from subscriptions.billing.agreeing import agree_due
from subscriptions.billing.by_hand import NothingToDo, Said, say_done
from subscriptions.billing.wish import Want, Wish
from subscriptions.ending.cancellation import cancel, withdraw
from subscriptions.models import Subscription
from tests.factories import NOW, UserFactory, owner_of, subscribe
from tests.subscriptions.billing.provider_for_tests import a_bank

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def wished(account: Account) -> tuple[Subscription, Wish]:
    subscription = subscribe(account)
    cancel(subscription, by=owner_of(subscription), at=NOW + DAY)
    return subscription, Wish.objects.get()


def test_one_person_is_enough_where_nobody_is_connected(account: Account, staff: User) -> None:
    _subscription, wish = wished(account)
    assert say_done(wish, Want.END, by=Actor.staff(staff), at=NOW + 2 * DAY) is Said.DONE
    wish.refresh_from_db()
    assert (wish.agreed_at, wish.outcome, wish.done_by, wish.sent_version) == (NOW + 2 * DAY, "agreed", staff, 1)
    assert Event.objects.get(kind="billing.stopped").actor_kind == "staff"
    with pytest.raises(NothingToDo):
        say_done(wish, Want.END, by=Actor.staff(staff), at=NOW + 3 * DAY)


def test_what_was_stopped_and_is_kept_after_all_is_a_task_of_its_own(account: Account, staff: User) -> None:
    subscription, wish = wished(account)
    say_done(wish, Want.END, by=Actor.staff(staff), at=NOW + 2 * DAY)
    withdraw(subscription.cancellations.get(), by=owner_of(subscription), at=NOW + 3 * DAY)
    wish.refresh_from_db()
    assert (wish.want, wish.agreed_at, wish.done_by) == ("go_on", None, None)
    assert say_done(wish, Want.GO_ON, by=Actor.staff(staff), at=NOW + 4 * DAY) is Said.DONE


def test_what_was_kept_while_somebody_was_stopping_it_has_to_be_undone(account: Account, staff: User) -> None:
    """The owner kept it, and nobody had said yet that they had stopped it: it was taken as never asked for."""
    subscription, wish = wished(account)
    withdraw(subscription.cancellations.get(), by=owner_of(subscription), at=NOW + 2 * DAY)
    assert Wish.objects.get().agreed_at
    assert say_done(wish, Want.END, by=Actor.staff(staff), at=NOW + 3 * DAY) is Said.TO_BE_UNDONE
    wish.refresh_from_db()
    assert (wish.want, wish.agreed_at, wish.outcome) == ("go_on", None, "")


def test_two_people_finish_by_hand_what_a_provider_does_not(account: Account, staff: User, lead: User) -> None:
    with a_bank() as bank:
        bank.answer = lambda request: 1 / 0  # type: ignore[assignment,return-value]  # it raises
        subscription, wish = wished(account)
        Subscription.objects.filter(pk=subscription.pk).update(held_by="bank")
        agree_due(NOW + DAY)
        first, second = Actor.staff(staff), Actor.staff(lead)
        assert say_done(wish, Want.END, by=first, at=NOW + 2 * DAY) is Said.TO_BE_CONFIRMED
        with pytest.raises(NeedsAnotherPerson):
            say_done(wish, Want.END, by=first, at=NOW + 2 * DAY)
        assert say_done(wish, Want.END, by=second, at=NOW + 3 * DAY) is Said.DONE
    wish.refresh_from_db()
    assert (wish.done_by, wish.confirmed_by, wish.agreed_at) == (staff, lead, NOW + 3 * DAY)


def test_nobody_but_staff_says_so(account: Account) -> None:
    _subscription, wish = wished(account)
    for by in (Actor.owner(UserFactory()), Actor.system()):
        with pytest.raises(StaffOnly):
            say_done(wish, Want.END, by=by, at=NOW + 2 * DAY)
