"""One poison row in each sweep: it harms nobody else, says what is wrong with it, and is named by `doctor`.

Poison is what no code of ours foresees: the database itself refuses the very statement that would finish the row.
(`tests/marketplace/github/test_reconciliation.py` and `…/aws/test_reconciliation.py` have it for the two walks.)
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import StringIO
from operator import attrgetter
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection
from django.db.models import Model
from django.test import Client

from accounts.api import tokens
from accounts.api.idempotency import ApiCall
from accounts.api.tokens import Scope
from accounts.customers.history import Actor
from accounts.desk.actions.action import act_named
from accounts.desk.bulk import run as bulk
from accounts.desk.bulk.worker import work_through
from accounts.erasure.last_mail import LastMail
from accounts.exports import export
from accounts.jobs import sweeps
from accounts.jobs.batches import RowsFailed
from accounts.mail import notices
from accounts.models import Delivery, EventMessage, Invitation, Notice, Role, User
from accounts.people import inviting
from accounts.signing_in.session import Session
from marketplace.models import GitHubCustomer, OffboardingStep
from subscriptions import catalogue
from subscriptions.billing_record import keep
from subscriptions.models import BillingRecord, Interval, Plan, Price, Repricing, Subscription
from subscriptions.pricing.repricing import reprice_due
from subscriptions.refunds import decisions
from subscriptions.refunds.paying import say_paid
from subscriptions.refunds.refund import Ends
from tests.accounts.erasure.purging import erase_all, oblige
from tests.factories import NOW, AccountFactory, subscribe
from tests.marketplace.conftest import World, deliver
from tests.marketplace.github.test_reconciliation import buyers

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
Row = Model


@dataclass(frozen=True)
class Poison:
    """Two rows of work, the first of which can't be finished."""

    rows: Callable[..., Sequence[Row]]
    #: What the database refuses of the first row, as a condition on `NEW`; empty: to delete it.
    refused: str
    #: Whether a row was finished.
    done: Callable[[Row], bool]
    #: What `doctor` calls it, and where the row says why; for a row that can't, the sweep itself does.
    named: str
    says: str = "last_error"
    #: The field by which `doctor` names the row.
    example: str = "pk"


def ended(**options: Any) -> Sequence[Row]:
    return [subscribe(at=NOW - 30 * DAY, ends_at=NOW - DAY) for _number in range(2)]


def ending(**options: Any) -> Sequence[Row]:
    return [subscribe(at=NOW - 30 * DAY, ends_at=NOW + 80 * DAY, channel="datadog_sales") for _number in range(2)]


def refunds(lead: User, **options: Any) -> Sequence[Row]:
    found = []
    for _number in range(2):
        subscription = subscribe(at=NOW - DAY)
        by = Actor.staff(lead)
        refund = decisions.propose(
            subscription,
            cents=100,
            currency="USD",
            ends=Ends.CYCLE_END,
            payment_reference="ch_1",
            by=by,
            at=NOW - DAY,
        )[0]
        decisions.approve(refund, by=by, at=NOW - DAY)
        say_paid(refund, payment_reference="re_1", by=by, at=NOW - DAY)
        found.append(refund)
    return found


def mails(**options: Any) -> Sequence[Row]:
    for number in range(2):
        account = AccountFactory()
        notices.queue(
            "accounts/export_ready", to=[account.owner()], account=account, occasion=f"{number}", at=NOW, expires_at=NOW
        )
    return list(Notice.objects.order_by("occasion"))


def deliveries(world: World, **options: Any) -> Sequence[Row]:
    for _number in range(2):
        deliver(world.github.ping(), NOW)
    return list(Delivery.objects.order_by("pk"))


def leavers(world: World, **options: Any) -> Sequence[Row]:
    plan = world.github.listing_plan(name="Pro", monthly=900)
    for buyer in buyers(world, plan, 2):
        world.hears(world.github.cancel(buyer))
    return list(OffboardingStep.objects.filter(kind="confirm").order_by("pk"))


def customers(world: World, **options: Any) -> Sequence[Row]:
    plan = world.github.listing_plan(name="Pro", monthly=900)
    found = [world.account_of(buyer).github_customer for buyer in buyers(world, plan, 2)]
    for customer in found:
        customer.heard_of(world.now)
        customer.save()
    return found


def exports(**options: Any) -> Sequence[Row]:
    return [export.ask(AccountFactory(), by=Actor.system(), at=NOW - 2 * DAY)[0] for _number in range(2)]


def bulk_rows(lead: User, **options: Any) -> Sequence[Row]:
    by = Actor.staff(lead)
    targets = [subscribe(at=NOW - DAY) for _number in range(2)]
    found = Subscription.objects.filter(pk__in=[target.pk for target in targets])
    run = bulk.begin(
        act_named("cancel"),
        found,
        {"reason": "bulk", "why": "", "identity": ["owner_email", "card_digits"]},
        by=by,
        at=NOW - DAY,
    )
    work_through(NOW - DAY)
    run.refresh_from_db()
    bulk.confirm(run, by=by, at=NOW - DAY)
    return list(run.items.order_by("pk"))


