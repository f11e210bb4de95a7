"""Proof of erasing: certificates that can't be altered unseen, and the log that is replayed after a restore."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pgtrigger
import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction

from accounts.blueprints.models import Blueprint
from accounts.core import clock
from accounts.erasure import hash_chain
from accounts.models import Account, Certificate, Membership, Purge, Role, System, User
from tests.accounts.erasure.purging import erase_all
from tests.factories import NOW, AccountFactory, BlueprintFactory, UserFactory, subscribe

pytestmark = pytest.mark.django_db


def run(*args: str) -> str:
    """What the command says; after it, the exit code if it is not zero."""
    out = StringIO()
    try:
        call_command(*args, stdout=out)
    except SystemExit as end:
        return f"{out.getvalue()}exit {end.code}"
    return out.getvalue()


def tamper(sql: str, *params: Any) -> None:
    """Change certificates behind the trigger's back, as an administrator of the database could."""
    with pgtrigger.ignore("accounts.Certificate:append_only"), connection.cursor() as cursor:
        cursor.execute(sql, params)


@pytest.fixture
def three() -> list[Certificate]:
    for _number in range(3):
        erase_all(AccountFactory())
    return list(Certificate.objects.all())


def test_a_certificate_says_what_was_erased_what_was_kept_and_when(account: Account) -> None:
    subscribe(account, at=NOW - timedelta(days=1), ends_at=NOW)
    BlueprintFactory(account=account)
    erase_all(account)
    body = Certificate.objects.get().body
    assert (body["number"], body["account"], body["cause"]) == (1, str(account.pk), "marketplace_cancellation")
    assert (body["deadline_met"], body["left"], body["replay_of"]) == (True, 0, None)
    assert body["erased"]["blueprints.Blueprint"] == body["erased"]["accounts.User"] == 1
    assert body["erased"]["subscriptions.Subscription"] == 1
    billing = next(entry for entry in body["kept"] if entry["what"] == "subscriptions.BillingRecord")
    assert (billing["records"], "tax" in billing["ground"]) == (1, True)
    assert json.loads(run("certificates"))["body"] == body


def test_certificates_follow_one_another(three: list[Certificate]) -> None:
    assert [certificate.number for certificate in three] == [1, 2, 3]
    assert [certificate.previous for certificate in three] == [hash_chain.NOTHING, three[0].hash, three[1].hash]
    assert run("certificates", "--verify") == "3 certificates, all sound.\n"


@pytest.mark.parametrize("act", ["update", "delete"])
def test_the_database_refuses_to_change_certificates(three: list[Certificate], act: str) -> None:
    rows = Certificate.objects.filter(number=2)
    with pytest.raises(ProgrammingError, match="Cannot update or delete"), transaction.atomic():
        rows.update(hash="0" * 64) if act == "update" else rows.delete()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("UPDATE accounts_certificate SET body = body || '{\"left\": 1}' WHERE number = 2", "certificate 2 is altered"),
        ("UPDATE accounts_certificate SET issued_at = now() WHERE number = 2", "certificate 2 is altered"),
        ("DELETE FROM accounts_certificate WHERE number = 2", "certificate 2 is missing"),
        ("DELETE FROM accounts_certificate WHERE number = 3", "is missing"),
        ("DELETE FROM accounts_certificate", "is missing"),
    ],
)
def test_a_certificate_that_was_altered_or_removed_shows(three: list[Certificate], sql: str, says: str) -> None:
    tamper(sql)
    said = run("certificates", "--verify")
    assert says in said
    assert said.endswith("exit 1")


def test_a_certificate_sealed_again_no_longer_fits_the_next_one(three: list[Certificate]) -> None:
    body = {**three[1].body, "deadline_met": False}
    tamper(
        "UPDATE accounts_certificate SET body = %s, hash = %s WHERE number = 2",
        json.dumps(body),
        hash_chain.seal(body, three[1].previous),
    )
    assert "certificate 3 does not follow the one before" in run("certificates", "--verify")


def test_an_exported_file_altered_by_any_one_byte_says_so(three: list[Certificate], tmp_path: Path) -> None:
    file = tmp_path / "certificates.jsonl"
    assert run("certificates", "--export", str(file)) == f"3 certificates written to {file}.\n"
    assert run("certificates", "--verify-file", str(file)) == "The file is as it was written.\n"
    sound = file.read_bytes()
    for place in range(0, len(sound), 97):
        file.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        assert run("certificates", "--verify-file", str(file)).endswith("exit 1"), place
    for other in (sound[:-1], sound + b" ", b"", b"\n", sound.rsplit(b"\n", 2)[0] + b"\n"):
        file.write_bytes(other)
        assert run("certificates", "--verify-file", str(file)).endswith("exit 1"), other


