"""`make screenshots`: the pictures in `docs/screenshots/`, taken from a stack that is running (`make run`).

The address is the first argument, or SITE_URL, or the one `make run` uses when nothing is set. Signs in with the demo
sign-ins, only reads, and leaves everything as it was.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as PlaywrightError

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))  # Run as a script, Python looks beside this file only.

from tests.browser import chromium  # noqa: E402

PICTURES = PROJECT / "docs" / "screenshots"
PASSWORD = "demo"  # noqa: S105  # published on purpose: demonstrations only

DESKTOP = (1100, 700)
PHONE = (390, 844)
DESK = (1300, 800)


@dataclass(frozen=True)
class Picture:
    """One file. `path` is where to go, `follow` the link to follow from there, `then` what else to do."""

    name: str
    who: str
    path: str
    follow: str = ""
    size: tuple[int, int] = DESKTOP
    scheme: Literal["light", "dark"] = "light"
    language: str = "en"
    then: Callable[[Page], None] | None = None


def rehearse_a_cancellation(page: Page) -> None:
    """Up to what would happen, and no further."""
    page.get_by_role("link", name="Cancel on behalf of the owner").click()
    page.locator("[name=reason]").fill("Called in, can't sign in any more. Case 81.")
    for fact in ("owner_email", "card_digits"):
        page.locator(f"input[name=identity][value={fact}]").check()
    page.get_by_role("button", name="Show what will happen").click()


def open_the_request(page: Page) -> None:
    page.locator("a[href*='/supportrequest/']").first.click()


def open_the_erased_account(page: Page) -> None:
    page.goto(f"/admin/accounts/account/{page.locator('td.field-account_id').first.inner_text()}/change/")


FIND = "/admin/accounts/account/?q="
SETTINGS = "/user/subscription/"
CANCEL = "/user/subscription/cancellation/"

PICTURES_TO_TAKE = (
    Picture("home", "owner@direct.example", "/"),
    Picture("home-dark", "owner@direct.example", "/", scheme="dark"),
    Picture("blueprint", "owner@direct.example", "/", follow="Web shop"),
    Picture("settings-active", "owner@direct.example", SETTINGS),
    Picture("settings-member", "member@direct.example", SETTINGS),
    Picture("cancel", "owner@direct.example", CANCEL),
    Picture("cancel-dark", "owner@direct.example", CANCEL, scheme="dark"),
    Picture("cancel-phone", "owner@direct.example", CANCEL, size=PHONE),
    Picture("cancel-french", "owner@direct.example", CANCEL, language="fr"),
    Picture("settings-cancelling", "owner@cancelling.example", SETTINGS),
    Picture("settings-cancelling-phone-dark", "owner@cancelling.example", SETTINGS, size=PHONE, scheme="dark"),
    Picture("receipt", "owner@cancelling.example", CANCEL),
    Picture("settings-trial", "owner@trial.example", SETTINGS),
    Picture("cancel-trial", "owner@trial.example", CANCEL),
    Picture("settings-ended", "owner@ended.example", SETTINGS),
    Picture("blueprint-read-only", "owner@ended.example", "/", follow="Data lake"),
    Picture("blueprint-read-only-dark", "owner@ended.example", "/", follow="Data lake", scheme="dark"),
    Picture("connections-paused", "owner@ended.example", "/connections/"),
    Picture("support", "owner@ended.example", "/user/support/"),
    Picture("settings-sales", "owner@sales.example", SETTINGS),
    Picture("settings-aws", "owner@aws.example", SETTINGS),
    Picture("settings-aws-leaving", "owner@leaving-aws.example", SETTINGS),
    Picture("settings-github", "owner@github.example", SETTINGS),
    Picture("desk", "lead@support.example", "/admin/", size=DESK),
    Picture("desk-dark", "lead@support.example", "/admin/", size=DESK, scheme="dark"),
    Picture("desk-french", "lead@support.example", "/admin/", size=DESK, language="fr"),
    Picture("desk-account", "lead@support.example", f"{FIND}ORD-20417", size=DESK),
    Picture("desk-left", "lead@support.example", f"{FIND}owner@left.example", size=DESK),
    Picture("desk-act", "agent@support.example", f"{FIND}Harbour", size=DESK, then=rehearse_a_cancellation),
    Picture("desk-request", "lead@support.example", f"{FIND}Quiet", size=DESK, then=open_the_request),
    Picture(
        "desk-erased", "lead@support.example", "/admin/accounts/certificate/", size=DESK, then=open_the_erased_account
    ),
)


def main() -> int:
    base = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("SITE_URL", "http://127.0.0.1:8000")
    executable = chromium.find()
    if executable is None:
        print("Chromium is not installed (Debian: apt install chromium).", file=sys.stderr)  # noqa: T201
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    try:
        with chromium.launched(executable) as browser:
            take_all(browser, base)
    except PlaywrightError as error:
        print(f"{base}: {error.message.splitlines()[0]}. Is `make run` running there?", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def take_all(browser: Browser, base: str) -> None:
    with visitor(browser, base, Picture("sign-in", "", "/auth/login/")) as page:
        page.goto("/auth/login/")
        save(page, "sign-in")
    for picture in PICTURES_TO_TAKE:
        with visitor(browser, base, picture) as page:
            sign_in(page, picture.who)
            page.goto(picture.path)
            if picture.follow:
                page.get_by_role("link", name=picture.follow, exact=True).click()
            if picture.then:
                picture.then(page)
            save(page, picture.name)


@contextmanager
def visitor(browser: Browser, base: str, picture: Picture) -> Iterator[Page]:
    width, height = picture.size
    context = browser.new_context(
        base_url=base,
        viewport={"width": width, "height": height},
        color_scheme=picture.scheme,
        locale=picture.language,
    )
    try:
        yield context.new_page()
    finally:
        context.close()


def sign_in(page: Page, email: str) -> None:
    page.goto("/auth/login/")
    page.locator("#id_login").fill(email)
    page.locator("#id_password").fill(PASSWORD)
    page.locator("main button").click()
    page.wait_for_url("**/")


def save(page: Page, name: str) -> None:
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
    print(f"docs/screenshots/{name}.png")  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
