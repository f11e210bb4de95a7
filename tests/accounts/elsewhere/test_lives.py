"""Whatever two stores, staff, kills and a restore do: nothing is certified before nothing is left, or two say so.

Random lives of one account whose erasing is due. The stores have data of their own, so each certificate is held against
what is really left. Then peace: stores behave, holds end, and all of it is erased and certified, or was called off and
nothing was asked. `HYPOTHESIS_PROFILE=thorough` lives through 2,000 of them.
"""

import random
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.core.refusal import Refused
from accounts.customers.history import Actor
from accounts.elsewhere import answers, by_hand, protocol
from accounts.elsewhere.protocol import Meaning, Report
from accounts.elsewhere.remote_erasure import How, RemoteErasure
from accounts.elsewhere.runner import ask_due
from accounts.elsewhere.store import RemoteStore
from accounts.erasure import holds, inventory, replay, scheduling
from accounts.erasure.runner import purge_due
from accounts.jobs.due_work import claim
from accounts.models import Account, Certificate, Hold, Purge, User
from tests.accounts.erasure.purging import oblige
from tests.factories import NOW, AccountFactory
from tests.fakes.store import BEHAVIOURS, TestStore

pytestmark = pytest.mark.django_db
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

ACTS = (
    *("sweep", "sweep", "sweep", "wait", "misbehave", "misbehave", "report", "hold", "release", "state", "approve"),
    *("call_off", "worker_dies", "back_up", "restore", "ask_again"),
)
#: What the account of a life has.
HAS = {"accounts.Account", "accounts.Membership", "accounts.User", "account.EmailAddress", "accounts.Hold"}
#: A byte at a time takes its time in each example: told apart (`test_asking`).
WAYS = sorted(set(BEHAVIOURS) - {"slow"})


@given(life=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 2**16)), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_certificate_exists_only_when_nothing_is_left_or_two_people_have_said_so(
    stores: list[RemoteStore], analytics: TestStore, mailing: TestStore, tmp_path: Path, life: list[tuple[str, int]]
) -> None:
    analytics.clear()
    mailing.clear()
    # What else an account may have is erased in other tests: here it would only take its time.
    others = [store.name for store in inventory.STORES.all() if store.model not in HAS]
    with inventory.STORES.without(*others), transaction.atomic():
        one = Life([analytics, mailing], tmp_path / "erasures.jsonl")
        for act, seed in life:
            one.goes_on(act, random.Random(seed))  # noqa: S311  # reproducible
        one.comes_to_rest()
        transaction.set_rollback(True)


