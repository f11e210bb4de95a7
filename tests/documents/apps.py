from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    name = "tests.documents"
    label = "documents"

    def ready(self) -> None:
        from tests.documents.extension import EXTENSION

        EXTENSION.install()
