"""The errors a user can cause or meet; the command line prints them in one line and exits 2.

Everything else that escapes is a fault of this package and shows its traceback.
"""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: the message says what was given, what is allowed and what to do."""


class ToolError(RuntimeError):
    """A tool outside this package is missing, failed, crashed or ran out of time."""
