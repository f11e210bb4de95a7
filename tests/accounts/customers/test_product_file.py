"""`PRODUCT_FILE`: a product in another language says what it sells; what makes no sense stops the start."""

from pathlib import Path

import pytest
from django.test import RequestFactory
from django.utils import translation

from accounts.customers import product_file
from accounts.customers.losses import Lost
from accounts.customers.product_file import BadProductFile

GOOD = """
home = "https://app.example.com/"
[navigation.documents]
address = "https://app.example.com/documents"
label = { en = "Documents" }
[features.documents]
label = { en = "Writing documents", fr = "Rédaction de documents" }
[losses.documents]
feature = "documents"
some = { en = "Documents become read-only.", fr = "Les documents passent en lecture seule." }
one = { en = "{count} document, 100% of it, becomes read-only." }
other = { en = "{count} documents become read-only.", fr = "{count} documents passent en lecture seule." }
[stays.documents]
text = { en = "All documents can still be read." }
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "product.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_it_declares_features_losses_what_stays_and_where_the_product_is(tmp_path: Path) -> None:
    declared = product_file.read(written(tmp_path, GOOD))
    [loss] = declared.losses
    assert Lost(loss).ahead == "Documents become read-only."
    assert Lost(loss, 1).ahead == "1 document, 100% of it, becomes read-only."
    assert Lost(loss, 1234).ahead == "1,234 documents become read-only."
    [feature], [stay], [entry] = declared.features, declared.stays, declared.navigation
    assert (feature.code, str(feature.label), str(stay.text)) == (
        "documents",
        "Writing documents",
        "All documents can still be read.",
    )
    assert (str(entry.label), entry.address) == ("Documents", "https://app.example.com/documents")
    assert declared.home is not None
    assert declared.home(RequestFactory().get("/"))["Location"] == "https://app.example.com/"
    with translation.override("fr"):
        assert (str(feature.label), str(stay.text)) == ("Rédaction de documents", "All documents can still be read.")
        assert Lost(loss, 4).ahead == "4 documents passent en lecture seule."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("features = 3", "features"),
        ("[features.Documents]\nlabel = { en = 'x' }", "features.Documents"),
        ("[features.documents]\nlabel = { fr = 'x' }", "features.documents.label.en"),
        (
            "[losses.documents]\nfeature = 'other'\nsome = { en = 'x' }",
            "hangs on a feature that is not declared: other",
        ),
        (GOOD.replace("one = {", "two = {"), "losses.documents.two"),
        ("home = 'javascript:alert(1)'", "home"),
        ("home = ", "can't be read"),
    ],
)
def test_what_makes_no_sense_stops_the_start_and_says_where(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadProductFile, match="PRODUCT_FILE") as refused:
        product_file.read(written(tmp_path, text))
    assert says in str(refused.value)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadProductFile, match="can't be read"):
        product_file.read(tmp_path / "missing.toml")
