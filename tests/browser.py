"""A page in headless Chromium, with a script of a test's behind its own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
needed = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)")

_BEHIND = """
<pre id="said"></pre><script>
const said = [];
addEventListener("error", event => said.push("error: " + event.message));
try { SCRIPT } catch (error) { said.push("error: " + error); }
document.getElementById("said").textContent = JSON.stringify(said);
</script></body>"""


def said(page: Path, script: str, *options: str) -> list[Any]:
    """What ``script`` pushes to the list ``said`` in the page, which has no network."""
    copy = page.with_name("tried.html")
    copy.write_text(page.read_text().replace("</body>", _BEHIND.replace("SCRIPT", script)))
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--virtual-time-budget=5000", "--host-resolver-rules=MAP * ~NOTFOUND", *options),
            f"--user-data-dir={page.parent / 'profile'}",
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r'<pre id="said">(.*?)</pre>', done.stdout, re.S)
    assert found, done.stderr
    text = found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    result: list[Any] = json.loads(text)
    assert not [line for line in result if str(line).startswith("error: ")], result
    return result


def require_self_contained(page: Path) -> None:
    """AssertionError if the page would load anything."""
    text = page.read_text()
    outside = re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=", text)
    assert not outside, outside
