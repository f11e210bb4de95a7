"""What a plan can grant beyond the free plan: codes that the product registers (`accounts.extension`), with words.

A plan holds codes, not words: it may grant one that nobody has registered, such as one of a product that is installed
later. The API tells it like any other, people see its code, and `doctor` names the plan.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from django.utils.functional import Promise

from accounts.core.registry import Registry

#: As long as a plan can hold.
MAX_CODE = 40


@dataclass(frozen=True)
class Feature:
    """Something that an account may use if its plan grants it. The code is for ever: plans and the API name it."""

    code: str
    label: str | Promise
    #: A template that is shown where somebody is refused the feature: what they can do instead. It is given the
    #: `account` and, as `arguments`, those of the address that refused. Empty: only a plan that grants it helps.
    way_out: str = ""

    def __post_init__(self) -> None:
        if not 0 < len(self.code) <= MAX_CODE:
            raise ValueError(f"the code of a feature has 1 to {MAX_CODE} characters: {self.code!r}")


REGISTRY: Registry[Feature] = Registry(key=attrgetter("code"))


def named(code: str) -> Feature:
    """The feature of this code; one that nobody has registered is called by its code."""
    return REGISTRY.named(code) if code in REGISTRY else Feature(code, code)


def codes() -> list[str]:
    return [feature.code for feature in REGISTRY.all()]


def choices() -> list[tuple[str, str | Promise]]:
    """For forms in which a plan's features are ticked."""
    return [(feature.code, feature.label) for feature in REGISTRY.all()]


def unknown(granted: Iterable[str]) -> list[str]:
    """Those of these codes that nobody has registered."""
    return sorted(code for code in granted if code not in REGISTRY)
