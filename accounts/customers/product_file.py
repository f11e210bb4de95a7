"""`PRODUCT_FILE`: what a product in another process sells, and what is lost with it, in a file of TOML.

A product that is no Django app can't register itself. What Offboard must say of it stands in this file instead: its
features, losses, what stays, and where its pages are. Its counts it sends by the API (`accounts.customers.usage`).

    home = "https://app.example.com/"

    [navigation.documents]
    address = "https://app.example.com/documents"
    label = { en = "Documents", fr = "Documents" }

    [features.documents]
    label = { en = "Writing documents", fr = "Rédaction de documents" }

    [losses.documents]
    feature = "documents"
    some = { en = "Documents become read-only." }
    one = { en = "{count} document becomes read-only." }
    other = { en = "{count} documents become read-only." }

    [stays.documents]
    text = { en = "All documents can still be read." }

A text without the reader's language is told in English. What makes no sense stops the start (`BadProductFile`).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.functional import Promise, lazystr
from django.utils.translation import get_language
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from accounts.customers.features import MAX_CODE, Feature
from accounts.customers.losses import Loss, Stay, Words
from accounts.customers.product import Entry, Page

Code = Annotated[str, Field(pattern=rf"^[a-z][a-z0-9_]{{0,{MAX_CODE - 1}}}$")]
Sentence = Annotated[str, Field(min_length=1, max_length=300)]
Address = Annotated[str, Field(pattern=r"^https?://\S+$", max_length=500)]


class BadProductFile(ImproperlyConfigured):
    """The file can't be read, or says what makes no sense. The message says what, line by line."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Text(_Strict):
    """A text in the languages of the pages; English at least."""

    en: Sentence
    fr: Sentence = ""

    def read(self) -> str:
        told: str = getattr(self, (get_language() or "en").partition("-")[0], "")
        return told or self.en


class _Place(_Strict):
    address: Address
    label: _Text


class _Feature(_Strict):
    label: _Text


class _Loss(_Strict):
    feature: Code
    some: _Text
    one: _Text | None = None
    other: _Text | None = None

    @model_validator(mode="after")
    def _counts_in_both_numbers(self) -> "_Loss":
        if (self.one is None) != (self.other is None):
            raise ValueError("a loss that is counted needs both `one` and `other`")
        return self


class _Stay(_Strict):
    text: _Text


class _Product(_Strict):
    home: Address | None = None
    navigation: Mapping[Code, _Place] = {}
    features: Mapping[Code, _Feature] = {}
    losses: Mapping[Code, _Loss] = {}
    stays: Mapping[Code, _Stay] = {}

    @model_validator(mode="after")
    def _losses_hang_on_features(self) -> "_Product":
        for code, loss in self.losses.items():
            if loss.feature not in self.features:
                raise ValueError(f"the loss {code} hangs on a feature that is not declared: {loss.feature}")
        return self


@dataclass(frozen=True)
class ProductFile:
    """What the file declares, as `accounts.extension.Extension` takes it."""

    home: Page | None
    navigation: tuple[Entry, ...]
    features: tuple[Feature, ...]
    losses: tuple[Loss, ...]
    stays: tuple[Stay, ...]


def read(path: Path) -> ProductFile:
    """What this file declares. Raises `BadProductFile`."""
    try:
        said = _Product.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadProductFile(f"PRODUCT_FILE {path} can't be read: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors()]
        raise BadProductFile(f"PRODUCT_FILE {path}:\n  " + "\n  ".join(lines)) from None
    return ProductFile(
        home=_Elsewhere(said.home) if said.home else None,
        navigation=tuple(Entry(_lazy(place.label), place.address) for place in said.navigation.values()),
        features=tuple(Feature(code, _lazy(feature.label)) for code, feature in said.features.items()),
        losses=tuple(Loss(code, loss.feature, ahead=_words(loss)) for code, loss in said.losses.items()),
        stays=tuple(Stay(code, _lazy(stay.text), in_mails=True) for code, stay in said.stays.items()),
    )


@dataclass(frozen=True)
class _Elsewhere:
    """The front page of a product that has its own."""

    address: str

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return redirect(self.address)


def _words(loss: _Loss) -> Words:
    if loss.one is None or loss.other is None:
        return Words(_lazy(loss.some))
    return Words(_lazy(loss.some), partial(_counted, loss.one, loss.other))


def _counted(one: _Text, other: _Text, count: int) -> str:
    text = (one if count == 1 else other).read()
    return text.replace("%", "%%").replace("{count}", "%(count)s")


def _lazy(text: _Text) -> Promise:
    return lazystr(_Read(text))


class _Read:
    """A text that is read in the language of whoever reads it."""

    def __init__(self, text: _Text) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text.read()


def configured() -> ProductFile | None:
    """What `PRODUCT_FILE` declares; None where it is not set. Raises `BadProductFile`."""
    return read(Path(settings.PRODUCT_FILE)) if settings.PRODUCT_FILE else None
