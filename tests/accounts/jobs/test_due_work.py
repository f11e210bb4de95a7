"""The one loop for due work: a row owns its failure, waits longer after each, and never stops another."""

from datetime import datetime, timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.test.utils import isolate_apps

from accounts.core.errors import MAX_ERROR, describe
from accounts.jobs.due_work import MORE, NotYet, claim, run_due
from accounts.mail.notices import queue
from accounts.models import Account, Notice, User
from tests.factories import NOW, UserFactory

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
RUN = timedelta(seconds=30)


@pytest.fixture
def notices(account: Account) -> list[Notice]:
    """Three rows of work, in the order in which they are due."""
    for number in range(3):
        queue("accounts/x", to=[UserFactory()], account=account, occasion=str(number), at=NOW + number * MINUTE)
    return list(Notice.objects.order_by("queued_at"))


def done(notice: Notice, at: datetime) -> bool:
    return bool(Notice.objects.filter(pk=notice.pk, sent_at=None).update(sent_at=at))


def due() -> list[str]:
    return list(Notice.objects.due(NOW + 2 * MINUTE).values_list("occasion", flat=True))


@pytest.mark.parametrize("held", [False, True])
def test_whatever_one_row_raises_is_noted_on_it_and_the_others_go_on(notices: list[Notice], *, held: bool) -> None:
    def work(notice: Notice, at: datetime) -> bool:
        if notice.occasion == "1":
            # What the work did before it failed is undone where the row is held.
            Notice.objects.filter(pk=notice.pk).update(kind="half done")
            raise ZeroDivisionError("poison")
        return done(notice, at)

    assert run_due(Notice.objects.due, work, at=NOW + 2 * MINUTE, run=RUN, held=held) == 2
    poison = Notice.objects.unsent().get()
    assert (poison.occasion, poison.attempts, poison.last_error) == ("1", 1, "ZeroDivisionError: poison")
    assert poison.next_attempt_at == NOW + 3 * MINUTE
    assert poison.kind == ("accounts/x" if held else "half done")


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_what_the_database_refuses_at_commit_is_noted_on_the_row(notices: list[Notice]) -> None:
    def work(notice: Notice, at: datetime) -> bool:
        if notice.occasion == "0":
            Notice.objects.filter(pk=notice.pk).update(recipient=2_000_000_000)
        return done(notice, at)

    assert run_due(Notice.objects.due, work, at=NOW + 2 * MINUTE, run=RUN, held=True) == 2
    assert Notice.objects.get(occasion="0").last_error.startswith("ForeignKeyViolation: insert or update on table")


def test_waits_double_up_to_the_longest(notices: list[Notice]) -> None:
    notice = notices[0]
    waits = []
    for _time in range(12):
        notice.put_off("no", NOW)
        waits.append((notice.next_attempt_at - NOW) // MINUTE)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]
    assert Notice.wait_after(10_000) == timedelta(hours=6)


def test_work_may_say_when_it_can_be_done_without_counting_that_as_a_failure(notices: list[Notice]) -> None:
    def work(notice: Notice, at: datetime) -> bool:
        raise NotYet("the rate limit", until=at + 7 * MINUTE, counts=False)

    assert run_due(Notice.objects.due, work, at=NOW, run=RUN) == 0
    notice = Notice.objects.get(occasion="0")
    assert (notice.attempts, notice.last_error, notice.next_attempt_at) == (0, "the rate limit", NOW + 7 * MINUTE)


@pytest.mark.parametrize("held", [False, True])
def test_whoever_wants_another_turn_gets_it_after_everybody_else(notices: list[Notice], *, held: bool) -> None:
    turns: list[str] = []

    def work(notice: Notice, at: datetime) -> object:
        turns.append(notice.occasion)
        return done(notice, at) if turns.count(notice.occasion) == 3 else MORE

    assert run_due(Notice.objects.due, work, at=NOW + 2 * MINUTE, run=RUN, held=held) == 3  # type: ignore[arg-type]
    assert turns == ["0", "1", "2"] * 3


def test_a_run_ends_in_time_and_the_next_one_goes_on(notices: list[Notice]) -> None:
    assert run_due(Notice.objects.due, done, at=NOW + 2 * MINUTE, run=timedelta(0)) == 0
    assert due() == ["0", "1", "2"]


def test_work_that_leaves_its_row_as_it_was_does_not_keep_a_run_busy(notices: list[Notice]) -> None:
    turns: list[str] = []

    def work(notice: Notice, at: datetime) -> bool:
        turns.append(notice.occasion)
        return False

    assert run_due(Notice.objects.due, work, at=NOW + 2 * MINUTE, run=RUN) == 0
    assert turns == ["0", "1", "2"]


def test_a_worker_whose_lease_is_over_notes_nothing_any_more(notices: list[Notice]) -> None:
    one = Notice.objects.filter(pk=notices[0].pk)
    late = claim(one.due, NOW)
    other = claim(one.due, NOW + Notice.LEASE)
    assert late is not None
    assert other is not None
    assert late.pk == other.pk
    assert not late.put_off("too late", NOW + Notice.LEASE)
    stored = Notice.objects.get(pk=other.pk)
    assert (stored.last_error, stored.next_attempt_at) == ("", NOW + 2 * Notice.LEASE)
    assert other.put_off("in time", NOW + Notice.LEASE)
    assert Notice.objects.get(pk=other.pk).last_error == "in time"


def test_a_row_put_back_in_line_while_it_is_worked_on_is_not_put_off(notices: list[Notice]) -> None:
    def work(notice: Notice, at: datetime) -> bool:
        Notice.objects.filter(pk=notice.pk).update(next_attempt_at=NOW + MINUTE)
        raise ZeroDivisionError

    run_due(Notice.objects.due, work, at=NOW, run=RUN)
    assert Notice.objects.get(occasion="0").next_attempt_at == NOW + MINUTE


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "x" * 9000])
def test_an_error_that_the_database_would_not_take_is_noted_all_the_same(notices: list[Notice], text: str) -> None:
    def work(notice: Notice, at: datetime) -> bool:
        raise ValueError(text)

    assert run_due(Notice.objects.due, work, at=NOW, run=RUN) == 0
    noted = Notice.objects.get(occasion="0").last_error
    assert noted.startswith(("ValueError: ab", "ValueError: a?b", "ValueError: xxx"))
    assert len(noted) <= MAX_ERROR


