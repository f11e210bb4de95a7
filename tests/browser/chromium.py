"""The machine's own Chromium, driven through Playwright. Used by the browser tests and by `docs/screenshots.py`."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

#: What distributions call it, ours first.
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
#: Nothing but the pages that are asked for: no graphics card, no calls home, no first-run page.
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
)


def find() -> str | None:
    """The path of the installed Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def launched(executable: str) -> Iterator[Browser]:
    """A headless Chromium, until the block ends."""
    # Chromium's sandbox refuses to start for root.
    sandbox = () if os.geteuid() else ("--no-sandbox",)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*ARGUMENTS, *sandbox])
        try:
            yield browser
        finally:
            browser.close()
