"""The web server over its socket: slow senders and slow readers cost nobody anything but themselves."""

import contextlib
import http.client
import io
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from config import server
from config.stack import run as stack
from tests.accounts.erasure.dumping import database_url
from tests.config.test_stack import PROJECT, free_port, wait_until

#: More than there are threads in all processes of `make run`, twice over.
SLOW = 64
WEBHOOK = "/marketplace/github/webhook/"
#: A promise to users, on a machine that runs other tests beside; in quiet it is a few milliseconds.
AT_ONCE = 5.0


@pytest.fixture(scope="module")
def port(django_db_setup: None) -> Iterator[int]:
    """The web server exactly as `make run` starts it, but for a short wait for bodies; asked questions by a socket."""
    with psycopg.connect(database_url()) as database:
        # As it is after `migrate`; a test before may have emptied it.
        database.execute(
            "INSERT INTO accounts_opening (id, opened_at, cause) VALUES (1, now(), 'new') ON CONFLICT DO NOTHING"
        )
    number = free_port()
    with tempfile.TemporaryDirectory(prefix="offboard-server-") as folder:
        command = stack.programs(Path(folder), port=number)["web"]
        output = Path(folder) / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*command[:-1], "tests.config.impatient:application"],
                cwd=PROJECT,
                env={**os.environ, "PYTHONPATH": str(PROJECT), "DATABASE_URL": database_url()},
                stdout=file,
                stderr=file,
            )
        try:
            wait_until(lambda: _answers(number) or process.poll() is not None)
            assert process.poll() is None, output.read_text()
            yield number
        finally:
            process.terminate()
            process.wait(30)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return ask(port)[0] == 200
    return False


def ask(port: int, method: str = "GET", path: str = "/healthz/", **more: Any) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, **more)
        answer = connection.getresponse()
        return answer.status, answer.read()


