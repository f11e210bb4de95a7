"""Another vendor's name stands wherever ours or the demo's would: no text and no template names either."""

import re
from pathlib import Path

from babel.messages import pofile
from django.conf import settings


def test_no_text_of_ours_names_a_vendor() -> None:
    """Of the catalogue and the templates, mails of every kind among them; what names the vendor is a setting."""
    root = Path(settings.BASE_DIR)
    with (root / "locale/fr/LC_MESSAGES/django.po").open("rb") as file:
        texts = [
            text
            for message in pofile.read_po(file)
            if message.id
            for text in (*_all(message.id), *_all(message.string))
        ]
    templates = [path.read_text() for path in (root / "templates").rglob("*") if path.is_file()]
    assert len(texts) > 2000
    assert len(templates) > 150
    assert [text for text in (*texts, *templates) if re.search(r"\bOffboard\b|blueprints\.example", text)] == []
    assert [text for text in templates if "Blueprints" in text] == []


def _all(text: object) -> tuple[str, ...]:
    return tuple(map(str, text)) if isinstance(text, (tuple, list)) else (str(text),)
