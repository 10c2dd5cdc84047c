"""Pages from templates of Jinja2: files ``*.j2`` in the folder of the package that fills them."""

from __future__ import annotations

from typing import Any


def filled(package: str, name: str, **values: Any) -> str:
    """The template ``name`` of ``package`` with ``values`` in it, ending in a line end.

    It may extend ``page.html.j2`` of this package, a page for a browser. In a template of HTML
    (``*.html.j2``) every value is escaped; Markdown escapes its own, see
    ``optimizer.text.markdown``. A value that the template reads and that is not given is an error.
    """
    # Loaded late: few commands write a page.
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader("hwgen", "")]),
        autoescape=name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(values)


def plotly_script() -> str:
    """Plotly's own JavaScript, which a page carries with it."""
    from plotly.offline import get_plotlyjs  # An extra's, and slow to import.

    return str(get_plotlyjs())
