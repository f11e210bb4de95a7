"""What the documents tell to type is found as written."""

import os
import re
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from accounts.models import Account

ROOT = Path(settings.BASE_DIR)
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: Programs that the documents start, each from the environment's folder of programs.
PROGRAMS = {"python", "granian", "celery", "pybabel"}


def blocks(document: Path) -> str:
    """What the document says to type."""
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_are_found_as_written(document: Path) -> None:
    typed = blocks(document)
    # The project's folder is in nobody's PATH.
    assert not re.findall(r"^(?:.*&& )?manage\.py .*", typed, re.MULTILINE)
    if re.search(rf"^(?:{'|'.join(PROGRAMS)}) ", typed, re.MULTILINE):
        assert 'export PATH="$PWD/.venv/bin:$PATH"' in typed


def test_the_environment_has_the_programs_that_the_documents_start() -> None:
    beside = Path(sys.executable).parent
    assert {name for name in PROGRAMS if shutil.which(name, path=str(beside)) is None} == set()


@pytest.mark.django_db
def test_the_demo_prints_the_ids_that_the_readme_asks_for() -> None:
    out = StringIO()
    call_command("demo", stdout=out)
    account = Account.objects.get(name="Harbour Diagrams")
    assert f"{account.pk}  owner@direct.example" in out.getvalue().splitlines()


def test_a_command_beside_another_folder_is_told_what_to_do(tmp_path: Path) -> None:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    told = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env=environment | {"DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    # One line for the reader, and no traceback.
    (line,) = told.stderr.splitlines()
    assert line.startswith("offboard: SECRET_KEY, FIELD_ENCRYPTION_KEYS are not set.")
    assert f"{tmp_path}/stack.env, which is not there" in line
    assert "DATA_DIR=" in line
