"""Bulk runs: one act for many rows, as rows. The `bulk` sweep rehearses them, and carries them out once confirmed.

A run is begun with its rows and what was posted for the act's form. The worker rehearses each row (performed, looked
at, rolled back), so that staff see what would happen to every one before they confirm; nothing has happened till then.
Then each row is performed in a transaction of its own, and how it went is noted in that same transaction: whenever a
worker is killed, a row was done and says so, or was not done and does not. What fails is tried again a few times;
then it stands as failed, with the reason, until staff try it again. `accounts.desk.bulk.worker` is the worker's side.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

from django.db import connection, models, transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core.errors import describe
from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.desk.actions.action import Act, act_named
from accounts.jobs.due_work import DueWork, DueWorkQuerySet

#: Of one run. More than that is a migration, with an engineer beside it.
MOST = 5000
#: Fields that a run needs nothing of.
LARGE = (models.BinaryField, models.JSONField, models.TextField)
#: A preview that nobody confirmed within this time shows a world that has changed since; the run is cancelled.
FRESH = timedelta(hours=24)
#: So often a row is tried before it stands as failed.
ATTEMPTS = 5
#: Rows written by one statement.
BATCH = 1000


class BulkRunQuerySet(models.QuerySet["BulkRun"]):
    def open(self) -> Self:
        """Neither finished nor cancelled."""
        return self.filter(finished_at=None, cancelled_at=None)

    def locked(self) -> Self:
        return self.select_for_update(no_key=True)


class BulkRun(models.Model):
    """One act for many rows, by one member of staff."""

    act = models.CharField(_("act"), max_length=60)
    by = models.ForeignKey(
        User, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+", verbose_name=_("by")
    )
    #: What was posted for the act's form, the reason among it; the form takes it again for each row. None: forgotten,
    #: because an account of the run has been erased, of which the texts may speak.
    values: "models.JSONField[Any, Any]" = models.JSONField(_("values"), null=True)
    total = models.PositiveIntegerField(_("rows"))
    #: Rows that were chosen, too, but whose account is being erased.
    left_out = models.PositiveIntegerField(_("left out"), default=0)
    created_at = models.DateTimeField(_("begun"))
    rehearsed_at = models.DateTimeField(_("rehearsed"), null=True, blank=True)
    confirmed_at = models.DateTimeField(_("confirmed"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    cancelled_at = models.DateTimeField(_("cancelled"), null=True, blank=True)

    objects = BulkRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("bulk run")
        verbose_name_plural = _("bulk runs")
        constraints = [
            # Whoever clicks twice begins once.
            models.UniqueConstraint(
                fields=["by", "act"],
                condition=models.Q(finished_at=None, cancelled_at=None),
                name="bulk_run_one_open_of_an_act",
            ),
            models.CheckConstraint(
                condition=models.Q(confirmed_at=None) | models.Q(rehearsed_at__isnull=False),
                name="bulk_run_rehearsed_before_confirmed",
            ),
            models.CheckConstraint(
                condition=models.Q(finished_at=None) | models.Q(confirmed_at__isnull=False, cancelled_at=None),
                name="bulk_run_finished_or_cancelled",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=models.Q(finished_at=None, cancelled_at=None),
                name="bulk_run_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.act}, {self.created_at:%Y-%m-%d %H:%M}Z"

    @property
    def phase(self) -> str:
        """One of `rehearsing`, `preview`, `running`, `finished`, `cancelled`."""
        if self.cancelled_at:
            return "cancelled"
        if self.finished_at:
            return "finished"
        if self.confirmed_at:
            return "running"
        return "preview" if self.rehearsed_at else "rehearsing"

    def tally(self) -> "Tally":
        """How many rows are where. One statement."""
        count = models.Count("pk")
        return Tally(
            **self.items.aggregate(
                known=count,
                rehearsed=models.Count("pk", filter=models.Q(rehearsed_at__isnull=False)),
                refused=models.Count("pk", filter=models.Q(refused_at__isnull=False)),
                done=models.Count("pk", filter=models.Q(done_at__isnull=False)),
                failed=models.Count("pk", filter=models.Q(failed_at__isnull=False)),
                left=models.Count("pk", filter=models.Q(left_at__isnull=False)),
            )
        )


@dataclass(frozen=True)
class Tally:
    """How many rows of a run are where. Each is in one place, but for `rehearsed`; `known` are all that still exist."""

    known: int
    rehearsed: int
    refused: int
    done: int
    failed: int
    left: int

    @property
    def waiting(self) -> int:
        return self.known - self.settled

    @property
    def settled(self) -> int:
        return self.refused + self.done + self.failed + self.left


class BulkItemQuerySet(DueWorkQuerySet["BulkItem"]):
    def open(self) -> Self:
        """Of which it is not yet said how they ended."""
        return self.filter(refused_at=None, done_at=None, failed_at=None, left_at=None)

    def unrehearsed(self) -> Self:
        return self.open().filter(rehearsed_at=None)

    def pending(self) -> Self:
        """To be performed: those of runs that are confirmed."""
        return self.open().filter(next_attempt_at__isnull=False)

    def to_rehearse(self, _at: datetime) -> Self:
        """To be rehearsed: at any time, the first of the oldest run first."""
        return self.unrehearsed().order_by("id")


class BulkItem(DueWork):
    """One row of a run: what the act would do to it, and how that went.

    It ends as done, refused (the act is not possible for it), failed (tried too often), or left (the run was
    cancelled before its turn). Names and texts are the account's: they are erased with it.
    """

    FIRST_WAIT = timedelta(seconds=30)
    WAITING_SINCE = "run__confirmed_at"
    OVERDUE = timedelta(hours=1)

    run = models.ForeignKey(BulkRun, on_delete=models.CASCADE, related_name="items", db_index=False)
    target_id = models.CharField(_("row"), max_length=60)
    #: No foreign key: a row may be about an account, or about none. Erased with it, by the inventory.
    account_id = models.UUIDField(_("account"), null=True, blank=True, db_index=True)
    name = models.CharField(_("name"), max_length=300)
    #: What the rehearsal said at the end, and the lines that it would write.
    would_say = models.TextField(_("would say"), blank=True)
    would_write: "models.JSONField[Any, Any]" = models.JSONField(_("would write"), default=list)
    rehearsed_at = models.DateTimeField(_("rehearsed"), null=True, blank=True)
    #: None until the run is confirmed.
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    #: How it ended, in words: what the act said, or why it was refused.
    outcome = models.TextField(_("outcome"), blank=True)
    done_at = models.DateTimeField(_("done"), null=True, blank=True)
    refused_at = models.DateTimeField(_("refused"), null=True, blank=True)
    failed_at = models.DateTimeField(_("failed"), null=True, blank=True)
    left_at = models.DateTimeField(_("left alone"), null=True, blank=True)

    objects = BulkItemQuerySet.as_manager()

    class Meta:
        verbose_name = _("row of a bulk run")
        verbose_name_plural = _("rows of bulk runs")
        constraints = [
            models.UniqueConstraint(fields=["run", "target_id"], name="bulk_item_once_a_run"),
            models.CheckConstraint(
                condition=models.Q(
                    models.lookups.LessThanOrEqual(
                        models.Func(
                            "done_at",
                            "refused_at",
                            "failed_at",
                            "left_at",
                            function="num_nonnulls",
                            output_field=models.IntegerField(),
                        ),
                        1,
                    )
                ),
                name="bulk_item_ends_once",
            ),
        ]
        indexes = [
            # All as small as what waits.
            models.Index(
                fields=["next_attempt_at", "id"],
                condition=models.Q(
                    refused_at=None, done_at=None, failed_at=None, left_at=None, next_attempt_at__isnull=False
                ),
                name="bulk_item_due",
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(refused_at=None, done_at=None, failed_at=None, left_at=None, rehearsed_at=None),
                name="bulk_item_unrehearsed",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> str:
        """One of `done`, `refused`, `failed`, `left`, `retrying`, `ready`, `waiting`."""
        for state in ("done", "refused", "failed", "left"):
            if getattr(self, f"{state}_at"):
                return state
        if self.attempts:
            return "retrying"
        return "ready" if self.rehearsed_at else "waiting"

    def fail(self, error: Exception, at: datetime) -> None:
        """As all due work; but one that can't be rehearsed is refused, and one that was tried too often has failed."""
        why = describe(error)
        if self.rehearsed_at is None:
            BulkItem.objects.filter(pk=self.pk).update(rehearsed_at=at, refused_at=at, outcome=why, last_error=why)
        elif self.attempts + 1 >= ATTEMPTS:
            self.put_off(why, at, failed_at=at, outcome=why)
        else:
            self.put_off(why, at)


