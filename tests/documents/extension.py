from datetime import datetime

from accounts.customers.account import Account
from accounts.customers.features import Feature
from accounts.customers.losses import Loss, Stay, Words
from accounts.customers.product import Entry
from accounts.erasure.inventory import Erased, Order
from accounts.exports.parts import ID, TEXT, Rows
from accounts.extension import Extension
from tests.documents import views
from tests.documents.models import Document


def demo(account: Account, *, at: datetime, updated_at: datetime) -> None:
    if not Document.objects.filter(account=account).exists():
        Document.objects.bulk_create(Document(account=account, title=title) for title in ("Plan", "Budget", "Minutes"))


EXTENSION = Extension(
    # Pages.
    urls="tests.documents.urls",
    home=views.documents,
    navigation=(Entry("Documents", "documents"),),
    # What a plan grants, what is lost with it, what stays.
    features=(Feature("documents", "Writing documents"),),
    losses=(
        Loss(
            "documents",
            feature="documents",
            ahead=Words(
                "Documents become read-only.",
                lambda count: f"%(count)s document{'s become' if count > 1 else ' becomes'} read-only.",
            ),
            count=lambda account: Document.objects.filter(account=account).count(),
        ),
    ),
    stays=(Stay("documents", "All documents can still be read.", in_mails=True),),
    # What is erased with an account, and what its owner can take along before.
    personal_data=(
        Erased("documents.Document", Order.CONTENT, lambda account: Document.objects.filter(account_id=account)),
    ),
    export_parts=(
        Rows(
            "documents.jsonl",
            lambda account: Document.objects.filter(account=account),
            {"id": ID, "title": TEXT},
            on_page="all documents",
        ),
    ),
    demo=(demo,),
)
