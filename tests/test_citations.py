"""Rules name their sources, and the sources are here: each citation leads to a section of a document in `docs/`."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
SOURCES = ("accounts", "subscriptions", "marketplace", "config", "templates", "tests", "bench")
#: `facts/github-marketplace, 2.3` or `design, idea 7`; several sections after "to", "and" or a comma.
_PLACE = r"(?:idea |section )?\d+(?:\.\d+)?"
CITATION = re.compile(
    rf"\b(?P<document>facts/[a-z-]+|design), (?P<places>{_PLACE}(?:(?: to |, | and ){_PLACE})*)(?![\d%])",
)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def citations() -> Iterator[tuple[str, str, str]]:
    """File, document and place of each."""
    for folder in SOURCES:
        for path in sorted((PROJECT / folder).rglob("*.*")):
            if path.suffix not in (".py", ".html", ".txt", ".md") or path == Path(__file__).resolve():
                continue
            # A citation may be broken over two lines of a comment.
            text = re.sub(r"\s*\n\s*(?:#:? )?", " ", path.read_text())
            for found in CITATION.finditer(text):
                for place in re.split(r" to |, | and ", found["places"]):
                    yield str(path.relative_to(PROJECT)), found["document"], place


def headings(document: str) -> set[str]:
    """What can be cited of a document: numbers of sections, and ideas."""
    text = (PROJECT / "docs" / f"{document}.md").read_text()
    sections = re.findall(r"^#{2,3} (\d[\d.]*\d|\d)[. ]", text, re.M)
    ideas = re.findall(r"^### Idea (\d+)", text, re.M)
    return {*sections, *(f"section {number}" for number in sections), *(f"idea {number}" for number in ideas)}


def test_every_citation_leads_to_a_section_of_a_document() -> None:
    known: dict[str, set[str]] = {}
    found = list(citations())
    assert len(found) > 50
    for _path, document, _place in found:
        known.setdefault(document, headings(document))
    assert [(path, document, place) for path, document, place in found if place not in known[document]] == []


def test_no_source_is_named_that_is_not_here() -> None:
    elsewhere = re.compile(r"\bseeds/|\(reference, \d|design\.md, ")
    named = [
        str(path.relative_to(PROJECT))
        for folder in SOURCES
        for path in sorted((PROJECT / folder).rglob("*.py"))
        if path != Path(__file__).resolve() and elsewhere.search(path.read_text())
    ]
    assert named == []


@pytest.mark.parametrize(
    "document",
    [
        path
        for path in sorted(PROJECT.rglob("*.md"))
        if not {".venv", "var", "node_modules", ".venv-uv"} & set(path.parts)
    ],
    ids=lambda path: str(path.relative_to(PROJECT)),
)
def test_every_link_between_documents_leads_to_a_file(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
    assert [link for link in LINK.findall(text) if not (document.parent / link).exists()] == []
