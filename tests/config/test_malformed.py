"""What nobody can read is refused before anybody reads it, in words for whoever sent it."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from config.malformed import CHARSETS
from config.wsgi import application

pytestmark = pytest.mark.django_db


def served(path: str, *, content_type: str, body: bytes = b"", **environ: Any) -> tuple[int, bytes]:
    """Status and body as the web server gets them: without the test client, which reads requests its own way."""
    said: list[str] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], failure: Any = None, /
    ) -> Callable[[bytes], object]:
        said.append(status)
        return said.append  # type: ignore[return-value]  # nobody writes by it

    answer = application(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
            **environ,
        },
        start_response,
    )
    content = b"".join(answer)
    answer.close()
    return int(said[0].split()[0]), content


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded; charset=hex",
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/x-www-form-urlencoded; charset=rot13",
        "application/x-www-form-urlencoded; charset=nonsense",
        "multipart/form-data; boundary=x; charset=idna",
        "text/plain; charset*=nonsense'en'utf-8",
    ],
)
@pytest.mark.parametrize("path", ["/auth/login/", "/marketplace/aws/register/", "/admin/", "/nowhere/"])
def test_a_form_in_another_alphabet_is_refused_with_a_page(path: str, content_type: str) -> None:
    status, content = served(path, content_type=content_type, body=b"a=b")
    assert status == 415
    assert b"The request has to be in UTF-8. Nothing was changed." in content


def test_a_machine_is_told_the_same_as_json() -> None:
    status, content = served("/marketplace/github/webhook/", content_type="application/json; charset=utf-16")
    assert status == 415
    assert content.startswith(b'{"error": "unsupported_media_type"')


@pytest.mark.parametrize("charset", ["", *(f"; charset={name.upper()}" for name in sorted(CHARSETS))])
def test_forms_in_utf_8_are_taken_however_that_is_spelt(charset: str) -> None:
    status, content = served(
        "/auth/login/", content_type=f"application/x-www-form-urlencoded{charset}", body=b"login=x"
    )
    assert status == 403, content  # its token is missing
    assert b"This page was open for too long" in content


def test_a_part_of_a_form_with_a_strange_head_is_refused() -> None:
    part = b"--x\r\nContent-Disposition: form-data; name=\"a\"; filename*=nonsense'en'%41\r\n\r\nb\r\n--x--\r\n"
    head = "multipart/form-data; boundary=x"
    status, _content = served("/marketplace/aws/register/", content_type=head, body=part)
    assert status == 400


@pytest.mark.parametrize(
    "path",
    [
        "/user/support/%00/",
        "/%00",
        "/admin/accounts/account/%00/change/",
        "/?q=%00",
        "/auth/login/?next=a%00b",
        "/a%0Ab",
    ],
)
def test_no_control_character_in_an_address_reaches_the_database_or_a_log(
    path: str, client: Client, owner: User
) -> None:
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = client.get(path)
    assert answer.status_code == 400
    assert "The request could not be read. Nothing was changed." in answer.content.decode()
    assert client.get("/api/accounts/%00/entitlements/").json()["error"] == "bad_request"


def test_a_refusal_speaks_the_language_of_the_browser(client: Client) -> None:
    answer = client.get("/?q=%00", headers={"Accept-Language": "fr"})
    assert "La requête n’a pas pu être lue" in answer.content.decode()


def test_a_method_that_an_address_does_not_take_is_answered_with_a_page(client: Client, owner: User) -> None:
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = client.post("/user/subscription/")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")
    assert "This address does not take such a request." in answer.content.decode()
    probe = client.post("/healthz/")
    assert (probe.status_code, probe.json()["error"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity", "1" + "0" * 5000])
def test_a_number_that_json_can_not_hold_is_refused(number: str, client: Client, account: Any) -> None:
    from tests.factories import ConnectionFactory

    connection = ConnectionFactory(account=account)
    answer = client.put(
        f"/api/accounts/{account.pk}/connections/{connection.pk}/resources/",
        f'[{{"id": "a", "type": "b", "name": "c", "region": "d", "size": {number}}}]',
        content_type="application/json",
        headers={"Authorization": "Bearer test-api-token"},
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_json")
