"""Every page, as people meet it: light and dark, at a desk and on a phone, and with what its markup must not hold."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

import pytest
from allauth.mfa.totp.internal import auth as totp
from axe_playwright_python.base import AXE_SCRIPT
from django.core import mail
from django.test import RequestFactory
from django.utils import translation
from playwright.sync_api import Page, Response
from time_machine import Traveller

from accounts.blueprints.models import CloudProvider, Grid
from accounts.core import clock as server_clock
from accounts.customers.history import Actor
from accounts.models import Account, Membership, Role, SupportRequest, User
from accounts.support import answers
from accounts.support.requests import RequestKind, ask
from accounts.views.errors import server_error
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Channel, Interval, Subscription
from tests.browser.conftest import OpenAs, OpenWindow, enter
from tests.factories import AccountFactory, BlueprintFactory, ConnectionFactory, UserFactory, owner_of
from tests.factories import subscribe as subscribe_at

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

DESK, PHONE, SMALL_PHONE = 1100, 390, 360
SETTINGS = "/user/subscription/"
CANCEL = "/user/subscription/cancellation/"
WITHDRAW = "/user/subscription/cancellation/withdraw/"
SUPPORT = "/user/support/"
CSRF_TOKEN = "csrfmiddlewaretoken"

#: Each width and each theme, and with which of axe's rules (None: all). Colours hang on the theme alone.
LOOKS: tuple[tuple[int, Literal["light", "dark"], list[str] | None], ...] = (
    (DESK, "light", None),
    (DESK, "dark", ["color-contrast"]),
    (PHONE, "dark", None),
)

#: What a strict Content-Security-Policy would refuse, and what would get past it.
INLINE = """() => [...document.querySelectorAll("*")].filter(element =>
    element.matches("[style], style, script:not([src])")
    || element.getAttributeNames().some(name => name.startsWith("on"))
    || /^javascript:/i.test(element.getAttribute("href") ?? "")
).map(element => element.outerHTML)"""

AXE = """async rules => {
    const {violations} = await axe.run({resultTypes: ["violations"], ...(rules && {runOnly: rules})});
    return violations.map(({id, nodes}) =>
        `${id}: ` + nodes.map(node => `${node.target} ${node.failureSummary}`).join("; "));
}"""


def visit(page: Page, path: str, status: int = 200) -> None:
    """Go to this page and look at it."""
    answer = page.goto(path)
    assert answer is not None
    look(page, answer, status)


def press(page: Page, button: str, status: int = 200) -> None:
    """Press this button and look at the page that it leads to."""
    with page.expect_navigation() as answer:
        page.locator("main").get_by_role("button", name=button).click()
    look(page, answer.value, status)


def look(page: Page, answer: Response, status: int = 200) -> None:
    """The page on the screen has nothing inline, a strict policy, room on a small phone, and no axe violation."""
    where = f"{answer.request.method} {answer.url}"
    assert answer.status == status, where
    assert_strict(answer.headers.get("content-security-policy", ""))
    look_at_markup(page, where)


def look_at_markup(page: Page, where: str) -> None:
    assert page.evaluate(INLINE) == [], where
    for width, scheme, rules in LOOKS:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(AXE, rules) == [], f"{where}, {scheme}, {width} px"
    assert_nothing_sideways(page, where)


def assert_nothing_sideways(page: Page, where: str) -> None:
    page.set_viewport_size({"width": SMALL_PHONE, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= SMALL_PHONE, where


def assert_strict(policy: str) -> None:
    directives = dict(directive.strip().split(" ", 1) for directive in policy.split(";"))
    assert directives == {
        "default-src": "'none'",
        "style-src": "'self'",
        "script-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        # Signing in with GitHub is a form that is answered by a redirect there.
        "form-action": "'self' https://github.com",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.fixture
def open_window(open_window: OpenWindow) -> OpenWindow:
    """Opens windows in which every page has axe from the start: sooner than handing it over for each."""

    def with_axe(**options: Any) -> Page:
        page = open_window(**options)
        page.add_init_script(AXE_SCRIPT)
        return page

    return with_axe


@pytest.fixture
def subscribe() -> Callable[..., Subscription]:
    """Starts a subscription so many days ago, dated by the real clock: these pages have no story, only a state."""

    def subscribe(account: Account, *, days_ago: int = 40, **options: Any) -> Subscription:
        return subscribe_at(account, at=server_clock.now() - timedelta(days=days_ago), **options)

    return subscribe


@pytest.fixture
def full(account: Account) -> Account:
    """The owner's account, with something of everything, and with texts as long and as odd as people write them."""
    fill(account)
    return account