def begin(
    act: Act, targets: "models.QuerySet[Any, Any]", values: Mapping[str, Any], *, by: Actor, at: datetime
) -> BulkRun:
    """Begin a run of `act` for these rows, with what was posted for its form. Nothing is done to them before `confirm`.

    Raises `Refused` for no rows, for more than `MOST`, and while another run of the same act by the same member of
    staff is open. Rows of accounts that are being erased, or are gone, are left out.
    """
    assert by.user is not None
    keys = list(targets.values_list("pk", flat=True)[: MOST + 1])
    if len(keys) > MOST:
        raise Refused(gettext("At most %(most)s rows at once. Please choose fewer.") % {"most": MOST})
    with transaction.atomic():
        # The person stands for all of their runs: of two clicks at once the second one sees what the first has begun.
        User.objects.select_for_update(no_key=True).get(pk=by.user.pk)
        if open_run := BulkRun.objects.open().filter(act=act.name, by=by.user).first():
            raise Refused(
                gettext("Your bulk run no. %(number)s of the same act is still open. Finish or cancel it first.")
                % {"number": open_run.pk}
            )
        rows = [_Row(row.pk, act.account_of(row), str(row)[:300]) for row in _read(targets.model, keys)]
        standing = _standing({row.account_id for row in rows if row.account_id})
        chosen = [row for row in rows if row.account_id is None or row.account_id in standing]
        if not chosen:
            raise Refused(gettext("There is no row that this could be done to."))
        run = BulkRun.objects.create(
            act=act.name,
            by=by.user,
            values=dict(values),
            total=len(chosen),
            left_out=len(rows) - len(chosen),
            created_at=at,
        )
        BulkItem.objects.bulk_create(
            (BulkItem(run=run, target_id=str(row.pk), account_id=row.account_id, name=row.name) for row in chosen),
            batch_size=BATCH,
        )
    return run


