"""What a person does with a page in a test: find a form on it, fill it in, press its button."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from django.test import Client


@dataclass
class Form:
    """A form as it stands on a page: where it goes, and what it sends if nobody types anything."""

    action: str
    hidden: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)

    def sent(self, **typed: str) -> dict[str, str]:
        """What the browser sends when this is typed into it."""
        unknown = typed.keys() - self.fields.keys()
        assert not unknown, f"the form has no such fields: {unknown}"
        return {**self.hidden, **self.fields, **typed}


class _Forms(HTMLParser):
    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.found: list[Form] = []
        self.form: Form | None = None
        self.select = self.area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form" and given.get("method") == "post":
            self.form = Form(given.get("action") or self.address)
            self.found.append(self.form)
        elif self.form is None:
            return
        elif tag == "input" and given.get("type") == "hidden":
            if name != "csrfmiddlewaretoken":
                self.form.hidden[name] = given.get("value", "")
        elif tag == "input" and name:
            self.form.fields[name] = given.get("value", "")
        elif tag == "textarea":
            self.area = name
            self.form.fields[name] = ""
        elif tag == "select":
            self.select = name
            self.form.fields.setdefault(name, "")
        elif tag == "option" and "selected" in given:
            self.form.fields[self.select] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = None
        elif tag == "textarea":
            if self.form:
                # The line break that follows the opening tag is no part of it.
                self.form.fields[self.area] = self.form.fields[self.area].removeprefix("\n")
            self.area = ""

    def handle_data(self, data: str) -> None:
        if self.area and self.form:
            self.form.fields[self.area] += data


def forms_on(html: str, address: str) -> list[Form]:
    """The forms of a page that send something, in their order."""
    parser = _Forms(address)
    parser.feed(html)
    return parser.found


def form_on(client: Client, page: str, action: str = "") -> Form:
    """The form on a page that is sent to `action`, by default to the page itself."""
    response = client.get(page)
    path = urlsplit(action or page).path
    found = [form for form in forms_on(response.content.decode(), page) if urlsplit(form.action).path == path]
    assert found, f"{page} ({response.status_code}) has no form that is sent to {path}"
    return found[0]


def press(client: Client, page: str, action: str = "", /, *, follow: bool = False, **typed: Any) -> Any:
    """Open a page, fill in the form that is sent to `action` (by default to the page itself), and send it."""
    form = form_on(client, page, action)
    return client.post(form.action, form.sent(**typed), follow=follow)