class Life:
    """One account, three records of it in each store, and two leads."""

    def __init__(self, stores: list[TestStore], log: Path) -> None:
        self.stores, self.log, self.at = stores, log, NOW
        self.account: Account = AccountFactory()
        self.pk = self.account.pk
        self.leads = [
            Actor.staff(User.objects.create_user(email=f"{name}@example.com", is_staff=True)) for name in "ab"
        ]
        for store in stores:
            for number in range(3):
                store.put(self.pk, "documents", str(number))
        oblige(self.account)
        self.backup: str | None = None
        self.seen = 0

    def goes_on(self, act: str, chance: random.Random) -> None:
        with suppress(Refused, Account.DoesNotExist):
            getattr(self, act)(chance)
        self.is_honest()

    def is_honest(self) -> None:
        """Each certificate that was issued just now is held against what the stores really have."""
        certificates = list(Certificate.objects.filter(number__gt=self.seen))
        for certificate in certificates:
            assert [entry["store"] for entry in certificate.elsewhere] == ["analytics", "mailing"]
            for entry, store in zip(certificate.elsewhere, self.stores, strict=True):
                if entry["how"] == How.BY_HAND:
                    said = entry["stated_by_staff"]
                    assert said["stated_by"] != said["approved_by"]
                else:
                    assert (entry["left"], store.left_of(self.pk)) == (0, 0)
        self.seen += len(certificates)
        proven = Purge.objects.exclude(verified_at=None)
        assert not RemoteErasure.objects.open().filter(purge__in=proven).exists()
        if not Purge.objects.filter(started_at__isnull=False).exists() and self.backup is None:
            assert not any(store.posts() for store in self.stores)

    # Acts.

    def sweep(self, chance: random.Random) -> None:
        purge_due(self.at)
        ask_due(self.at)

    def wait(self, chance: random.Random) -> None:
        self.at += chance.choice([MINUTE, 5 * MINUTE, 2 * HOUR, DAY, 5 * DAY, 16 * DAY])

    def misbehave(self, chance: random.Random) -> None:
        store = chance.choice(self.stores)
        store.behaves, store.forgets = chance.choice(WAYS), chance.random() < 0.5

    def report(self, chance: random.Random) -> None:
        """A store reports, the truth or a lie, of any request that it ever had."""
        store = chance.choice(self.stores)
        if not store.requests:
            return
        request = chance.choice(sorted(store.requests))
        row = RemoteErasure.objects.filter(request=request).first()
        if chance.random() < 0.5:
            left = store.erase(store.requests[request])
            report = Report(status="done", erased={}, left=left)
        else:
            report = Report(status=chance.choice(["done", "in_progress", "refused", "deleted"]))
        said = protocol.understood(report)
        if row and said.meaning is Meaning.REPORT:
            answers.note(row, said, self.at, by=Actor.system())

    def hold(self, chance: random.Random) -> None:
        account = Account.objects.get(pk=self.pk)
        holds.set_hold(account, reason="a lawsuit", until=self.at + 3 * DAY, at=self.at, by=chance.choice(self.leads))

    def release(self, chance: random.Random) -> None:
        for hold in Hold.objects.filter(released_at=None):
            holds.release_hold(hold, at=self.at, by=chance.choice(self.leads))

    def state(self, chance: random.Random) -> None:
        for row in RemoteErasure.objects.open():
            by_hand.state(row, case_number="T-1", at=self.at, by=chance.choice(self.leads))

    def approve(self, chance: random.Random) -> None:
        for row in RemoteErasure.objects.open():
            with transaction.atomic():
                by_hand.approve(row, at=self.at, by=chance.choice(self.leads))

    def ask_again(self, chance: random.Random) -> None:
        for row in RemoteErasure.objects.open():
            by_hand.ask_again(row, at=self.at, by=self.leads[0])

    def call_off(self, chance: random.Random) -> None:
        scheduling.call_off(Account.objects.get(pk=self.pk), at=self.at, by=self.leads[0])

    def worker_dies(self, chance: random.Random) -> None:
        """It had claimed what was due, and perhaps sent it: the store has it, and nothing is written down here."""
        claim(Purge.objects.due, self.at)
        row = claim(RemoteErasure.objects.due, self.at)
        store = next((store for store in self.stores if row and store.name == row.store), None)
        if row and store and row.asked_at is None and chance.random() < 0.5 and not self._is_held():
            store.take({"data": {"request": str(row.request), "account": str(self.pk), "people": []}})

    def back_up(self, chance: random.Random) -> None:
        if self.backup is None:
            self.backup = transaction.savepoint()

    def restore(self, chance: random.Random) -> None:
        """The database is as it was; the stores are not. The log, which is younger, is replayed."""
        if self.backup is None:
            return
        replay.export(self.log)
        transaction.savepoint_rollback(self.backup)
        self.backup = None
        self.seen = Certificate.objects.count()
        list(replay.replay(self.log, at=self.at))

    def _is_held(self) -> bool:
        return holds.reason_to_wait(self.pk, self.at) is not None

    # Peace.

    def comes_to_rest(self) -> None:
        for store in self.stores:
            store.behaves = "at_once"
        self.release(random.Random(0))  # noqa: S311  # reproducible
        for row in RemoteErasure.objects.open():
            by_hand.ask_again(row, at=self.at, by=self.leads[0])
        for turn in range(6):
            if turn and not Purge.objects.open().exists() and not RemoteErasure.objects.open().exists():
                break
            self.at = self.at + 2 * HOUR
            self.sweep(random.Random(0))  # noqa: S311  # reproducible
            self.is_honest()
        assert not RemoteErasure.objects.open().exists()
        assert not Purge.objects.open().exists()
        for row in RemoteErasure.objects.all():
            assert (row.people, row.external_id) == ([], "")
        if Certificate.objects.exists():
            assert not Account.objects.filter(pk=self.pk).exists()
        else:
            assert Purge.objects.get().called_off_at is not None
