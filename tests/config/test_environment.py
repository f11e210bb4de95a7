"""Settings that stand in files, as Docker and Kubernetes hand secrets over."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def settings(*names: str, **environment: str) -> dict[str, object]:
    """What these settings are after a start with this environment; `said` if it did not start."""
    told = {name: value for name, value in {**os.environ, **environment}.items() if value != "-"}
    code = f"import json, os, config.settings as s; print(json.dumps({{n: getattr(s, n) for n in {names!r}}}))"
    found = subprocess.run(
        [sys.executable, "-c", code], env=told, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {"said": found.stderr} if found.returncode else json.loads(found.stdout)


def test_every_setting_can_stand_in_a_file(tmp_path: Path) -> None:
    secrets = {
        "SECRET_KEY": "from-a-file\n",
        "API_TOKENS": "old, new\n",
        "GITHUB_PRIVATE_KEY": "-----BEGIN-----\nline\n-----END-----\n",
        "METRICS_TOKEN": "scrape",
        "DATABASE_URL": "postgres://someone:hidden@db.example:5432/offboard\n",
        "PGBOUNCER": "0\n",
    }
    files: dict[str, str] = {}
    for name, text in secrets.items():
        (tmp_path / name).write_text(text)
        files |= {f"{name}_FILE": str(tmp_path / name), name: "-"}
    found = settings("SECRET_KEY", "API_TOKENS", "GITHUB_PRIVATE_KEY", "METRICS_TOKEN", "DATABASES", **files)
    assert found["SECRET_KEY"] == "from-a-file"
    assert found["API_TOKENS"] == ["old", "new"]
    assert found["GITHUB_PRIVATE_KEY"] == "-----BEGIN-----\nline\n-----END-----"
    assert found["METRICS_TOKEN"] == ["scrape"]
    assert found["DATABASES"]["default"]["PASSWORD"] == "hidden"  # type: ignore[index]  # of JSON


def test_a_file_comes_before_what_make_run_has_written_down(tmp_path: Path) -> None:
    (tmp_path / "stack.env").write_text("SECRET_KEY=of-the-stack\n")
    (tmp_path / "secret").write_text("from-a-file")
    found = settings("SECRET_KEY", SECRET_KEY="-", SECRET_KEY_FILE=str(tmp_path / "secret"), DATA_DIR=str(tmp_path))
    assert found == {"SECRET_KEY": "from-a-file"}


def test_a_setting_in_two_places_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-a-file")
    found = settings("SECRET_KEY", SECRET_KEY="given", SECRET_KEY_FILE=str(tmp_path / "secret"))
    assert "SECRET_KEY and SECRET_KEY_FILE are both set: which one counts?" in str(found["said"])


def test_a_file_that_is_not_there_is_named_beside_all_else_that_is_wrong() -> None:
    found = settings("SECRET_KEY", SECRET_KEY="-", SECRET_KEY_FILE="/nowhere/secret", PGBOUNCER="1")
    for said in ("SECRET_KEY_FILE: /nowhere/secret could not be read", "DATABASE_DIRECT_URL is not set"):
        assert said in str(found["said"])


def test_an_empty_file_is_a_secret_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    found = settings("SECRET_KEY", SECRET_KEY="-", SECRET_KEY_FILE=str(tmp_path / "secret"))
    assert "SECRET_KEY is not set" in str(found["said"])


def test_boto3_is_told_of_credentials_that_stand_in_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("AKIAEXAMPLE\n")
    code = "import os, config.settings; print(os.environ['AWS_ACCESS_KEY_ID'])"
    environment = {**os.environ, "AWS_ACCESS_KEY_ID_FILE": str(tmp_path / "key")}
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout == "AKIAEXAMPLE\n"


def test_behind_pgbouncer_nothing_is_left_in_a_session() -> None:
    direct = "postgres://offboard@db.example:5432/offboard"
    found = settings("DATABASES", PGBOUNCER="1", DATABASE_DIRECT_URL=direct)
    database = found["DATABASES"]["default"]  # type: ignore[index]  # of JSON
    assert "pool" not in database["OPTIONS"]
    assert (database["DISABLE_SERVER_SIDE_CURSORS"], database["CONN_MAX_AGE"]) == (True, 600)
