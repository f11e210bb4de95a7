"""Requests that no honest client sends, made from the URL configuration, from a seed: the same seed, the same request.

Most of a request is as it should be, so that it comes far enough to do harm; one or two things in it are odd.
"""

import copy
import json
import random
import re
import string
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.urls import URLPattern, URLResolver
from django.urls.resolvers import RegexPattern

#: What has brought down one web application or another.
ODD_TEXTS: Sequence[str] = (
    "", " ", "\x00", "a\x00b", "\x0b", "\r\n", "a\r\nSubject: b", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u202e",
    "\ud800", "\udfff\ud800", "\ufffe", "\U0001f680", "e\u0301", "é", "İ", "ß", "ǆ", "\u0130@x.org", "%", "%00",
    "%zz",
    "'", "\"", "\\", "\\u0000", "(", ")", "[", "*", "+", "?", "^(a+)+$", "a{9999}", "(?P<", "\\1", "[[:alpha:]", "--",
    "; DROP TABLE accounts_account", "<script>", "{{ 7*7 }}", "{%", "${7}", "../../etc/passwd", "/", "//", "\\\\x",
    "None", "null", "true", "True", "undefined", "NaN", "nan", "inf", "-inf", "Infinity", "1e999", "-0", "0", "-1",
    "1", "01", "1.5", "1,5", "١٢", "２", "²", "9" * 10, "9" * 19, "9" * 40, "9" * 5000, "-" + "9" * 30, "0x10",
    "1_000",
    "2147483648", "9223372036854775808", "1e5", "0000-00-00", "2026-02-30", "2026-13-01", "9999-12-31", "10000-01-01",
    "0001-01-01", "1-1-1", "2026-03-29T02:30", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "24:00", "99:99",
    "2026-12-01T09:30:00Z", "2026-12-01", "12:00", "UTC", "US/Pacific-New", "Mars/Olympus", "../UTC", "en", "xx",
    "xxx",
    "a" * 300, "é" * 5000, "a" * 70_000, "a@b", "a@", "@b", "@", "a@b@c.org", "a@" + "b" * 70 + ".org",
    "a@é" + "é" * 70,
    "a@-b.org", "a@b..org", "a@xn--zzzzzz.org", "a@xn--.org", "a@\u00ad.org", "a@[127.0.0.1]", "a@[::1]",
    "\"a b\"@c.org",
    "ida@bücher.example", "owner@example.org", "http://[", "http://[::1", "//evil.example", "https://evil.example/",
    "javascript:alert(1)", "/admin/", "127.0.0.1:x", "pro", "free", "direct", "refund", "deletion", "other", "unused",
    "00000000-0000-0000-0000-000000000000", "g" * 36, "{}", "[]", "[{}]", "{\"id\": 1e999}", "[" * 100_000,
    "1" + "0" * 400,
)  # fmt: skip
#: As Python, and browsers of long ago, know them, and as nobody does.
CHARSETS = (
    "utf-8", "UTF-8", "utf8", "\"utf-8\"", "us-ascii", "iso-8859-1", "latin-1", "utf-16", "utf-32", "utf-7",
    "cp037", "idna",
    "punycode", "hex", "base64", "rot13", "zlib", "bz2", "uu", "quopri", "unicode_escape", "raw_unicode_escape",
    "undefined",
    "charmap", "mbcs", "oem", "string-escape", "unknown", "", "é", "\x00", "a" * 300, "utf-8; charset=hex", "../x",
    "x-user-defined",
)  # fmt: skip
CONTENT_TYPES = (
    "application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=", "text/plain",
    "application/json",
    "multipart/form-data; boundary=" + "x" * 300, "multipart/form-data; boundary=é", "multipart/mixed; boundary=b",
    "", "a", "/", ";",
    "application/xml", "application/octet-stream", "text/html", "application/x-www-form-urlencoded; a", "é/é",
    "\x00", "*/*",
)  # fmt: skip
ODD_HEADERS: Mapping[str, Sequence[str]] = {
    "HTTP_ACCEPT_LANGUAGE": ("", "*", "xx", "fr;q=x", "en;q=1e999", ",,,", "é", "a" * 5000, "fr-" * 500, "\x00"),
    "HTTP_ACCEPT": ("", "*/*", "a/b;q=x", ";", "é"),
    "HTTP_ACCEPT_ENCODING": ("gzip;q=x", "identity;q=0, *;q=0", "é"),
    "HTTP_IF_MODIFIED_SINCE": ("x", "0", "Sat, 30 Feb 2026 99:99:99 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "9" * 40),
    "HTTP_IF_UNMODIFIED_SINCE": ("x", "Thu, 01 Jan 1970 00:00:00 GMT"),
    "HTTP_IF_NONE_MATCH": ("*", "\"", "W/", "é", "," * 1000),
    "HTTP_IF_MATCH": ("*", "\"x\""),
    "HTTP_RANGE": ("bytes=-", "bytes=9-1", "bytes=" + "9" * 40 + "-", "x", "bytes=0-0,1-1"),
    "HTTP_COOKIE": ("", "=", ";", "sessionid=", "sessionid=\x00", "sessionid=" + "a" * 5000, "csrftoken=x",
    "messages=x", "a=\"", "é=é",
                    "django_language=xx", "messages=W1siX19qc29u", "sessionid=../x"),
    "HTTP_HOST": ("testserver", "testserver:x", "a b", "é", "[::1", "evil.example", "", "testserver:99999",
    "a" * 300),
    "HTTP_X_FORWARDED_PROTO": ("https", "x", ""),
    "HTTP_X_FORWARDED_FOR": ("x", "1.2.3.4, é", "", "::1", "9" * 500, "1.1.1.1," * 1000),
    "HTTP_X_FORWARDED_HOST": ("evil.example", "é"),
    "HTTP_ORIGIN": ("null", "http://[", "é", "https://evil.example", ""),
    "HTTP_REFERER": ("http://[", "é", "x", "https://evil.example/"),
    "HTTP_USER_AGENT": ("", "é" * 500, "\x00", "a" * 5000),
    "HTTP_AUTHORIZATION": ("", "Bearer", "Bearer é", "Basic x", "Bearer " + "a" * 5000, "Bearer \x00"),
    "HTTP_X_REQUESTED_WITH": ("XMLHttpRequest",),
    "HTTP_X_HTTP_METHOD_OVERRIDE": ("DELETE",),
    "HTTP_EXPECT": ("100-continue",),
    "HTTP_TRANSFER_ENCODING": ("chunked", "x"),
    "HTTP_X_API_KEY": ("", "é", "\x00", "test-aws-events-token"),
    "HTTP_X_HUB_SIGNATURE_256": ("", "sha256=", "sha256=é", "sha256=" + "0" * 64),
    "HTTP_X_GITHUB_EVENT": ("", "ping", "é", "a" * 101, "marketplace_purchase"),
    "HTTP_X_GITHUB_DELIVERY": ("", "é", "a" * 201, "\x00"),
    "HTTP_X_AMZ_SNS_MESSAGE_TYPE": ("Notification", "é", ""),
    "HTTP_X_AMZ_SNS_RAWDELIVERY": ("true", "é"),
}  # fmt: skip
METHODS = ("GET",) * 8 + ("POST",) * 10 + ("HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "é")
#: What queries are called here, in Django's admin and in allauth.
QUERIES = (
    "q", "p", "o", "e", "ot", "all", "page", "next", "before", "kind", "only", "still", "queue", "state",
    "attention", "_popup",
    "_to_field", "_facets", "_changelist_filters", "code", "state", "error", "process", "scope", "plan", "account",
    "id", "pk",
    "id__exact", "pk__in", "id__regex", "account__name__regex", "name__iregex", "at__year", "started_at__date",
    "ends_at__isnull",
    "processed_at__isempty", "finished_at__isempty", "account__isempty", "kind__exact", "source__exact",
    "channel__exact",
    "plan__code__exact", "plan__pk__exact", "cause__exact", "is_staff__exact", "auto_renewal__exact",
    "end_reason__exact",
    "password__startswith", "user__password__regex", "requested_at__gte", "created_at__range", "id__lt", "cents__gt",
    "a" * 300, "é", "\x00", "[]", "", "a[b]", "__", "id__", "__id", "id__exact__exact",
)  # fmt: skip
#: What the fields of forms are called, with values that make sense in some of them.
PLAUSIBLE: Mapping[str, Sequence[str]] = {
    "name": ("Harbour", "Olga"), "account_name": ("Harbour",), "email": ("new@example.org", "owner@example.org"),
    "login": ("owner@example.org",), "password": ("correct horse battery",), "password1": ("correct horse battery",),
    "password2": ("correct horse battery",), "oldpassword": ("correct horse battery",), "remember": ("on",),
    "code": ("123456",),
    "kind": ("refund", "deletion", "other"), "message": ("Hello", ), "text": ("Hello", ), "reason": ("unused",
    "Case 81"),
    "comment": ("None", ), "components": ("[]", ), "account": ("{account}", ), "language": ("fr", ""),
    "time_zone": ("UTC", "Asia/Tokyo"),
    "until_0": ("2027-01-01",), "until_1": ("09:30",), "starts_at_0": ("2027-01-01",), "starts_at_1": ("09:30",),
    "ends_at_0": ("2028-01-01", ), "ends_at_1": ("09:30", ), "seats": ("5", ), "price": ("", "490.00"),
    "amount": ("10.00", ),
    "currency": ("USD", ), "payment_reference": ("ch_1", ), "ends": ("now", "later", "keeps"), "request": ("1", ""),
    "plan": ("pro", "1"),
    "order_reference": ("ORD-1", ), "new_owner": ("admin@example.org", ), "stays": ("on", ),
    "identity": ("owner_email", "card_digits"),
    "to": ("", "1"), "case_number": ("C-1", ), "outcome": ("answered", "declined"), "override": ("Because", ),
    "why": ("", "unused"),
    "rows": ("1,2", "{account}"), "action": ("hold", "cancel", "answer", "end_now", "delete_selected"),
    "confirmed": ("1", ),
    "_selected_action": ("1", "{account}"), "index": ("0", ), "select_across": ("0", "1"), "next": ("/", ),
    "token": ("x", ),
    "x-amzn-marketplace-token": ("x",), "x-amzn-marketplace-offer-type": ("free-trial",), "action_add": ("",),
    "action_remove": ("",),
    "action_primary": ("",), "action_send": ("",), "promise": ("x",), "version": ("1",), "_save": ("Save",),
    "_continue": ("x",),
}  # fmt: skip
#: Placed where a number, a text or a whole object was in a message that was well-formed.
ODD_JSON: Sequence[Any] = (
    None, True, False, 0, -1, 1, 1.5, -0.0, 2**31, 2**53, 2**63, 2**64, 10**400, 1e308, "", " ", "\x00", "\ud800",
    "a" * 300, "é" * 5000,
    [], {}, [[]], [None], {"": None}, {"a": {"b": {}}}, "2026-02-30T00:00:00Z", "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "123456789012", "cancelled", "a\r\nb", "\x0b", "NaN",
)  # fmt: skip
#: Texts that are not JSON, or not quite.
ODD_BODIES: Sequence[bytes] = (
    b"", b" ", b"null", b"[]", b"{}", b"\"", b"{", b"[" * 50_000, b"{\"a\":" * 50_000, b"NaN", b"[NaN]", b"[1e999]",
    b"[-1e999]", b"Infinity",
    b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"\x00", b"\xff", b"{\"a\": \"\\ud800\"}", b"{\"a\": \"\\u0000\"}",
    b"{\"\\u0000\": 1}",
    b"[" + b"9" * 5000 + b"]", b"{\"a\":1,\"a\":2}", b"payload=", b"payload=%7B%7D", b"payload=%00",
    b"payload=%FF&payload=1", b"a=1;b=2",
    b"=&=&=", b"&".join(b"f%d=1" % number for number in range(2000)), b"a" * 70_000, b"x=" + b"a" * 1_200_000,
    b"[{\"id\":1e400}]",
    b"--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nv\r\n--x--\r\n", b"--x\r\n", b"%", b"a=%zz",
    b"a[]=1&a[][]=2", b"[0.1e-999]",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What is sent, and by whom (`role`)."""

    role: str
    method: str
    #: Percent-encoded, as it goes over the wire.
    path: str
    query: str = ""
    body: bytes = b""
    content_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    #: Whether forms need their token, as they do for browsers; most do without, to come further.
    checks_forms: bool = False

    def __str__(self) -> str:
        shown = {name: value[:60] for name, value in self.headers.items()}
        address = f"{self.path[:200]}?{self.query[:200]}"
        return f"{self.role}: {self.method} {address} {self.content_type[:80]!r} {shown} {self.body[:300]!r}"


#: Makes a request to a machine's door that is signed or carries our token; made by the world, which knows them.
Door = Callable[[random.Random, Callable[[Any], Any]], Request]


@dataclass(frozen=True)
class Generator:
    routes: Sequence[str]
    roles: Sequence[str]
    #: What the placeholders of routes stand for, by name; several of each.
    known: Mapping[str, Sequence[str]]
    doors: Sequence[Door] = ()

    def request(self, seed: int) -> Request:
        chance = random.Random(seed)  # noqa: S311  # nothing secret
        if self.doors and chance.random() < 0.12:
            return chance.choice(self.doors)(chance, lambda value: mutated(value, chance))
        role, method = chance.choice(self.roles), chance.choice(METHODS)
        path = self._path(chance)
        query = self._query(chance) if chance.random() < 0.5 else ""
        headers = self._headers(chance)
        if method in ("GET", "HEAD", "OPTIONS", "TRACE"):
            content_type = odd_content_type(chance) if chance.random() < 0.1 else ""
            return Request(role, method, path, query, b"", content_type, headers)
        body, content_type = self._body(chance)
        if "/api/" in path and chance.random() < 0.8:
            headers["HTTP_AUTHORIZATION"] = "Bearer test-api-token"
        return Request(role, method, path, query, body, content_type, headers, checks_forms=chance.random() < 0.1)

    def _path(self, chance: random.Random) -> str:
        route, filled = chance.choice(self.routes), ""
        for literal, name, _spec, _conversion in string.Formatter().parse(route):
            filled += literal
            if name is not None:
                values = self.known.get(name)
                odd = not values or chance.random() < 0.25
                value = odd_text(chance)[:2000] if odd else chance.choice(values or [""])
                filled += urllib.parse.quote(
                    value, safe="" if odd and chance.random() < 0.8 else "/", errors="surrogatepass"
                )
        if chance.random() < 0.04:
            quoted = urllib.parse.quote(odd_text(chance)[:200], safe="/%", errors="surrogatepass")
            position = chance.randrange(len(filled) + 1)
            filled = filled[:position] + quoted + filled[position:]
        return "/" + filled.replace("\n", "%0A").replace("\r", "%0D")

    def _query(self, chance: random.Random) -> str:
        pairs = [
            (chance.choice(QUERIES), self._plausible(chance) if chance.random() < 0.3 else odd_text(chance)[:3000])
            for _ in range(chance.choice((1, 1, 1, 2, 3, 12)))
        ]
        text = urllib.parse.urlencode(pairs, errors="surrogatepass")
        return text if chance.random() < 0.9 else urllib.parse.unquote(text).encode("ascii", "replace").decode()[:3000]

    def _plausible(self, chance: random.Random) -> str:
        return chance.choice(chance.choice(list(PLAUSIBLE.values()))).format(account=self.known["account_id"][0])

    def _headers(self, chance: random.Random) -> dict[str, str]:
        if chance.random() < 0.75:
            return {}
        names = chance.sample(list(ODD_HEADERS), chance.choice((1, 1, 2)))
        # A server hands headers over as Latin-1.
        return {name: chance.choice(ODD_HEADERS[name]).encode("utf-8", "replace").decode("latin-1") for name in names}

    def _body(self, chance: random.Random) -> tuple[bytes, str]:
        kind = chance.random()
        if kind < 0.15:
            return chance.choice(ODD_BODIES), odd_content_type(chance)
        if kind < 0.3:
            value = mutated(chance.choice(_BODIES), chance)
            return as_json(value), "application/json"
        fields = self._fields(chance)
        charset = f"; charset={chance.choice(CHARSETS)}" if chance.random() < 0.15 else ""
        if kind < 0.85:
            text = urllib.parse.urlencode(fields, errors="surrogatepass").encode()
            return text, f"application/x-www-form-urlencoded{charset}"
        return multipart(fields, chance), f"multipart/form-data; boundary=BoUnDaRy{charset}"

    def _fields(self, chance: random.Random) -> list[tuple[str, str]]:
        names = list(PLAUSIBLE)
        if chance.random() < 0.7:
            # A whole form with something odd in it comes further than a few odd fields.
            fields = [(name, chance.choice(PLAUSIBLE[name])) for name in names]
            for number in chance.sample(range(len(fields)), chance.choice((0, 1, 1, 2, 5))):
                fields[number] = (fields[number][0], odd_text(chance))
            if chance.random() < 0.5:
                fields = [pair for pair in fields if pair[0] != "confirmed"]
        else:
            fields = [(chance.choice(names), odd_text(chance)) for _ in range(chance.choice((1, 2, 4)))]
        if chance.random() < 0.02:
            fields += [(f"field{number}", "1") for number in range(1100)]
        return [(name, value.replace("{account}", self.known["account_id"][0])) for name, value in fields]


def odd_text(chance: random.Random) -> str:
    if chance.random() < 0.85:
        return chance.choice(ODD_TEXTS)
    return "".join(
        chr(chance.choice((chance.randrange(0x250), chance.randrange(0x11000))))
        for _ in range(chance.choice((1, 3, 30)))
    )


def odd_content_type(chance: random.Random) -> str:
    text = chance.choice(CONTENT_TYPES)
    if chance.random() < 0.5:
        text += f"; charset={chance.choice(CHARSETS)}"
    elif chance.random() < 0.2:
        text += f"; charset*={chance.choice(CHARSETS)}'en'utf-8"
    return text.encode("utf-8", "replace").decode("latin-1")


def mutated(value: Any, chance: random.Random) -> Any:
    """A copy of a message's content in which one or two things are odd."""
    changed = json.loads(json.dumps(value))
    for _ in range(chance.choice((1, 1, 2))):
        places = list(_places(changed))
        if not places:
            return copy.deepcopy(chance.choice(ODD_JSON))
        parent, key = chance.choice(places)
        if chance.random() < 0.15:
            if isinstance(parent, dict):
                del parent[key]
            continue
        parent[key] = copy.deepcopy(chance.choice(ODD_JSON))
    return changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def as_json(value: Any) -> bytes:
    """With halves of surrogate pairs escaped, which can't be written otherwise; and sometimes what JSON can't hold."""
    return json.dumps(value).encode()


def multipart(fields: Sequence[tuple[str, str]], chance: random.Random) -> bytes:
    parts = []
    for name, value in fields:
        filename = (
            f'; filename="{chance.choice(("a.txt", "", "../a", "é", "a" * 300))}"' if chance.random() < 0.03 else ""
        )
        kind = f"Content-Type: text/plain; charset={chance.choice(CHARSETS)}\r\n" if chance.random() < 0.03 else ""
        encoding = "Content-Transfer-Encoding: base64\r\n" if chance.random() < 0.02 else ""
        if chance.random() < 0.01:
            filename += f"; title*={chance.choice(CHARSETS)}'en'%41"
        head = f'--BoUnDaRy\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n{kind}{encoding}\r\n'
        parts.append(head.encode() + value.encode("utf-8", "surrogatepass") + b"\r\n")
    end = b"--BoUnDaRy--\r\n"
    whole = b"".join(parts) + end
    return whole if chance.random() < 0.9 else whole[: chance.randrange(len(whole))]


#: `<uuid:account_id>`, `<key>`.
_PLACEHOLDER = re.compile(r"<(?:\w+:)?(\w+)>")
#: `(?P<key>.+)`
_GROUP = re.compile(r"\(\?P<(\w+)>[^)]*\)")
#: Of the API's doors.
_BODIES: Sequence[Any] = (
    [{"id": "i-1", "type": "ec2", "name": "web", "region": "eu-west-1", "size": 1.5}],
    {"repository": "octo/ferries", "hook_id": 12345, "github_user_id": 1},
    {"a": [1, {"b": "c"}]},
)


def routes_of(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    """Every route with `{name}` for its placeholders; those of a regular expression roughly so."""
    for pattern in resolver.url_patterns:
        path = prefix + _filled(pattern)
        if isinstance(pattern, URLPattern):
            yield path
        else:
            yield from routes_of(pattern, path)


def _filled(pattern: URLPattern | URLResolver) -> str:
    text = str(pattern.pattern)
    if isinstance(pattern.pattern, RegexPattern):
        return _GROUP.sub(r"{\1}", text.removeprefix("^").removesuffix("$"))
    return _PLACEHOLDER.sub(r"{\1}", text)
