#!/usr/bin/env python
"""Django's command line for Offboard."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as wrong:
        # Something to be set, not something to be debugged: the message says what.
        sys.exit(f"offboard: {wrong}")


if __name__ == "__main__":
    main()