def test_an_exported_file_shows_what_was_altered_in_the_database_since(
    three: list[Certificate], tmp_path: Path
) -> None:
    file = tmp_path / "certificates.jsonl"
    run("certificates", "--export", str(file))
    tamper("DELETE FROM accounts_certificate WHERE number = 3")
    assert "certificate 3 is missing from this database" in run("certificates", "--verify-file", str(file))


def test_a_file_that_can_not_be_written_leaves_nothing_behind(three: list[Certificate], tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="was not written"):
        run("certificates", "--export", str(tmp_path / "missing" / "file"))
    with pytest.raises(CommandError, match="was not written"):
        run("erasures", "--export", str(tmp_path / "missing" / "file"))
    assert list(tmp_path.iterdir()) == []


def restore(account: Account, owner: User) -> None:
    """As from a backup made before the purge."""
    account.purging_at = None
    account.save(force_insert=True)
    owner.save(force_insert=True)
    Membership.objects.create(account=account, user=owner, role=Role.OWNER)
    BlueprintFactory(account=account)
    # Paid for when the backup was made.
    subscribe(account, at=clock.now() - timedelta(days=3))


def test_after_a_restore_everything_in_the_log_is_erased_again_with_proof(
    account: Account, owner: User, tmp_path: Path
) -> None:
    untouched = BlueprintFactory()
    erase_all(AccountFactory())
    erase_all(account)
    log = tmp_path / "erasures.jsonl"
    assert run("erasures", "--export", str(log)) == f"2 erasures written to {log}.\n"
    assert "example" not in log.read_text()
    restore(account, owner)

    assert run("erasures", "--replay", str(log)) == (
        f"{account.pk} erased again, certificate 3\n1 erased again, 1 not in this database, 0 failed.\n"
    )

    assert not Account.objects.filter(pk=account.pk).exists()
    assert not User.objects.filter(pk=owner.pk).exists()
    assert list(Blueprint.objects.all()) == [untouched]
    proof, first = Certificate.objects.get(number=3), Certificate.objects.get(number=2)
    assert proof.body["replay_of"] == first.body["verified_at"]
    assert proof.body["erased"]["blueprints.Blueprint"] == 1
    assert run("certificates", "--verify") == "3 certificates, all sound.\n"
    assert run("erasures", "--replay", str(log)).endswith("0 erased again, 2 not in this database, 0 failed.\n")


def test_a_replay_ends_whatever_becomes_of_its_purge_meanwhile(account: Account, owner: User, tmp_path: Path) -> None:
    erase_all(account)
    log = tmp_path / "erasures.jsonl"
    run("erasures", "--export", str(log))
    restore(account, owner)
    # As if somebody called it off in the moment between two statements.
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION call_off() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.called_off_at = NEW.received_at; RETURN NEW; END $$; "
            "CREATE TRIGGER call_off BEFORE INSERT ON accounts_purge FOR EACH ROW EXECUTE FUNCTION call_off()"
        )
    assert run("erasures", "--replay", str(log)) == (
        f"{account.pk} failed, will be tried again: the purge was called off meanwhile\n"
        "0 erased again, 0 not in this database, 1 failed.\nexit 1"
    )


def test_a_log_of_another_installation_or_an_altered_one_erases_nothing(account: Account, tmp_path: Path) -> None:
    erase_all(AccountFactory())
    log = tmp_path / "erasures.jsonl"
    run("erasures", "--export", str(log))
    altered = tmp_path / "altered.jsonl"
    altered.write_text(log.read_text().replace(str(Certificate.objects.get().account_id), str(account.pk)))
    with pytest.raises(CommandError, match="Nothing was erased: line 2 is altered"):
        run("erasures", "--replay", str(altered))
    run("certificates", "--export", str(altered))
    with pytest.raises(CommandError, match="this is not a file of erasures"):
        run("erasures", "--replay", str(altered))
    System.objects.all().delete()
    System.objects.create()
    with pytest.raises(CommandError, match="of another installation"):
        run("erasures", "--replay", str(log))
    assert Account.objects.filter(pk=account.pk).exists()
    assert Purge.objects.count() == 1


def test_a_file_that_does_not_exist_is_named() -> None:
    for args in (["erasures", "--replay", "nowhere"], ["certificates", "--verify-file", "nowhere"]):
        with pytest.raises(CommandError, match="There is no file nowhere"):
            run(*args)
    with pytest.raises(CommandError, match="no certificate 7"):
        run("certificates", "--show", "7")


def test_the_person_in_a_restored_account_who_has_joined_another_one_since_stays(
    account: Account, owner: User, tmp_path: Path
) -> None:
    erase_all(account)
    log = tmp_path / "erasures.jsonl"
    run("erasures", "--export", str(log))
    restore(account, owner)
    elsewhere = AccountFactory(owner=UserFactory())
    Membership.objects.create(account=elsewhere, user=owner, role=Role.USER)
    run("erasures", "--replay", str(log))
    assert list(owner.accounts.all()) == [elsewhere]