def purges(**options: Any) -> Sequence[Row]:
    return [oblige(AccountFactory()) for _number in range(2)]


def last_mails(**options: Any) -> Sequence[Row]:
    """Two that bring the certificates of two accounts."""
    return [LastMail.objects.get(purge=erase_all(AccountFactory())) for _number in range(2)]


def old_bodies(**options: Any) -> Sequence[Row]:
    long_ago = NOW - 400 * DAY
    options = {"source": "github", "event": "x", "body": b"{}", "digest": bytes(32), "received_at": long_ago}
    done = {"processed_at": long_ago, "outcome": "applied"}
    return [Delivery.objects.create(delivery_id=str(number), **options, **done) for number in range(2)]


def sessions(**options: Any) -> Sequence[Row]:
    return [Session.objects.create(session_key=f"{key}" * 40, session_data="", expire_date=NOW) for key in "ab"]


def records(**options: Any) -> Sequence[Row]:
    for _number in range(2):
        account = AccountFactory()
        subscribe(account, at=NOW - 30 * DAY, ends_at=NOW - DAY)
        keep(account.pk, NOW - 4000 * DAY)
    BillingRecord.objects.update(kept_until=NOW - DAY)
    return list(BillingRecord.objects.order_by("pk"))


def invitations(**options: Any) -> Sequence[Row]:
    for number in range(2):
        account = AccountFactory()
        owner = account.owner()
        assert owner is not None
        email = f"guest{number}@new.example"
        inviting.invite(account, email=email, role=Role.USER, by=Actor.owner(owner), at=NOW - 60 * DAY)
    Notice.objects.update(sent_at=NOW - 60 * DAY)
    return list(Invitation.objects.order_by("pk"))


def calls(**options: Any) -> Sequence[Row]:
    token, _text = tokens.make("product", Scope.values, by=Actor.system(), at=NOW - 60 * DAY)
    return [
        ApiCall.objects.create(token=token, key=key * 64, body="0" * 64, status=201, resource="x", at=NOW - 60 * DAY)
        for key in "ab"
    ]


def new_price(cents: int, *, at: datetime) -> Price:
    """Of Pro by the month, for existing subscriptions, too; their owners are told 30 days ahead."""
    plan = Plan.objects.get(code="pro")
    options: dict[str, Any] = {"interval": Interval.MONTHLY, "currency": "USD", "notice": 30 * DAY}
    return catalogue.set_price(plan, cents=cents, at=at, **options)[0]


def repricings(**options: Any) -> Sequence[Row]:
    """Two of which the owners should be told by `NOW`."""
    for _number in range(2):
        subscribe(at=NOW - 40 * DAY)
    new_price(5900, at=NOW - 35 * DAY)
    reprice_due(NOW - 35 * DAY)
    assert not Repricing.objects.exclude(told_at=None).exists()
    return list(Repricing.objects.order_by("pk"))


def messages(**options: Any) -> Sequence[Row]:
    """Two that nobody has had yet, of an account each."""
    return [
        EventMessage.objects.create(
            account_id=AccountFactory().pk,
            type="member.added",
            body="{}",
            happened_at=NOW,
            recorded_at=NOW - timedelta(hours=1),
        )
        for _number in range(2)
    ]


def gone(row: Row) -> bool:
    return not type(row)._base_manager.filter(pk=row.pk).exists()


def has(field: str) -> Callable[[Row], bool]:
    return lambda row: bool(type(row)._base_manager.filter(pk=row.pk).values_list(field, flat=True).get())


