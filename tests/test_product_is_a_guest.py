"""Nothing but the product itself names what is being sold (design, idea 16); the import contract sees only imports."""

import re
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
FOLDERS = ("accounts", "subscriptions", "marketplace", "templates")
PRODUCT = ROOT / "accounts" / "blueprints"
WORDS = re.compile(
    r"blueprint|cloudcraft|infinite.grid|cloud_updates|bits.menu|live view|connections? to clouds|datadog['’]s", re.I
)
#: The brand of the demo is called after its product; whoever has set up nothing else is told so.
ALLOWED = {"accounts/desk/dashboard/first_steps.py": ["blueprint"]}


def test_nothing_else_names_what_is_being_sold() -> None:
    found: dict[str, list[str]] = {}
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*")):
        if PRODUCT in path.parents or path.suffix not in (".py", ".html", ".txt") or path.parent.name == "migrations":
            continue
        if words := [word.lower() for word in WORDS.findall(path.read_text(encoding="utf-8"))]:
            found[str(path.relative_to(ROOT))] = words
    assert found == ALLOWED
