"""Pages that are filled from templates show values as they are, and never lack one."""

import pytest
from jinja2 import UndefinedError

from hwgen.templates import filled

VALUES = {
    "statuses": ("passed",),
    "line": "1 < 2 & 3",
    "troubles": [],
    "columns": ("unit",),
    "units": [["<b>"]],
    "cases": [["passed"], [1234567]],
    "refused": [],
}


def test_html_is_escaped_and_numbers_are_set_apart():
    page = filled("sim", "results.html.j2", **VALUES)
    assert "<p>1 &lt; 2 &amp; 3</p>" in page and "<td>&lt;b&gt;</td>" in page
    assert '<td class="passed">passed</td>' in page and '<td class="n">1,234,567</td>' in page
    assert "What is wrong" not in page and page.endswith("</html>\n")


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_lacks_is_an_error(name):
    with pytest.raises(UndefinedError, match=f"'{name}' is undefined"):
        filled("sim", "results.html.j2", **{k: v for k, v in VALUES.items() if k != name})
