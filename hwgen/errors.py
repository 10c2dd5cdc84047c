"""The errors a user can cause or meet; the command line prints them in one line and exits 2.

Everything else that escapes is a fault of this package: its traceback goes to a file.
"""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Iterable

#: The exit code of a fault of this package, EX_SOFTWARE of sysexits.h.
FAULT = 70


class InputError(ValueError):
    """Bad input: the message says what was given, what is allowed and what to do."""


class ToolError(RuntimeError):
    """A tool outside this package is missing, failed, crashed or ran out of time."""


def near(given: object, names: Iterable[str]) -> str:
    """What somebody may have meant: " (did you mean mxfp4 or nvfp4?)", or nothing.

    Names that begin so come first, then those that are written nearly so; case does not count.
    """
    import difflib  # For a mistake alone.

    text, known = str(given).lower(), {name.lower(): name for name in names}
    begin = [name for name in known if text and name.startswith(text)]
    like = [text] if text in known else [*begin, *difflib.get_close_matches(text, known, 3, 0.7)]
    meant = [known[name] for name in list(dict.fromkeys(like))[:3]]
    return f" (did you mean {' or '.join(meant)}?)" if meant else ""


def fault(error: Exception) -> str:
    """A line that says where the traceback of a fault of this package is kept.

    It is the traceback itself where no file can be written.
    """
    text = "".join(traceback.format_exception(error))
    what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="hwgen-fault-", suffix=".txt", delete=False, errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:
        return f"{what}; this is a fault of hwgen: please report it\n{text}"
    return f"{what}; this is a fault of hwgen: please report it, with {file.name}"