def begin(port: int, *, length: int, sent: bytes = b"{", path: str = WEBHOOK) -> socket.socket:
    """A request whose body is announced, and begun, and does not go on by itself."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    connection.sendall(head.encode() + sent)
    return connection


@pytest.mark.stack
def test_many_who_send_a_byte_a_second_hold_up_nobody(port: int) -> None:
    slow = [begin(port, length=1000) for _ in range(SLOW)]
    try:
        for _second in range(2):
            asked = time.monotonic()
            assert ask(port) == (200, b'{"status": "ok"}')
            assert ask(port, "POST", WEBHOOK, body=b"{}")[0] == 401
            assert time.monotonic() - asked < AT_ONCE
            time.sleep(0.5)
            for connection in slow:
                connection.sendall(b" ")
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.stack
def test_a_body_that_never_comes_is_not_waited_for(port: int) -> None:
    """Also when it keeps coming, a byte at a time: the limit is for the whole."""
    with closing(begin(port, length=1000)) as connection:
        begun = time.monotonic()
        answer = connection.recv(65_536)
        took = time.monotonic() - begun
    assert answer.startswith(b"HTTP/1.1 408 ")
    # Of `tests.config.impatient`, with time for a busy machine.
    assert 1.5 < took < 12


@pytest.mark.stack
def test_a_body_larger_than_any_door_takes_is_refused_before_it_is_sent(port: int) -> None:
    with closing(begin(port, length=server.MOST_BYTES + 1)) as connection:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.stack
def test_the_api_says_so_in_a_problem_document(port: int) -> None:
    with closing(begin(port, length=server.MOST_BYTES + 1, path="/api/v1/accounts/")) as connection:
        answer = connection.recv(65_536).decode()
    head, _blank, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 413 ")
    assert "content-type: application/problem+json" in head.lower()
    told = json.loads(body)
    assert (told["code"], told["status"], told["detail"]) == ("too_large", 413, "A body has at most 262,144 bytes.")


@pytest.mark.stack
def test_the_api_says_in_one_too_that_a_body_never_came(port: int) -> None:
    with closing(begin(port, length=1000, path="/api/v1/accounts/")) as connection:
        answer = connection.recv(65_536).decode()
    assert answer.startswith("HTTP/1.1 408 ")
    assert json.loads(answer.partition("\r\n\r\n")[2])["code"] == "body_too_slow"


@pytest.mark.stack
def test_a_body_of_unknown_length_is_read_up_to_the_limit(port: int) -> None:
    parts = (b"x" * 65_536 for _ in range(2 + server.MOST_BYTES // 65_536))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        assert (
            ask(port, "POST", WEBHOOK, body=parts, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})[0]
            == 413
        )
    assert (
        ask(
            port,
            "POST",
            WEBHOOK,
            body=iter([b"{", b"}"]),
            encode_chunked=True,
            headers={"Transfer-Encoding": "chunked"},
        )[0]
        == 401
    )


@pytest.mark.stack
def test_who_goes_away_in_the_middle_of_a_body_leaves_nothing_behind(port: int) -> None:
    for _ in range(SLOW):
        begin(port, length=1000).close()
    assert ask(port)[0] == 200


@pytest.mark.stack
def test_many_who_do_not_read_their_answer_hold_up_nobody(port: int) -> None:
    """Django's own favourite: an answer in many parts, each waited for. Here 40 MB, which no socket buffers."""
    slow = []
    try:
        for _ in range(16):
            connection = socket.create_connection(("127.0.0.1", port), timeout=30)
            connection.sendall(b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            slow.append(connection)
        time.sleep(1)
        asked = time.monotonic()
        assert ask(port)[0] == 200
        assert time.monotonic() - asked < AT_ONCE
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.stack
@pytest.mark.parametrize("path", ["/large", "/file"])
def test_a_large_answer_arrives_whole(port: int, path: str) -> None:
    status, body = ask(port, path=path)
    assert (status, len(body), set(body)) == (200, 40_000_000, {ord("x")})


def scope(**changes: Any) -> Any:
    given = {
        "http_version": "1.1",
        "server": "127.0.0.1:8000",
        "client": "192.0.2.7:51234",
        "scheme": "http",
        "method": "POST",
        "path": "/é/",
        "query_string": "q=%C3%A9",
        "authority": None,
        "headers": {"host": "blueprints.example", "content-type": "application/json", "content-length": "7"},
        **changes,
    }
    return SimpleNamespace(**given)


def test_a_request_is_as_pep_3333_has_it() -> None:
    environ = server.environ_of(scope(), b"{}")
    assert environ["wsgi.input"].read() == b"{}"
    kept = {
        name: environ[name]
        for name in (
            "REQUEST_METHOD",
            "PATH_INFO",
            "QUERY_STRING",
            "SERVER_NAME",
            "SERVER_PORT",
            "REMOTE_ADDR",
            "HTTP_HOST",
            "CONTENT_TYPE",
            # Of what came.
            "CONTENT_LENGTH",
        )
    }
    assert kept == {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/Ã©/",
        "QUERY_STRING": "q=%C3%A9",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_HOST": "blueprints.example",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": "2",
    }


@pytest.mark.parametrize(("client", "address"), [("[2001:db8::7]:51234", "2001:db8::7"), ("192.0.2.7:1", "192.0.2.7")])
def test_a_clients_address_is_without_its_port(client: str, address: str) -> None:
    assert server.environ_of(scope(client=client), b"")["REMOTE_ADDR"] == address


def test_a_header_that_would_pass_for_another_is_not_taken() -> None:
    class Headers:
        def items(self) -> list[tuple[str, str]]:
            return [("x_forwarded_for", "10.0.0.1"), ("cookie", "a=1"), ("cookie", "b=2"), ("x-a", "1"), ("x-a", "2")]

    environ = server.environ_of(scope(headers=Headers()), b"")
    assert "HTTP_X_FORWARDED_FOR" not in environ
    assert (environ["HTTP_COOKIE"], environ["HTTP_X_A"]) == ("a=1;b=2", "1,2")


def test_a_file_of_which_a_part_has_been_read_is_sent_from_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    file = (tmp_path / "file").open("rb")
    file.seek(4)
    taken = server.StoredFile(file).taken()
    file.close()
    assert not isinstance(taken, bytes)
    with taken:
        assert taken.read() == b"456789"
    assert server.StoredFile(io.BytesIO(b"in memory")).taken() == b"in memory"
