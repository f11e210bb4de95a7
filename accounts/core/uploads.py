"""No page takes files. What is sent all the same is not read, however large it is."""

from typing import Any

from django.core.files.uploadhandler import FileUploadHandler, StopUpload


class NoUploads(FileUploadHandler):
    """Ends the reading of a form at its first file (`FILE_UPLOAD_HANDLERS`): nothing is kept in memory or on disk."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        raise StopUpload(connection_reset=True)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        raise StopUpload(connection_reset=True)

    def file_complete(self, file_size: int) -> None:
        return None