def test_an_error_that_cannot_say_what_it_is_is_named_by_its_class() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert describe(Mute()) == "Mute"


def test_an_error_of_the_database_is_told_without_the_values_of_rows(owner: User) -> None:
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        UserFactory(email=owner.email)
    assert "owner@example.org" in str(caught.value)
    assert describe(caught.value).startswith("UniqueViolation: duplicate key value violates unique constraint")
    assert "owner@example.org" not in describe(caught.value)


@isolate_apps("accounts")
def test_a_row_whose_own_way_of_noting_is_broken_is_noted_all_the_same(notices: list[Notice]) -> None:
    class Broken(Notice):
        class Meta:
            proxy = True
            app_label = "accounts"

        def fail(self, error: Exception, at: datetime) -> None:
            raise TypeError("and that, too")

    def work(notice: Broken, at: datetime) -> bool:
        raise ZeroDivisionError("poison")

    def due(at: datetime) -> QuerySet[Broken]:
        return Broken._base_manager.filter(next_attempt_at__lte=at)

    run_due(due, work, at=NOW, run=RUN)
    stored = Notice.objects.get(occasion="0")
    assert (stored.attempts, stored.last_error) == (1, "ZeroDivisionError: poison")


def test_what_is_old_is_overdue_however_seldom_it_was_tried(notices: list[Notice]) -> None:
    Notice.objects.update(attempts=0, next_attempt_at=NOW + timedelta(days=1))
    assert not Notice.objects.overdue(NOW + 15 * MINUTE).exists()
    assert [notice.occasion for notice in Notice.objects.overdue(NOW + 16 * MINUTE)] == ["0"]


def test_a_run_that_is_interrupted_is_the_failure_of_the_row_that_it_hung_on(notices: list[Notice]) -> None:
    """The worker's soft time limit raises where the work is."""

    def work(notice: Notice, at: datetime) -> bool:
        if notice.occasion == "0":
            raise SoftTimeLimitExceeded
        return done(notice, at)

    assert run_due(Notice.objects.due, work, at=NOW + 2 * MINUTE, run=RUN) == 2
    assert Notice.objects.unsent().get().last_error.startswith("SoftTimeLimitExceeded")


@pytest.mark.parametrize("held", [False, True])
def test_a_row_that_can_not_even_be_read_is_put_off_and_the_others_go_on(notices: list[Notice], *, held: bool) -> None:
    with connection.cursor() as cursor:
        # Python's years end with 9999.
        cursor.execute("UPDATE accounts_notice SET queued_at = '20000-01-01' WHERE occasion = '0'")
    assert run_due(Notice.objects.due, done, at=NOW + 2 * MINUTE, run=RUN, held=held) == 2
    found = Notice.objects.unsent().values_list("occasion", "last_error", "next_attempt_at").get()
    assert found == ("0", "DataError: timestamp too large (after year 10K): '20000-01-01 00:00:00+00'", found[2])
    assert found[2] == NOW + 2 * MINUTE + Notice.LONGEST_WAIT


def test_held_work_that_leaves_its_row_as_it_was_is_put_off(notices: list[Notice]) -> None:
    turns: list[str] = []

    def work(notice: Notice, at: datetime) -> bool:
        turns.append(notice.occasion)
        return False

    assert run_due(Notice.objects.due, work, at=NOW + 2 * MINUTE, run=RUN, held=True) == 0
    assert turns == ["0", "1", "2"]
    assert set(Notice.objects.values_list("last_error", flat=True)) == {"the work left it as it was"}
