"""The benchmarks, done once at the small scale: that they run, and that what they measure gives right answers."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

from bench.__main__ import BENCHMARKS

#: It takes a minute where nothing else runs.
PATIENCE_SECONDS = 900


@pytest.mark.slow
def test_every_benchmark_runs() -> None:
    """Whether a goal is met is not asked here: small is too small for that, and a test's machine too busy."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    measured = subprocess.run(
        [sys.executable, "-m", "bench", "--scale", "small"],
        cwd=settings.BASE_DIR,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert measured.returncode == 0, measured.stderr[-4000:]
    assert [name for name in BENCHMARKS if f"\n{name} " not in measured.stdout] == []