class _Row(NamedTuple):
    """What a run keeps of a row."""

    pk: object
    account_id: uuid.UUID | None
    name: str


def _read(model: type[models.Model], keys: Sequence[object]) -> Iterator[models.Model]:
    """The rows of these keys, in their order, a few at a time, and without what may be large, such as a body."""
    large = [field.name for field in model._meta.concrete_fields if isinstance(field, LARGE)]
    for begin in range(0, len(keys), BATCH):
        some = keys[begin : begin + BATCH]
        found = model._default_manager.defer(*large).in_bulk(some)
        yield from (found[key] for key in some if key in found)


def _standing(account_ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Those that are there and not being erased; the start of their purge waits until the run has been written."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM accounts_account WHERE id = ANY(%s) AND purging_at IS NULL ORDER BY id FOR KEY SHARE",
            [list(account_ids)],
        )
        return {account_id for (account_id,) in cursor.fetchall()}


def confirm(run: BulkRun, *, by: Actor, at: datetime) -> bool:
    """Have the rehearsed rows carried out. Returns whether anything changed.

    Only by the one who began it: that person's name will stand under every staff action. Raises `Refused`
    otherwise, and for a run that is not rehearsed, whose preview is too old, or that has nothing to do.
    """
    with transaction.atomic():
        run = BulkRun.objects.locked().get(pk=run.pk)
        if by.user is None or run.by_id != by.user.pk:
            raise Refused(gettext("Only the one who began a bulk run can confirm it."))
        if run.cancelled_at or run.rehearsed_at is None:
            raise Refused(gettext("There is no preview to confirm."))
        if run.confirmed_at:
            return False
        if at - run.rehearsed_at > FRESH:
            raise Refused(gettext("The preview is more than a day old. Please begin anew."))
        if not run.items.open().update(next_attempt_at=at):
            raise Refused(gettext("There is no row that this could be done to."))
        run.confirmed_at = at
        run.save(update_fields=["confirmed_at"])
    return True


def cancel(run: BulkRun, *, at: datetime) -> bool:
    """Leave alone every row that is not done yet. Returns whether anything changed.

    When this returns no further row begins: one that is being carried out just now is waited for, and stays as done.
    """
    with transaction.atomic():
        run = BulkRun.objects.locked().get(pk=run.pk)
        if run.finished_at or run.cancelled_at:
            return False
        run.items.open().update(left_at=at, next_attempt_at=None)
        run.cancelled_at = at
        run.save(update_fields=["cancelled_at"])
    return True


def retry(run: BulkRun, *, by: Actor, at: datetime) -> int:
    """Put the failed rows back in line. Returns how many. Only by the one who began it; raises `Refused`."""
    with transaction.atomic():
        if by.user:
            User.objects.select_for_update(no_key=True).get(pk=by.user.pk)
        run = BulkRun.objects.locked().get(pk=run.pk)
        if by.user is None or run.by_id != by.user.pk:
            raise Refused(gettext("Only the one who began a bulk run can have it tried again."))
        if run.cancelled_at or run.values is None:
            raise Refused(gettext("This run can't go on. Please begin anew."))
        if BulkRun.objects.open().filter(act=run.act, by=run.by).exclude(pk=run.pk).exists():
            raise Refused(gettext("Another run of the same act is still open. Finish or cancel it first."))
        failed = run.items.filter(failed_at__isnull=False)
        again = failed.update(failed_at=None, next_attempt_at=at, attempts=0)
        if again:
            run.finished_at = None
            run.save(update_fields=["finished_at"])
    return again


def act_of(run: BulkRun) -> Act | None:
    """The run's act; None if this version of the product no longer has it."""
    try:
        return act_named(run.act)
    except KeyError:
        return None