POISON = {
    "settle": Poison(ended, "settled_at IS NOT NULL", has("settled_at"), "unsettled-subscription"),
    "remind": Poison(
        ending,
        "next_reminder_at IS DISTINCT FROM OLD.next_reminder_at",
        lambda row: Notice.objects.filter(account=row.account_id).exists(),  # type: ignore[attr-defined]
        "reminder-overdue",
    ),
    "refunds": Poison(refunds, "ended_at IS NOT NULL", has("ended_at"), "refund-not-ended", example="reference"),
    "notices": Poison(mails, "sent_at IS NOT NULL", has("sent_at"), "unsent-mail"),
    "deliveries": Poison(deliveries, "processed_at IS NOT NULL", has("processed_at"), "unprocessed-delivery"),
    "events": Poison(
        messages,
        "position IS NOT NULL",
        has("position"),
        "unpublished-message",
        says="",
        example="account_id",
    ),
    "offboard": Poison(leavers, "done_at IS NOT NULL", has("done_at"), "offboarding-step"),
    "github-check": Poison(
        customers,
        "checked_at IS DISTINCT FROM OLD.checked_at",
        lambda row: GitHubCustomer.objects.get(pk=row.pk).checked_at != row.checked_at,  # type: ignore[attr-defined]
        "github-check",
        says="check_error",
    ),
    "export": Poison(exports, "finished_at IS NOT NULL", has("finished_at"), "export-overdue", example="account_id"),
    "bulk": Poison(bulk_rows, "done_at IS NOT NULL", has("done_at"), "bulk-run", example="run_id"),
    "purge": Poison(purges, "verified_at IS NOT NULL", has("verified_at"), "purge-overdue", example="account_id"),
    "last-mail": Poison(
        last_mails, "sent_at IS NOT NULL", has("sent_at"), "last-mail-unsent", example="purge.account_id"
    ),
    "hygiene": Poison(old_bodies, "body IS NULL", lambda row: not has("body")(row), "sweep-failed", says=""),
    "sessions": Poison(sessions, "", gone, "sweep-failed", says=""),
    "invitations": Poison(
        invitations,
        "",
        # Its mail, too, though an invitation before it resists.
        lambda row: gone(row) and not Notice.objects.filter(address=row.email).exists(),  # type: ignore[attr-defined]
        "sweep-failed",
        says="",
    ),
    "api-calls": Poison(calls, "", gone, "sweep-failed", says=""),
    "reprice": Poison(repricings, "told_at IS NOT NULL", has("told_at"), "repricing-overdue"),
    "retention": Poison(records, "", gone, "sweep-failed", says=""),
}
#: What has a test of its own elsewhere, in the same words: a poison row, the others go on, `doctor` names it.
ELSEWHERE = {
    "aws-check",
    "aws-confirm",
    "aws-reconcile",
    "elsewhere",
    "export-elsewhere",
    "github-reconcile",
    "purchases",
    "stripe-check",
    "stripe-forget",
    "stripe-reconcile",
    "wishes",
}


def poison(row: Row, refused: str) -> None:
    """From now on the database refuses to finish this row."""
    operation, returned = ("UPDATE", "NEW") if refused else ("DELETE", "OLD")
    table, key = row._meta.db_table, row._meta.pk.column
    when = f"OLD.{key} = '{row.pk}'" + (f" AND (NEW.{refused})" if refused else "")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            f"CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {when} THEN "
            f"RAISE EXCEPTION 'poison of %', '{row.pk}' USING ERRCODE = 'check_violation'; END IF; "
            f"RETURN {returned}; END $$; "
            f"CREATE TRIGGER zz_poison BEFORE {operation} ON {table} FOR EACH ROW EXECUTE FUNCTION poison()"
        )


def test_every_sweep_has_its_poison() -> None:
    assert {sweep.name for sweep in sweeps.registered()} == POISON.keys() | ELSEWHERE


@pytest.mark.parametrize("name", POISON)
def test_a_poison_row_harms_nobody_says_what_is_wrong_and_is_named_by_doctor(
    name: str, world: World, lead: User, settings: Any, tmp_path: Any
) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = "config.mail.FolderBackend", str(tmp_path)
    case = POISON[name]
    bad, good = case.rows(world=world, lead=lead)
    poison(bad, case.refused)
    sweep = sweeps.named(name)
    # More than once: it is not in the way of itself or of the others for ever.
    for minutes in (0, 10):
        with suppress(RowsFailed):
            sweeps.run_and_note(sweep, world.now + timedelta(minutes=minutes))
    assert case.done(good)
    assert not case.done(bad)
    if case.says:
        why = type(bad)._base_manager.values_list(case.says, flat=True).get(pk=bad.pk)
        assert why == f"CheckViolation: poison of {bad.pk}"
    out = StringIO()
    with time_machine.travel(world.now + 2 * DAY, tick=False):
        with suppress(SystemExit):
            call_command("doctor", stdout=out)
        client = Client()
        client.force_login(lead, backend="allauth.account.auth_backends.AuthenticationBackend")
        page = client.get("/admin/").content.decode()
    (line,) = (line for line in out.getvalue().splitlines() if case.named in line)
    example = attrgetter(case.example)
    assert str(example(bad)) in line
    assert str(example(good)) not in line or name == "bulk"
    # The same words stand on the desk's first page.
    assert line.removeprefix("warning: ").split(" (")[0].split(" ", 2)[2] in page


def test_an_overtaken_price_that_can_not_be_dropped_is_in_nobodys_way() -> None:
    bad, good = repricings()
    poison(bad, "dropped_at IS NOT NULL")
    newer = new_price(6900, at=NOW - 34 * DAY)
    for minutes in (0, 10):
        reprice_due(NOW - 34 * DAY + timedelta(minutes=minutes))
    found = Repricing.objects.get(pk=bad.pk)
    assert (found.dropped_at, found.last_error) == (None, f"CheckViolation: poison of {bad.pk}")
    assert has("dropped_at")(good)
    planned = Repricing.objects.filter(price=newer)
    assert list(planned.values_list("subscription_id", flat=True)) == [good.subscription_id]  # type: ignore[attr-defined]
