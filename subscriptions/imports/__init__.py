"""Existing customers, brought in from the system that the vendor leaves: `manage.py import_accounts` (docs/import.md).

`files` reads a file line by line, `shapes` what a row may say, `present` what is here of it already; `importer` adds
what is missing, each row in a transaction of its own.
"""
