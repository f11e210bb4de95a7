"""Nobody fills a table or a mailbox of ours: what one person can do within a minute, and within an hour."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
import time_machine
from django.core import mail
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.test import Client
from pytest_django import Settings

from accounts.blueprints.components import MAX_LINKS
from accounts.blueprints.models import Blueprint
from accounts.blueprints.svg import draw
from accounts.core import limits
from accounts.core.limits import HourlyCount, TooOften
from accounts.customers.history import Actor
from accounts.exports import export
from accounts.exports.builder import export_due
from accounts.inbox import retention
from accounts.jobs.invariants import warnings
from accounts.models import Account, Event, Notice, SupportRequest, User
from accounts.support.answers import answer
from accounts.support.messages import MOST_UNANSWERED, OurTurn, write_further
from accounts.support.requests import MOST_AN_HOUR, RequestKind, ask
from config.cache import Cache
from subscriptions.ending.cancellation import KEPT_AN_HOUR, cancel, withdraw
from tests.factories import NOW, BlueprintFactory, UserFactory, subscribe
from tests.pages import form_on, press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
SUPPORT = "/user/support/"
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    """Neither in Redis nor, while it is away, in this process."""
    counters = (cache, LocMemCache("while Redis is away", {}))
    for counter in counters:
        counter.clear()
    yield
    for counter in counters:
        counter.clear()
    Cache._away_until = 0.0


def test_an_hour_counts_what_one_person_does_and_the_next_begins_anew() -> None:
    for number in (1, 2, 3):
        assert limits.counted("x", 1, at=NOW + number * timedelta(minutes=5)) == number
    assert limits.counted("x", 2, at=NOW) == limits.counted("y", 1, at=NOW) == 1
    assert limits.counted("x", 1, at=NOW + HOUR) == 1
    limits.limit("z", 1, most=1, at=NOW)
    with pytest.raises(TooOften):
        limits.limit("z", 1, most=1, at=NOW)


def test_old_counts_are_forgotten() -> None:
    limits.counted("x", 1, at=NOW)
    limits.counted("x", 1, at=NOW + timedelta(days=1))
    later = NOW + limits.KEPT + timedelta(seconds=1)
    assert list(retention.preview(later)) == ["count of x by 1, 2026-03-17 09h"]
    assert retention.tidy(later) == 1
    assert HourlyCount.objects.get().hour.day == 18


def test_a_customer_at_the_desks_door_leaves_a_line_an_hour_and_a_count(owner: User, sign_in: SignIn) -> None:
    client = sign_in(owner)
    with time_machine.travel(NOW, tick=False) as clock:
        assert {client.get("/admin/").status_code for _ in range(200)} == {403}
        client.get("/admin/accounts/account/")
        assert Event.objects.filter(kind="desk.denied").count() == 2
        assert sorted(HourlyCount.objects.values_list("count", flat=True)) == [1, 200]
        (told,) = [warning for warning in warnings(NOW) if warning.name == "denied-often"]
        assert (told.count, told.examples) == (1, [str(owner.pk)])
        clock.shift(HOUR)
        client.get("/admin/")
        assert Event.objects.filter(kind="desk.denied").count() == 3


def test_requests_of_one_person_are_bounded_by_the_hour_and_so_are_their_mails(
    account: Account, member: User, sign_in: SignIn
) -> None:
    client = sign_in(member)
    with time_machine.travel(NOW, tick=False) as clock:
        form = form_on(client, SUPPORT)
        answers = [client.post(SUPPORT, form.sent(message=f"Question {number}")) for number in range(60)]
        assert [answer.status_code for answer in answers] == [302] * MOST_AN_HOUR + [429] * (60 - MOST_AN_HOUR)
        assert SupportRequest.objects.count() == Notice.objects.count() == MOST_AN_HOUR
        page = answers[-1].content.decode()
        # What was typed is not lost.
        assert "That is more often than anybody needs." in page
        assert "Question 59</textarea>" in page
        clock.shift(HOUR)
        assert client.post(SUPPORT, form.sent(message="Later")).status_code == 302


def test_another_persons_requests_are_their_own(account: Account, owner: User, member: User) -> None:
    for number in range(MOST_AN_HOUR):
        ask(account, kind=RequestKind.OTHER, message=str(number), by=Actor.member(member), at=NOW)
    with pytest.raises(TooOften):
        ask(account, kind=RequestKind.OTHER, message="One more", by=Actor.member(member), at=NOW)
    made, new = ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=NOW)
    assert new
    # What is open already is not counted: asking again changes nothing.
    for _ in range(MOST_AN_HOUR + 1):
        assert ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=NOW) == (made, False)


def test_a_conversation_is_not_made_longer_by_one_side_alone(account: Account, owner: User, agent: User) -> None:
    by = Actor.owner(owner)
    made, _new = ask(account, kind=RequestKind.OTHER, message="First", by=by, at=NOW)
    for number in range(MOST_UNANSWERED):
        write_further(made, text=f"More {number}", by=by, at=NOW + number * HOUR)
    at = NOW + MOST_UNANSWERED * HOUR
    with pytest.raises(OurTurn):
        write_further(made, text="Still more", by=by, at=at)
    assert made.messages.count() == MOST_UNANSWERED
    answer(made, text="Here we are.", by=Actor.staff(agent), at=at)
    assert write_further(made, text="Still more", by=by, at=at + HOUR)[1]


def test_the_page_of_support_shows_the_newest_and_leads_to_the_rest(
    account: Account, owner: User, sign_in: SignIn
) -> None:
    by = Actor.owner(owner)
    made, _new = ask(account, kind=RequestKind.OTHER, message="First", by=by, at=NOW)
    for number in range(12):
        write_further(made, text=f"<More {number}>", by=by, at=NOW + number * HOUR)
    client = sign_in(owner)
    page = client.get(SUPPORT).content.decode()
    assert [number for number in range(12) if f"&lt;More {number}&gt;" in page] == [7, 8, 9, 10, 11]
    assert f"{SUPPORT}{made.reference}/?" in page
    whole = client.get(f"{SUPPORT}{made.reference}/").content.decode()
    assert [number for number in range(12) if f"&lt;More {number}&gt;" in whole] == list(range(12))
    assert "First" in whole


def test_a_refused_message_stays_in_its_form(account: Account, owner: User, sign_in: SignIn) -> None:
    by = Actor.owner(owner)
    made, _new = ask(account, kind=RequestKind.OTHER, message="First", by=by, at=NOW)
    for number in range(MOST_UNANSWERED):
        write_further(made, text=f"More {number}", by=by, at=NOW + number * HOUR)
    refused = press(sign_in(owner), SUPPORT, f"{SUPPORT}{made.reference}/", text="My long story")
    assert refused.status_code == 429
    assert "My long story</textarea>" in refused.content.decode()
    assert "We have your last messages" in refused.content.decode()


def test_requests_are_paged(account: Account, owner: User, sign_in: SignIn) -> None:
    for number in range(45):
        ask(account, kind=RequestKind.OTHER, message=f"[{number}]", by=Actor.owner(owner), at=NOW + number * HOUR)
    client = sign_in(owner)
    pages = [client.get(f"{SUPPORT}?page={page}").content.decode() for page in (1, 2, 3, "x", 99)]
    shown = [[number for number in range(45) if f"[{number}]" in page] for page in pages]
    assert shown[:3] == [list(range(25, 45)), list(range(5, 25)), list(range(5))]
    # What is no page is the first one, or the last.
    assert shown[3:] == [shown[0], shown[2]]


def test_a_person_sends_so_many_forms_a_minute_and_reads_as_much_as_they_like(
    account: Account, owner: User, sign_in: SignIn, settings: Settings
) -> None:
    settings.POSTS_A_MINUTE = 5
    client = sign_in(owner)
    sent = [client.post("/user/preferences/", {"name": "x", "language": "", "time_zone": "UTC"}) for _ in range(8)]
    assert [answer.status_code for answer in sent] == [302] * 5 + [429] * 3
    assert sent[-1]["Retry-After"] == "60"
    assert "You have sent a lot within a minute." in sent[-1].content.decode()
    assert {client.get("/").status_code for _ in range(20)} == {200}


def test_staff_are_not_counted(agent: User, sign_in: SignIn, settings: Settings) -> None:
    settings.POSTS_A_MINUTE = 1
    client = sign_in(agent)
    assert {client.post("/user/preferences/", {"time_zone": "UTC"}).status_code for _ in range(5)} == {302}


def test_the_limit_holds_while_redis_is_away(
    account: Account, owner: User, sign_in: SignIn, settings: Settings
) -> None:
    settings.POSTS_A_MINUTE = 2
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    client = sign_in(owner)
    sent = [client.post("/user/preferences/", {"time_zone": "UTC"}).status_code for _ in range(4)]
    assert sent == [302, 302, 429, 429]


@pytest.mark.parametrize("path", ["/user/support/", "/marketplace/aws/register/", "/auth/login/", "/user/preferences/"])
def test_a_file_that_somebody_sends_is_written_nowhere(
    path: str, account: Account, owner: User, sign_in: SignIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    client = sign_in(None if path.startswith("/auth/") else owner)
    file = BytesIO(b"x" * 3_000_000)
    file.name = "large.bin"
    assert client.post(path, {"message": "See the file", "file": file}).status_code < 500
    assert list(tmp_path.iterdir()) == []
    assert not SupportRequest.objects.exists()


def test_a_blueprint_has_no_more_links_than_a_page_can_show(account: Account, owner: User, sign_in: SignIn) -> None:
    blueprint = BlueprintFactory(account=account)
    client = sign_in(owner)

    def sent(links: list[str]) -> int:
        components = [{"id": "a", "type": "ec2", "label": "a", "x": 0, "y": 0, "links": links}]
        status: int = press(
            client, f"/blueprints/{blueprint.pk}/", name="Links", components=json.dumps(components)
        ).status_code
        return status

    assert sent(["a"] * (MAX_LINKS + 1)) == 422
    assert sent(["x" * 201]) == 422
    assert sent(["a"] * MAX_LINKS) == 302


def test_a_blueprint_from_before_the_limit_is_shown_in_bounds(account: Account, owner: User, sign_in: SignIn) -> None:
    components = [
        {"id": str(number), "type": "ec2", "label": f"label-{number}.", "x": number, "y": 0, "links": ["0"] * 100}
        for number in range(2000)
    ]
    drawn = draw(components)
    assert drawn.count('stroke="#8b93a7"') == MAX_LINKS
    blueprint = BlueprintFactory(account=account, grid="infinite", components=components)
    page = sign_in(owner).get(f"/blueprints/{blueprint.pk}/?page=2").content.decode()
    assert len(page) < 2_500_000
    listed = page.partition('<ul class="list rows">')[2].partition("</ul>")[0]
    assert "label-199." not in listed
    assert "label-200." in listed
    assert "label-399." in listed
    assert "label-400." not in listed
    assert Blueprint.objects.get().components == components


def test_whom_we_do_not_know_we_write_no_mail(db: None) -> None:
    known: User = UserFactory(email="known@example.org")
    asked = [Client().post("/auth/password/reset/", {"email": email}) for email in (known.email, "who@example.org")]
    # The answer tells nobody which of them signs in here.
    assert {answer["Location"] for answer in asked} == {"/auth/password/reset/done/"}
    assert [message.to for message in mail.outbox] == [["known@example.org"]]
    done = Client().get("/auth/password/reset/done/").content.decode()
    assert "If somebody signs in here with this address" in done
    assert "/auth/signup/" not in done


def test_one_address_is_written_to_a_few_times_an_hour_however_often_it_is_asked_for(db: None) -> None:
    UserFactory(email="known@example.org")
    for _ in range(12):
        Client().post("/auth/password/reset/", {"email": "known@example.org"})
    assert 1 <= len(mail.outbox) <= 5


def test_an_account_has_so_many_archives_made_within_an_hour(account: Account, owner: User, sign_in: SignIn) -> None:
    by = Actor.owner(owner)
    for number in range(export.MOST_AN_HOUR):
        at = NOW + number * timedelta(minutes=1)
        assert export.ask(account, by=by, at=at)[1]
        # What is being built is the one asked for, however often.
        assert not export.ask(account, by=by, at=at)[1]
        assert export_due(at) >= 1
    with pytest.raises(TooOften):
        export.ask(account, by=by, at=NOW + timedelta(minutes=20))
    with time_machine.travel(NOW + timedelta(minutes=20), tick=False):
        client = sign_in(owner)
        refused = press(client, "/user/export/")
        assert refused.status_code == 429
        assert "That is more often than anybody needs." in refused.content.decode()
    assert export.ask(account, by=by, at=NOW + HOUR)[1]


def test_who_cancels_and_keeps_all_day_can_always_cancel(account: Account, owner: User) -> None:
    subscription, by = subscribe(account, at=NOW - timedelta(days=40)), Actor.owner(owner)
    for number in range(KEPT_AN_HOUR):
        at = NOW + number * timedelta(minutes=1)
        cancellation, _new = cancel(subscription, by=by, at=at)
        assert withdraw(cancellation, by=by, at=at)
    at = NOW + timedelta(minutes=25)
    cancellation, new = cancel(subscription, by=by, at=at)
    assert new
    with pytest.raises(TooOften):
        withdraw(cancellation, by=by, at=at)
    # An hour later the owner is heard again.
    cancellation.refresh_from_db()
    assert cancellation.withdrawn_at is None
    assert withdraw(cancellation, by=by, at=NOW + HOUR)