def fill(account: Account) -> None:
    BlueprintFactory(account=account, name="Web shop").redraw_thumbnail()
    BlueprintFactory(
        account=account,
        name="Donaudampfschifffahrtsgesellschaftskapitänsmützenverwaltung <b>&amp;",
        grid=Grid.INFINITE,
    ).redraw_thumbnail()
    resources = [
        {"id": "i-1", "type": "ec2", "name": "web-1.a-very-long-name-without-any-space.internal", "region": "eu-west-1"}
    ]
    at = server_clock.now() - timedelta(hours=1)
    ConnectionFactory(account=account, name="production", resources=resources, resources_at=at)
    ConnectionFactory(account=account, name="never-seen", provider=CloudProvider.AZURE)


def test_pages_for_people_who_are_not_signed_in(open_window: OpenWindow, owner: User) -> None:
    page = open_window()
    visit(page, "/")
    enter(page, owner, "wrong password")
    page.locator("main .error").wait_for()
    look_at_markup(page, "sign-in, refused")
    for path in ("/auth/signup/", "/auth/inactive/", "/auth/password/reset/key/1-wrong/", "/auth/password/reset/done/"):
        visit(page, path)
    for path in ("/auth/3rdparty/login/cancelled/", "/auth/3rdparty/login/error/"):
        visit(page, path)
    visit(page, "/no/such/page/", 404)


def test_pages_for_people_who_forgot_their_password(open_window: OpenWindow, owner: User) -> None:
    page = open_window()
    visit(page, "/auth/password/reset/")
    page.locator("input[name=email]").fill(owner.email)
    press(page, "Send me a link")
    link = re.search(r"/auth/password/reset/key/\S+", str(mail.outbox[0].body))
    assert link
    visit(page, link[0])
    page.locator("input[name=password1]").fill("short")
    page.locator("input[name=password2]").fill("shorter")
    press(page, "Set password")
    page.locator("input[name=password1]").fill("a new and long password")
    page.locator("input[name=password2]").fill("a new and long password")
    press(page, "Set password")


def test_pages_of_an_account_with_a_subscription(
    open_as: OpenAs, full: Account, owner: User, subscribe: Callable[..., Subscription]
) -> None:
    subscribe(full, seats=3)
    ask(full, kind=RequestKind.DELETION, message="All of it.", by=Actor.owner(owner), at=server_clock.now())
    blueprint = f"/blueprints/{full.blueprints.get(grid=Grid.INFINITE).pk}/"
    page = open_as(owner)
    visit(page, "/")
    page.locator(".user summary").click()
    look_at_markup(page, "/ with the menu open")
    visit(page, blueprint)
    page.get_by_role("textbox", name="Components").fill("[{")
    press(page, "Save", 422)
    visit(page, f"{blueprint}live/")
    visit(page, f"{blueprint}bits/?component=web")
    visit(page, "/connections/")
    for connection in full.connections.all():
        visit(page, f"/connections/{connection.pk}/")
    visit(page, SETTINGS)
    visit(page, CANCEL)
    visit(page, SUPPORT)
    page.get_by_label("What is it about?").select_option("other")
    press(page, "Send", 422)
    page.get_by_label("Your message").fill("A question.")
    press(page, "Send")
    question = SupportRequest.objects.get(kind="other")
    answers.answer(question, text="An answer.", by=Actor.staff(UserFactory(is_staff=True)), at=server_clock.now())
    visit(page, SUPPORT)
    # Newest first: this is the question's.
    page.get_by_text("Write more about this").first.click()
    page.get_by_label("Add to this request").first.fill("One more.")
    look_at_markup(page, "/user/support/ with a conversation")
    press(page, "Add")
    visit(page, "/user/preferences/")
    press(page, "Save")


