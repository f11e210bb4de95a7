"""Requests: answered, added to, assigned, extended, closed; and what is only for staff."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from dateutil.relativedelta import relativedelta
from django.core import mail
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.core.text import NoText, TextTooLong
from accounts.core.write_guard import BeingErased
from accounts.customers.history import Actor
from accounts.customers.staff import StaffOnly
from accounts.jobs import invariants
from accounts.mail.sending import send_due
from accounts.models import Account, Event, Membership, Notice, RequestOutcome, SupportRequest, User
from accounts.support import answers
from accounts.support.identity import NotIdentified
from accounts.support.internal_notes import InternalNote, note
from accounts.support.messages import CustomersOnly, Message, write_further
from accounts.support.requests import RequestClosed, RequestKind, State, ask
from tests.factories import NOW, UserFactory
from tests.pages import form_on, press

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
DAY = timedelta(days=1)
IDENTITY = ["card_digits", "last_charge_date"]


@pytest.fixture
def by_owner(owner: User) -> Actor:
    return Actor.owner(owner)


@pytest.fixture
def agent(db: None) -> Actor:
    return Actor.staff(UserFactory(email="agent@example.com", name="Ada Agent", is_staff=True))


@pytest.fixture
def question(account: Account, by_owner: Actor) -> SupportRequest:
    return asked(account, by_owner)


def asked(account: Account, by: Actor, kind: RequestKind = RequestKind.OTHER, **changes: Any) -> SupportRequest:
    options: dict[str, Any] = {"message": "Where is my receipt?", "at": NOW, **changes}
    return ask(account, kind=kind, by=by, **options)[0]


def mails(kind: str) -> list[Notice]:
    return list(Notice.objects.filter(kind=f"accounts/{kind}").order_by("queued_at"))


def state(request: SupportRequest) -> State:
    return SupportRequest.objects.get(pk=request.pk).state


@pytest.mark.parametrize(
    ("kind", "due_at"),
    [
        (RequestKind.REFUND, NOW + 5 * DAY),
        (RequestKind.DELETION, NOW + relativedelta(months=1)),
        (RequestKind.OTHER, NOW + 3 * DAY),
    ],
)
def test_each_kind_of_request_has_a_date_for_its_answer(
    account: Account, by_owner: Actor, kind: RequestKind, due_at: Any
) -> None:
    request = asked(account, by_owner, kind)
    assert (request.due_at, request.state) == (due_at, State.WAITING)
    (received,) = mails("request_received")
    assert received.facts["due_at"] == due_at.isoformat()


def test_an_answer_is_mailed_once_and_stands_on_the_page(
    question: SupportRequest, owner: User, agent: Actor, sign_in: SignIn
) -> None:
    written, new = answers.answer(question, text="  It is <b>attached</b>.\nBye  ", by=agent, at=NOW + DAY)
    assert (new, written.text, state(question)) == (True, "It is <b>attached</b>.\nBye", State.ANSWERED)
    assert answers.answer(question, text="It is <b>attached</b>.\nBye", by=agent, at=NOW + DAY) == (written, False)
    assert Message.objects.count() == 1
    (notice,) = mails("request_answered")
    assert (notice.recipient, notice.facts["message"]) == (owner, written.pk)
    # The text lies in one place; the mail reads it when it goes out.
    assert "attached" not in str(notice.facts)
    assert "attached" not in str(list(Event.objects.values_list("facts", flat=True)))
    page = sign_in(owner).get("/user/support/").content.decode()
    assert "It is &lt;b&gt;attached&lt;/b&gt;." in page
    assert "answered" in page
    assert "Ada Agent" not in page


def test_the_mail_has_the_answer_as_text_and_escaped_as_html(
    question: SupportRequest, agent: Actor, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    answers.answer(question, text="Use <script> & go", by=agent, at=NOW)
    assert send_due(NOW) == 2
    subject = f"An answer to your request {question.reference}"
    (letter,) = (letter for letter in mail.outbox if letter.subject == subject)
    assert "Use <script> & go" in letter.body
    html = str(letter.alternatives[0][0])  # type: ignore[attr-defined]  # it has an HTML part
    assert "Use &lt;script&gt; &amp; go" in html
    assert "<script>" not in html


def test_a_further_message_sets_it_waiting_again_with_a_new_promise(
    question: SupportRequest, account: Account, by_owner: Actor, agent: Actor
) -> None:
    answers.answer(question, text="Which one?", by=agent, at=NOW + DAY)
    _message, new = write_further(question, text="The last one.", by=by_owner, at=NOW + 2 * DAY)
    assert new
    assert not write_further(question, text="The last one.", by=by_owner, at=NOW + 2 * DAY)[1]
    question.refresh_from_db()
    assert (question.state, question.due_at) == (State.WAITING, NOW + 5 * DAY)
    # While we are being waited for anyway, more words put nothing off.
    write_further(question, text="Hello?", by=by_owner, at=NOW + 4 * DAY)
    question.refresh_from_db()
    assert question.due_at == NOW + 5 * DAY
    assert [message.side for message in question.messages.all()] == ["support", "customer", "customer"]
    assert account.events.filter(kind="request.added_to").count() == 2


def test_the_legal_month_is_not_moved_by_what_is_written(account: Account, by_owner: Actor, agent: Actor) -> None:
    request = asked(account, by_owner, RequestKind.DELETION)
    due_at = request.due_at
    answers.answer(request, text="Are you sure?", by=agent, at=NOW + 20 * DAY)
    write_further(request, text="Yes.", by=by_owner, at=NOW + 21 * DAY)
    request.refresh_from_db()
    assert request.due_at == due_at


def test_only_staff_do_what_staff_do(question: SupportRequest, owner: User, agent: Actor) -> None:
    former = Actor.staff(UserFactory(email="former@example.com"))
    gone = Actor.staff(UserFactory(email="gone@example.com", is_staff=True, is_active=False))
    events = Event.objects.count()
    for by in (Actor.owner(owner), Actor.member(owner), Actor.system(), former, gone):
        for act in (
            lambda by: answers.answer(question, text="Hello", by=by, at=NOW),
            lambda by: answers.close(question, outcome=RequestOutcome.ANSWERED, by=by, at=NOW),
            lambda by: answers.assign(question, to=None, by=by, at=NOW),
            lambda by: answers.extend(question, until=NOW + 40 * DAY, reason="Busy", by=by, at=NOW),
            lambda by: answers.record_case(question, case_number="1", by=by, at=NOW),
            lambda by: note(question, text="Hm", by=by, at=NOW),
        ):
            with pytest.raises(StaffOnly, match="Only active members of staff"):
                act(by)
    with pytest.raises(CustomersOnly):
        write_further(question, text="Hello", by=agent, at=NOW)
    assert Event.objects.count() == events
    assert not Message.objects.exists()


def test_it_is_assigned_to_staff_alone(question: SupportRequest, owner: User, agent: Actor) -> None:
    colleague: User = UserFactory(is_staff=True)
    with pytest.raises(StaffOnly):
        answers.assign(question, to=owner, by=agent, at=NOW)
    assert answers.assign(question, to=colleague, by=agent, at=NOW)
    assert not answers.assign(question, to=colleague, by=agent, at=NOW)
    assert list(SupportRequest.objects.open().assigned_to(colleague)) == [question]
    assert not SupportRequest.objects.unassigned().exists()
    assert answers.assign(question, to=None, by=agent, at=NOW)
    assert list(SupportRequest.objects.unassigned()) == [question]
    assert Event.objects.filter(kind="request.assigned").count() == 2
    with pytest.raises(IntegrityError, match="request_assigned_to_someone"), transaction.atomic():
        SupportRequest.objects.update(assigned_at=NOW)


def test_a_deletion_is_extended_once_within_the_first_month_by_two_at_most(
    account: Account, by_owner: Actor, agent: Actor, question: SupportRequest
) -> None:
    request = asked(account, by_owner, RequestKind.DELETION)
    first, latest = NOW + relativedelta(months=1), NOW + relativedelta(months=3)
    with pytest.raises(answers.NotExtensible, match="two further months"):
        answers.extend(request, until=latest + DAY, reason="Busy", by=agent, at=NOW)
    with pytest.raises(answers.NotExtensible, match="beyond the first month"):
        answers.extend(request, until=first, reason="Busy", by=agent, at=NOW)
    with pytest.raises(answers.NotExtensible, match="too late"):
        answers.extend(request, until=latest, reason="Busy", by=agent, at=first + timedelta(seconds=1))
    with pytest.raises(NoText):
        answers.extend(request, until=latest, reason=" ", by=agent, at=NOW)
    with pytest.raises(answers.NotExtensible, match="about a deletion"):
        answers.extend(question, until=latest, reason="Busy", by=agent, at=NOW)
    assert not Message.objects.exists()

    assert answers.extend(request, until=latest, reason="Backups abroad.", by=agent, at=first)
    request.refresh_from_db()
    assert (request.due_at, request.first_due_at, request.extended_at) == (latest, first, first)
    assert request.state == State.WAITING
    (told,) = mails("request_extended")
    assert told.facts["due_at"] == latest.isoformat()
    assert Message.objects.get(pk=told.facts["message"]).text == "Backups abroad."
    assert not answers.extend(request, until=latest, reason="Backups abroad.", by=agent, at=first)
    with pytest.raises(answers.NotExtensible, match="that can be done once"):
        answers.extend(request, until=latest - DAY, reason="Again", by=agent, at=first)


def test_the_database_refuses_impossible_requests(account: Account, by_owner: Actor) -> None:
    request = asked(account, by_owner, RequestKind.DELETION)
    rows = SupportRequest.objects.filter(pk=request.pk)
    impossible: dict[str, dict[str, Any]] = {
        "request_closed_with_an_outcome": {"closed_at": NOW},
        "request_answered_after_made": {"answered_at": NOW - DAY},
        "request_decided_after_made": {"decided_at": NOW - DAY},
        "request_identity_is_known": {"identity": ["shoe_size"]},
        "request_extended_in_time": {
            "extended_at": NOW,
            "first_due_at": NOW + 31 * DAY,
            "due_at": NOW + (31 + 63) * DAY,
        },
    }
    for constraint, change in impossible.items():
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            rows.update(**change)


def test_closing_says_how_it_ended_and_happens_once(question: SupportRequest, owner: User, agent: Actor) -> None:
    assert answers.close(question, outcome=RequestOutcome.ANSWERED, text="Here it is.", by=agent, at=NOW + DAY)
    assert not answers.close(question, outcome=RequestOutcome.DECLINED, text="No.", by=agent, at=NOW + DAY)
    question.refresh_from_db()
    assert (question.closed_at, question.outcome, question.state) == (NOW + DAY, "answered", State.CLOSED)
    (told,) = mails("request_answered")
    assert (told.recipient, told.facts["outcome"]) == (owner, "answered")
    assert Event.objects.get(kind="request.closed").facts == {"reference": question.reference, "outcome": "answered"}


def test_a_closed_request_is_neither_answered_nor_added_to(
    question: SupportRequest, by_owner: Actor, agent: Actor
) -> None:
    answers.close(question, outcome=RequestOutcome.ANSWERED, by=agent, at=NOW)
    for act in (
        lambda: answers.answer(question, text="More", by=agent, at=NOW),
        lambda: write_further(question, text="More", by=by_owner, at=NOW),
        lambda: answers.assign(question, to=agent.user, by=agent, at=NOW),
        lambda: answers.record_case(question, case_number="12", by=agent, at=NOW),
    ):
        with pytest.raises(RequestClosed, match="needs a new request"):
            act()
    assert not Message.objects.exists()
    # Colleagues may still write something down.
    assert note(question, text="Called again.", by=agent, at=NOW)[1]


def test_declining_needs_a_reason_and_refunded_needs_a_case(question: SupportRequest, agent: Actor) -> None:
    with pytest.raises(answers.ReasonNeeded):
        answers.close(question, outcome=RequestOutcome.DECLINED, text="  ", by=agent, at=NOW)
    with pytest.raises(answers.NotPaidByUs):
        answers.close(question, outcome=RequestOutcome.REFUNDED, by=agent, at=NOW)
    assert state(question) == State.WAITING
    answers.record_case(question, case_number="AWS-1234", by=agent, at=NOW)
    assert answers.close(question, outcome=RequestOutcome.REFUNDED, by=agent, at=NOW)


@pytest.mark.parametrize(("text", "refusal"), [("", NoText), (" \n ", NoText), ("x" * 5001, TextTooLong)])
def test_empty_and_endless_texts_are_refused(
    question: SupportRequest, account: Account, by_owner: Actor, agent: Actor, text: str, refusal: type[Exception]
) -> None:
    for act in (
        lambda: answers.answer(question, text=text, by=agent, at=NOW),
        lambda: write_further(question, text=text, by=by_owner, at=NOW),
        lambda: note(question, text=text, by=agent, at=NOW),
        lambda: ask(account, kind=RequestKind.OTHER, message=text, by=by_owner, at=NOW),
    ):
        with pytest.raises(refusal):
            act()
    assert not Message.objects.exists()
    assert SupportRequest.objects.count() == 1


def test_the_case_at_the_marketplace_is_told_and_stays_out_of_the_history(
    question: SupportRequest, owner: User, agent: Actor, sign_in: SignIn
) -> None:
    assert answers.record_case(question, case_number=" AWS-1234 ", by=agent, at=NOW)
    assert not answers.record_case(question, case_number="AWS-1234", by=agent, at=NOW)
    assert answers.record_case(question, case_number="AWS-5678", by=agent, at=NOW)
    assert [told.facts["case_number"] for told in mails("request_case")] == ["AWS-1234", "AWS-5678"]
    assert "as case AWS-5678" in sign_in(owner).get("/user/support/").content.decode()
    assert "AWS" not in str(list(Event.objects.values_list("facts", flat=True)))
    with pytest.raises(TextTooLong):
        answers.record_case(question, case_number="9" * 101, by=agent, at=NOW)


def test_staff_ask_for_a_customer_who_cannot_sign_in_and_say_what_they_compared(
    account: Account, owner: User, agent: Actor
) -> None:
    with pytest.raises(NotIdentified):
        ask(account, kind=RequestKind.DELETION, message="", by=agent, at=NOW, identity=["owner_email"])
    assert not SupportRequest.objects.exists()
    request = asked(account, agent, RequestKind.DELETION, identity=IDENTITY)
    assert (request.on_behalf, request.identity) == (True, IDENTITY)
    assert Event.objects.get().facts["identity"] == IDENTITY
    (told,) = mails("request_received")
    assert (told.recipient, told.facts["on_behalf"]) == (owner, True)
    answers.answer(request, text="As you asked.", by=agent, at=NOW)
    assert mails("request_answered")[0].recipient == owner


def test_the_answer_goes_to_who_asked_else_to_the_owner(
    account: Account, owner: User, member: User, agent: Actor
) -> None:
    request = asked(account, Actor.member(member))
    answers.answer(request, text="One", by=agent, at=NOW)
    Membership.objects.filter(user=member).delete()
    answers.answer(request, text="Two", by=agent, at=NOW + DAY)
    assert [told.recipient for told in mails("request_answered")] == [member, owner]


def test_internal_notes_are_for_staff_alone(
    question: SupportRequest, owner: User, agent: Actor, sign_in: SignIn, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    _written, new = note(question, text="Rude on the phone", by=agent, at=NOW)
    assert new
    assert not note(question, text="Rude on the phone", by=agent, at=NOW)[1]
    answers.answer(question, text="Dear customer", by=agent, at=NOW)
    client = sign_in(owner)
    pages = "".join(client.get(path).content.decode() for path in ("/user/support/", "/user/subscription/"))
    assert "Dear customer" in pages
    assert "Rude" not in pages
    assert "Internal note" not in pages
    send_due(NOW)
    assert all("Rude" not in str(letter.message()) for letter in mail.outbox)
    assert InternalNote.objects.get().text == "Rude on the phone"


def test_nothing_is_written_to_an_account_that_is_being_erased(
    question: SupportRequest, account: Account, by_owner: Actor, agent: Actor
) -> None:
    Account.objects.filter(pk=account.pk).update(purging_at=NOW)
    for act in (
        lambda: answers.answer(question, text="Hello", by=agent, at=NOW),
        lambda: write_further(question, text="Hello", by=by_owner, at=NOW),
        lambda: note(question, text="Hello", by=agent, at=NOW),
    ):
        with pytest.raises(BeingErased):
            act()
    assert not Message.objects.exists()


def test_what_is_late_and_what_soon_will_be(account: Account, by_owner: Actor, agent: Actor) -> None:
    names = {"request-overdue", "request-due-soon", "deletion-request-overdue"}

    def found(at: Any) -> dict[str, list[str]]:
        every = [*invariants.violations(at), *invariants.warnings(at)]
        return {violation.name: list(violation.examples) for violation in every if violation.name in names}

    other, deletion = asked(account, by_owner), asked(account, by_owner, RequestKind.DELETION)
    assert found(NOW) == {}
    assert found(NOW + DAY) == {"request-due-soon": [other.reference]}
    assert found(NOW + 3 * DAY) == {"request-overdue": [other.reference]}
    assert list(SupportRequest.objects.open().overdue(NOW + 3 * DAY)) == [other]
    answers.answer(other, text="Here.", by=agent, at=NOW + 3 * DAY)
    assert found(NOW + 3 * DAY) == {}
    month = NOW + relativedelta(months=1)
    # An answer that decides nothing does not stop the legal month.
    answers.answer(deletion, text="We look into it.", by=agent, at=NOW + 3 * DAY)
    assert found(month - DAY) == {"request-due-soon": [deletion.reference]}
    assert found(month) == {"deletion-request-overdue": [deletion.reference]}
    assert "deletion-request-overdue" in {violation.name for violation in invariants.violations(month)}
    assert "request-overdue" not in {violation.name for violation in invariants.violations(NOW + 3 * DAY)}


def test_texts_are_for_the_owner_and_for_who_wrote_them(
    account: Account, owner: User, admin: User, stranger: User, sign_in: SignIn
) -> None:
    request = asked(account, Actor.owner(owner), message="My card was stolen")
    path = f"/user/support/{request.reference}/"
    for person, status in ((owner, 302), (admin, 404), (stranger, 409)):
        client = sign_in(person)
        assert ("card was stolen" in client.get("/user/support/").content.decode()) is (person == owner)
        assert client.post(path, {"account": account.pk, "text": "More"}).status_code == status
    assert [message.text for message in request.messages.all()] == ["More"]


@pytest.mark.parametrize("posted", [{}, {"text": " "}, {"text": "x" * 5001}])
def test_a_further_message_that_says_nothing_is_refused_on_the_page(
    question: SupportRequest, owner: User, sign_in: SignIn, posted: dict[str, Any]
) -> None:
    response = press(sign_in(owner), "/user/support/", f"/user/support/{question.reference}/", **posted)
    assert response.status_code == 422
    assert f'id="{question.reference}-text_error"' in response.content.decode()
    assert not Message.objects.exists()


def test_a_stale_page_is_told_that_the_request_is_closed(
    question: SupportRequest, owner: User, agent: Actor, sign_in: SignIn
) -> None:
    client, path = sign_in(owner), f"/user/support/{question.reference}/"
    sent = form_on(client, "/user/support/", path).sent(text="Wait")
    answers.close(question, outcome=RequestOutcome.ANSWERED, by=agent, at=NOW)
    answer = client.post(path, sent, follow=True).content.decode()
    assert "This request is closed." in answer
    assert not Message.objects.exists()


def test_the_page_takes_the_same_number_of_statements_whatever_was_written(
    account: Account, owner: User, by_owner: Actor, agent: Actor, sign_in: SignIn,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    client = sign_in(owner)
    for number in range(10):
        request = asked(account, by_owner, message=f"Question {number}")
        if number == 0:
            answers.answer(request, text="Answer", by=agent, at=NOW)
            write_further(request, text="And?", by=by_owner, at=NOW)
    client.get("/user/support/")
    with django_assert_num_queries(STATEMENTS):
        client.get("/user/support/")
    for request in account.requests.all():
        for number in range(5):
            answers.answer(request, text=f"Answer {number}", by=agent, at=NOW)
    with django_assert_num_queries(STATEMENTS):
        client.get("/user/support/")


#: Session, user, memberships; readable, count, requests, messages; obstacles, deletion; providers; banners.
STATEMENTS = 14


def test_each_mail_about_a_request_is_written(
    account: Account, owner: User, by_owner: Actor, agent: Actor, question: SupportRequest, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    deletion = asked(account, agent, RequestKind.DELETION, identity=IDENTITY)
    until = NOW + relativedelta(months=3)
    answers.extend(deletion, until=until, reason="Backups abroad.", by=agent, at=NOW)
    answers.record_case(question, case_number="AWS-1234", by=agent, at=NOW)
    answers.close(question, outcome=RequestOutcome.ANSWERED, by=agent, at=NOW)
    answers.close(deletion, outcome=RequestOutcome.DECLINED, text="A court wants the data.", by=agent, at=NOW + DAY)
    assert send_due(NOW + DAY) == 6
    letters = [(letter.subject, letter.body) for letter in mail.outbox]

    def said(reference: str, subject: str) -> str:
        return "\n".join(str(body) for found, body in letters if found == subject.format(reference))

    assert "We answer by March 20, 2026." in said(question.reference, "We have your request {}")
    assert "If that was not you, write to support at once." in said(deletion.reference, "We have your request {}")
    extended = said(deletion.reference, "Your request {} takes us longer")
    assert "answer by June 17, 2026 at the latest" in extended
    assert "Backups abroad." in extended
    assert "as case AWS-1234" in said(question.reference, "Your request {} is with the marketplace")
    assert "If something is left open" in said(question.reference, "Your request {} is closed")
    declined = said(deletion.reference, "Your request {} is closed")
    assert "A court wants the data." in declined
    assert "We can't do what you asked for." in declined
