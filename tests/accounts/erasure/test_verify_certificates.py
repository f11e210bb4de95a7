"""An auditor checks certificates with one file, `docs/verify_certificates.py`, and without our database."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from accounts.erasure import hash_chain
from accounts.models import Certificate
from tests.accounts.erasure.purging import erase_all
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db

SCRIPT = settings.BASE_DIR / "docs" / "verify_certificates.py"


def verify(*arguments: object) -> tuple[int, str]:
    """Exit code and output of the command, run as an auditor runs it: elsewhere, with nothing of ours in reach."""
    command = [sys.executable, "-I", str(SCRIPT), *map(str, arguments)]
    ended = subprocess.run(command, cwd="/", env={}, capture_output=True, text=True, timeout=30, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture
def three(db: None) -> list[Certificate]:
    for _number in range(3):
        erase_all(AccountFactory())
    return list(Certificate.objects.all())


@pytest.fixture
def chain(three: list[Certificate], tmp_path: Path) -> Path:
    path = tmp_path / "certificates.jsonl"
    call_command("certificates", "--export", str(path), verbosity=0)
    return path


@pytest.fixture
def one(three: list[Certificate], tmp_path: Path) -> Path:
    path = tmp_path / "certificate-2.json"
    path.write_text(three[1].as_json())
    return path


def again(path: Path, **changes: Any) -> Path:
    """The certificate in this file with another body, sealed again by whoever could."""
    record = json.loads(path.read_text())
    body = {**record["body"], **changes}
    other = path.with_name("other.json")
    other.write_text(json.dumps({**record, "body": body, "hash": hash_chain.seal(body, record["previous"])}))
    return other


def test_the_whole_chain_and_one_certificate_are_found_sound(chain: Path, one: Path, three: list[Certificate]) -> None:
    code, said = verify(chain)
    assert (code, said.splitlines()[0]) == (0, "3 certificates, all sound.")
    assert three[2].hash in said
    code, said = verify(one)
    assert (code, said.splitlines()[0]) == (0, "Certificate 2 is sound.")
    assert str(three[1].account_id) in said
    assert verify(one, "--chain", chain)[0] == 0
    assert verify(chain, "--earlier", chain)[0] == 0


def test_a_certificate_written_more_legibly_is_the_same_one(one: Path) -> None:
    one.write_text(json.dumps(json.loads(one.read_text()), indent=2))
    assert verify(one)[0] == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"deadline_met":true', '"deadline_met":false'),
        ('"number":2', '"number":3'),
        ('{"body":', '{"body":{},"body":'),
        ('"left":0', '"left":NaN'),
        ('"left":0', '"left":0,"left":0'),
        ("}", ""),
    ],
)
def test_a_certificate_with_anything_altered_is_refused(one: Path, before: str, after: str) -> None:
    text = one.read_text()
    assert before in text
    one.write_text(text.replace(before, after))
    code, said = verify(one)
    assert (code, said[:10]) == (1, "Not sound:")


def test_one_that_does_not_say_that_nothing_was_left_is_refused_though_its_hash_fits(one: Path) -> None:
    assert verify(again(one, left=3)) == (1, "Not sound: certificate 2 does not say that nothing was left.\n")


def test_one_sealed_again_is_not_the_one_in_the_chain(one: Path, chain: Path) -> None:
    other = again(one, deadline_met=False)
    assert verify(other)[0] == 0
    assert verify(other, "--chain", chain) == (1, "Not sound: certificate 2 is not the one in the chain.\n")


def test_a_chain_with_a_line_missing_or_altered_is_refused(chain: Path) -> None:
    sound = chain.read_bytes()
    lines = sound.splitlines(keepends=True)
    for other in (
        b"".join(lines[:2] + lines[3:]),
        b"".join(lines[:3]),
        b"".join([lines[0], *lines[2:]]),
        b"".join([*lines[:2], lines[3], lines[2]]),
        sound[:-1],
        sound + b"\n",
        sound.replace(b'"left":0', b'"left": 0'),
        b"",
    ):
        chain.write_bytes(other)
        assert verify(chain)[0] == 1, other[:80]


def test_a_chain_made_anew_shows_against_an_earlier_one(chain: Path, three: list[Certificate]) -> None:
    """Whoever seals every certificate again makes a chain that is sound by itself."""
    bodies = [{**certificate.body, "deadline_met": False} for certificate in three]
    forged = chain.with_name("forged.jsonl")
    hash_chain.write(
        forged, "certificates of erasure", json.loads(chain.open().readline())["system"], hash_chain.linked(bodies)
    )
    assert verify(forged)[0] == 0
    assert verify(forged, "--earlier", chain) == (
        1,
        "Not sound: certificate 1 is not the one of the earlier file.\n",
    )
    erase_all(AccountFactory())
    later = chain.with_name("later.jsonl")
    call_command("certificates", "--export", str(later), verbosity=0)
    assert verify(later, "--earlier", chain)[0] == 0
    assert "certificate 4 was there" in verify(chain, "--earlier", later)[1]


def test_what_can_not_be_read_is_no_verdict(tmp_path: Path) -> None:
    assert verify(tmp_path / "missing.json")[0] == 2
    assert verify()[0] == 2


def test_what_certificates_hold_can_not_play_with_a_terminal(one: Path) -> None:
    assert "\x1b" not in verify(again(one, cause="\x1b[2J"))[1]
