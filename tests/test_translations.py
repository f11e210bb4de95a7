"""The French catalogue is complete: every text that people see is marked, translated, and still in use."""

import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.pofile import read_po
from django.conf import settings
from django.template.base import Lexer, TokenType
from django.utils.translation.template import templatize

ROOT = Path(settings.BASE_DIR)
CATALOGUE = ROOT / "locale/fr/LC_MESSAGES/django.po"
FOLDERS = ("accounts", "config", "marketplace", "subscriptions", "templates")
#: Django's own lazy functions, beside the names that every gettext has.
KEYWORDS = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
#: What a translation takes over unchanged: `%(name)s`, `{name}`, and tags.
KEPT = re.compile(r"%\(\w+\)\w|%[sd%]|\{\w*\}|</?\w+")
#: A straight apostrophe, or anything but a no-break space beside double punctuation; times and URLs are left alone.
MISTYPED = re.compile(r"'|[^\xa0\u202f][;!?»](?!\w)|[^\xa0\u202f]:(?!//|\d)|«[^\xa0\u202f]")
#: The last resort is written in English: it must work when translations do not.
UNMARKED_TEMPLATES = {"500.html"}
#: Names, the same in every language.
NAMES = {"Blueprints", "JSON"}
READ_ALOUD = {"alt", "aria-label", "placeholder", "title"}

#: Context and text, or texts if there is a plural: what identifies a message.
Key = tuple[str | None, str | tuple[str, ...]]


def test_every_text_is_translated() -> None:
    translated = {_key(message) for message in _catalogue() if _is_translated(message)}
    missing = _texts_in_use() - translated
    assert not missing, f"{_command()}, then translate:\n{_listed(missing)}"


def test_no_translation_is_left_that_nothing_uses() -> None:
    catalogue = _catalogue()
    unused = ({_key(message) for message in catalogue if message.id} - _texts_in_use()) | {
        _key(message) for message in catalogue.obsolete.values()
    }
    assert not unused, f"{_command()}, which removes:\n{_listed(unused)}"


def test_translations_keep_placeholders_and_tags() -> None:
    changed = {
        _key(message)
        for message in _catalogue()
        if message.id and any(_kept(text) != _kept(translation) for text, translation in _pairs(message))
    }
    assert not changed, f"placeholders or tags differ from the English text:\n{_listed(changed)}"


def test_french_is_typeset_as_french() -> None:
    """Typographic apostrophes, and no-break spaces inside guillemets and before double punctuation."""
    wrong = {
        _key(message)
        for message in _catalogue()
        if message.id and any(MISTYPED.search(translation) for _, translation in _pairs(message))
    }
    assert not wrong, f"a straight apostrophe, or no no-break space (U+00A0) where one belongs:\n{_listed(wrong)}"


def test_every_text_in_a_template_is_marked_for_translation() -> None:
    unmarked = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in _templates()
        if path.name not in UNMARKED_TEMPLATES
        for text in _unmarked_texts(path.read_text(encoding="utf-8"))
    ]
    assert not unmarked, "put these into {% translate %} or {% blocktranslate %}:\n" + "\n".join(unmarked)


def _command() -> str:
    return (
        "run `manage.py makemessages -l fr --no-location --no-obsolete "
        "-i .venv -i .venv-uv -i tests -i bench -i docs -i var`"
    )


def _catalogue() -> Catalog:
    with CATALOGUE.open("rb") as file:
        return read_po(file)


def _key(message: Message) -> Key:
    return message.context, message.id if isinstance(message.id, str) else tuple(message.id)


def _is_translated(message: Message) -> bool:
    return not message.fuzzy and all(translation for _, translation in _pairs(message))


def _pairs(message: Message) -> list[tuple[str, str]]:
    """Each English text with its translation: the singular, and the plural for every further form."""
    texts = [message.id] if isinstance(message.id, str) else list(message.id)
    translations = [message.string] if isinstance(message.string, str) else list(message.string or [""])
    return [(texts[min(form, len(texts) - 1)], text or "") for form, text in enumerate(translations)]


def _kept(text: str) -> set[str]:
    return set(KEPT.findall(text))


def _listed(keys: set[Key]) -> str:
    return "\n".join(sorted(f"  {text!r}" + (f" ({context})" if context else "") for context, text in keys))


def _texts_in_use() -> set[Key]:
    sources = [path.read_text(encoding="utf-8") for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    sources += [_as_python(path) for path in _templates()]
    return {
        (context, text)
        for source in sources
        for _, text, _, context in extract("python", io.BytesIO(source.encode()), keywords=KEYWORDS)
    }


def _templates() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".html", ".txt"):
                yield path


def _as_python(path: Path) -> str:
    """What `makemessages` hands to gettext in place of a template; the indentation would be wrong in Python."""
    python = templatize(path.read_text(encoding="utf-8"), origin=str(path))
    return "\n".join(line.strip() for line in python.splitlines())


def _unmarked_texts(template: str) -> list[str]:
    texts = _Texts()
    texts.feed("".join(_outside_translations(template)))
    texts.close()
    return [text for text in texts.found if re.search(r"[^\W\d_]", text) and text not in NAMES]


def _outside_translations(template: str) -> Iterator[str]:
    """The template without its tags, variables and comments, and without the texts of `blocktranslate`."""
    closing = ""
    for token in Lexer(template).tokenize():
        tag = token.contents.split(" ", 1)[0] if token.token_type == TokenType.BLOCK else ""
        if closing:
            closing = "" if tag == closing else closing
        elif tag in ("blocktranslate", "blocktrans", "comment"):
            closing = f"end{tag}"
        elif token.token_type == TokenType.TEXT:
            yield token.contents


class _Texts(HTMLParser):
    """Collects what a person reads, or has read out: texts, and the attributes that hold some."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in READ_ALOUD and value]

    def handle_data(self, data: str) -> None:
        self.found += [line.strip(" ·:–-()") for line in data.splitlines()]
