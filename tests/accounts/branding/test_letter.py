"""A letter: greeted, signed, and with a way to answer, as text and as HTML, in its reader's language and zone."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.template import engines
from pytest_django import Settings

from accounts.branding import letter
from accounts.branding.letter import Paragraph, Reader

READER = Reader("olivia@harbour.example", name="Olivia <Owner>", language="en")
TEMPLATE = """{% load formats %}{% autoescape off %}A subject for {{ who }}

{{ who }} began on {{ at|moment }}.


Look at it here:
{{ site_url }}/user/support/

Not a button:
https://elsewhere.example/
{% endautoescape %}
"""


@pytest.fixture
def acme(settings: Settings, tmp_path: Path) -> Any:
    """Another brand, and a template of its own: `acme/mail/hello`."""
    settings.BRAND_NAME, settings.BRAND_URL, settings.BRAND_COLOUR = "Acme & Sons", "https://acme.example", "#7a0b74"
    settings.SUPPORT_EMAIL, settings.SITE_URL = "help@acme.example", "https://app.acme.example"
    folder = tmp_path / "acme" / "mail"
    folder.mkdir(parents=True)
    (folder / "hello.txt").write_text(TEMPLATE)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [*settings.TEMPLATES[0]["DIRS"], tmp_path]}]
    return engines


def hello(to: Reader = READER, **options: Any) -> Any:
    return letter.write("acme/mail/hello", to=to, who="<Ada>", at=datetime(2026, 7, 1, 8, tzinfo=UTC), **options)


def html_of(message: Any) -> str:
    ((html, kind),) = message.alternatives
    assert kind == "text/html"
    return str(html)


def test_a_letter_is_greeted_signed_and_can_be_answered(acme: None) -> None:
    message = hello(concerning="Harbour")
    assert message.subject == "A subject for <Ada>"
    assert message.to == ["olivia@harbour.example"]
    assert message.reply_to == ["help@acme.example"]
    assert message.body == (
        "Hello Olivia <Owner>,\n\n"
        "<Ada> began on Wednesday, July 1, 2026, 8:00\u202fAM (UTC).\n\n"
        "Look at it here:\nhttps://app.acme.example/user/support/\n\n"
        "Not a button:\nhttps://elsewhere.example/\n\n"
        "Best regards,\nThe Acme & Sons team\nhttps://acme.example\n\n"
        "-- \nThis email is about the account Harbour at Acme & Sons. "
        "Questions? Reply to this email, or write to help@acme.example.\n"
    )


def test_its_html_is_the_same_with_a_button_in_the_colour_of_the_brand(acme: None) -> None:
    html = html_of(hello())
    assert "Hello Olivia &lt;Owner&gt;," in html
    assert "&lt;Ada&gt; began on" in html
    assert "The Acme &amp; Sons team" in html
    assert html.count("background:#7a0b74") == 1
    assert '<a href="https://app.acme.example/user/support/"' in html
    assert ">Look at it here</a>" in html
    assert 'href="https://elsewhere.example/"' not in html
    assert "This email is about your sign-in at Acme &amp; Sons." in html


def test_a_letter_is_in_its_readers_language_and_zone(acme: None) -> None:
    message = hello(Reader("o@harbour.example", language="fr", time_zone="Europe/Paris"))
    assert message.body.startswith("Bonjour,\n\n")
    assert "10:00 (CEST)" in message.body
    assert "Cordialement,\nL’équipe Acme & Sons" in message.body
    assert '<html lang="fr">' in html_of(message)
    assert message.extra_headers["Content-Language"] == "fr"


def test_a_letter_that_may_go_out_twice_has_one_message_id(acme: None) -> None:
    assert hello(message_id="notice-7").extra_headers["Message-ID"] == "<notice-7@app.acme.example>"
    assert "Message-ID" not in hello().extra_headers


def test_only_an_address_of_ours_at_the_end_of_a_paragraph_is_a_button(settings: Settings) -> None:
    settings.SITE_URL = "https://app.acme.example"
    ours = "https://app.acme.example/x/"
    assert letter.paragraphs(f"Go on:\n{ours}") == [Paragraph("Go on:", ours)]
    assert letter.paragraphs(f"Continuer\u00a0:\n{ours}")[0].label == "Continuer"
    for text in (ours, f"Go on:\n{ours} now", f"{ours}\nand more", "Go on:\nhttps://app.acme.example.evil.example/"):
        assert letter.paragraphs(text) == [Paragraph(text)]