def test_pages_of_a_cancellation(
    open_as: OpenAs, full: Account, owner: User, member: User, subscribe: Callable[..., Subscription]
) -> None:
    subscribe(full, days_ago=5)
    page = open_as(owner)
    visit(page, SETTINGS)
    visit(page, CANCEL)
    page.get_by_label("What could we have done better?").fill("<script>alert(1)</script>" + "no-space" * 40)
    press(page, "Cancel my account")
    visit(page, SETTINGS)
    visit(open_as(member), SETTINGS)
    press(page, "Keep my subscription")


def test_pages_of_a_trial(open_as: OpenAs, full: Account, owner: User, subscribe: Callable[..., Subscription]) -> None:
    subscribe(full, days_ago=4, trial_ends_at=server_clock.now() + timedelta(days=10))
    page = open_as(owner)
    visit(page, SETTINGS)
    visit(page, CANCEL)
    press(page, "Cancel my account")
    visit(page, SETTINGS)


def test_pages_of_an_account_on_free(
    open_as: OpenAs, full: Account, owner: User, subscribe: Callable[..., Subscription], clock: Traveller
) -> None:
    subscription = subscribe(full, days_ago=5)
    cancellation, _ = cancel(subscription, by=owner_of(subscription), at=server_clock.now())
    page = open_as(owner)
    page.goto(SETTINGS)
    clock.move_to(cancellation.effective_at)
    page = open_as(owner)
    blueprint = f"/blueprints/{full.blueprints.get(grid=Grid.INFINITE).pk}/"
    for path in ("/", blueprint, "/connections/", SETTINGS):
        visit(page, path)
    visit(page, f"/connections/{full.connections.earliest('name').pk}/")
    visit(page, f"{blueprint}live/", 403)
    visit(page, f"{blueprint}bits/?component=web", 403)
    visit(page, CANCEL, 409)
    visit(page, blueprint)
    press(page, "Convert to the standard grid")


def test_pages_of_an_account_that_never_had_a_subscription(open_as: OpenAs, account: Account, owner: User) -> None:
    page = open_as(owner)
    for path in ("/", "/connections/", SETTINGS, SUPPORT):
        visit(page, path)
    visit(page, CANCEL, 409)


@pytest.mark.parametrize("channel", [Channel.DATADOG_SALES, Channel.AWS_MARKETPLACE, Channel.GITHUB_MARKETPLACE])
def test_pages_of_an_account_that_cannot_be_cancelled_here(
    open_as: OpenAs, account: Account, owner: User, subscribe: Callable[..., Subscription], channel: Channel
) -> None:
    ends_at = server_clock.now() + timedelta(days=20) if channel == Channel.DATADOG_SALES else None
    subscribe(account, plan="enterprise", interval=Interval.ANNUAL, channel=channel, seats=25, ends_at=ends_at)
    page = open_as(owner)
    visit(page, SETTINGS)
    visit(page, CANCEL, 409)


def test_pages_that_refuse(
    open_as: OpenAs, account: Account, member: User, stranger: User, subscribe: Callable[..., Subscription]
) -> None:
    subscribe(account)
    blueprint = BlueprintFactory(account=account)
    page = open_as(member)
    visit(page, SETTINGS)
    visit(page, SUPPORT)
    visit(page, CANCEL, 403)
    visit(open_as(stranger), f"/blueprints/{blueprint.pk}/", 404)
    visit(open_as(UserFactory()), "/", 403)
    page.goto(SUPPORT)
    page.get_by_label("Your message").fill("A page that was open for too long.")
    page.locator(f"main [name={CSRF_TOKEN}]").evaluate("input => input.value = ''")
    press(page, "Send", 403)


def test_pages_of_a_person_in_several_accounts(open_as: OpenAs, full: Account, owner: User) -> None:
    second = AccountFactory(name="A name of an account that is longer than anybody would like")
    Membership.objects.create(account=second, user=owner, role=Role.USER)
    page = open_as(owner)
    visit(page, "/")
    page.locator(".switcher summary").click()
    look_at_markup(page, "/ with the accounts open")
    with page.expect_navigation() as answer:
        page.locator(".switcher").get_by_role("button", name=second.name).click()
    look(page, answer.value)


def test_pages_about_signing_in(open_as: OpenAs, open_window: OpenWindow, owner: User, account: Account) -> None:
    page = open_as(owner)
    for path in ("/auth/password/change/", "/auth/2fa/", "/auth/logout/", "/auth/sessions/", "/auth/3rdparty/"):
        visit(page, path)
    visit(page, "/auth/2fa/totp/activate/")
    secret = page.locator("#authenticator_secret").input_value()
    page.locator("input[name=code]").fill("000000")
    press(page, "Switch it on")
    page.locator("input[name=code]").fill(_code(secret))
    press(page, "Switch it on")
    for path in ("/auth/2fa/", "/auth/2fa/recovery-codes/", "/auth/2fa/recovery-codes/generate/"):
        visit(page, path)
    visit(page, "/auth/2fa/totp/deactivate/")
    visit(page, "/auth/email/")
    page.locator("input[name=email]").fill("another@harbour.example")
    press(page, "Change address")
    visit(page, "/auth/reauthenticate/")
    visit(page, "/auth/2fa/reauthenticate/")

    another = open_window()
    another.goto("/")
    enter(another, owner)
    another.locator("input[name=code]").wait_for()
    look_at_markup(another, "sign-in, second factor")
    another.locator("input[name=code]").fill("000000")
    with another.expect_navigation():
        another.get_by_role("button", name="Sign in", exact=True).click()
    look_at_markup(another, "sign-in, second factor refused")


def _code(secret: str) -> str:
    """What an authenticator app shows now."""
    counter = next(iter(totp.yield_hotp_counters_from_time()))
    return str(totp.format_hotp_value(totp.hotp_value(secret, counter)))


def test_the_page_of_last_resort(open_window: OpenWindow) -> None:
    page = open_window()
    broken = server_error(RequestFactory().get("/broken/"))
    page.route("**/broken/", lambda route: route.fulfill(body=broken.content, content_type="text/html; charset=utf-8"))

    page.goto("/broken/")

    look_at_markup(page, "the answer to a fault of ours")


def test_no_page_scrolls_sideways_in_french(
    open_as: OpenAs, full: Account, owner: User, subscribe: Callable[..., Subscription]
) -> None:
    subscribe(full, days_ago=5)
    owner.language = "fr"
    owner.save()
    page = open_as(owner)
    blueprint = f"/blueprints/{full.blueprints.get(grid=Grid.INFINITE).pk}/"
    for path in ("/", blueprint, "/connections/", SETTINGS, CANCEL, SUPPORT, "/user/preferences/", "/auth/2fa/"):
        page.goto(path)
        assert page.locator("html").get_attribute("lang") == "fr"
        assert_nothing_sideways(page, path)
    with translation.override("fr"):
        button = translation.gettext("Cancel my account")
    page.goto(CANCEL)
    page.get_by_role("button", name=button).click()
    page.locator("dl .reference").wait_for()
    assert_nothing_sideways(page, "receipt")
