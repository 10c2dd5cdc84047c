"""The site: ``make docs`` builds it from README and the pages here, without a warning."""

from importlib import metadata

project = "hwgen"
author = "the hwgen authors"
copyright = "2026, the hwgen authors"
release = metadata.version("hwgen")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
# The pages link to each other, and to sources, as they lie in the repository.
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "yosys_scripts/README.md",
    "optimizer/workloads/fashion_mnist/README.md",
    "tests/hwgen/formats/vectors/README.md",
]
root_doc = "docs/index"
html_theme = "furo"
html_title = f"hwgen {release}"
# Links to a heading of a page, down to the third level.
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_block"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
# Public names are documented where they are imported from.
add_module_names = False
napoleon_numpy_docstring = False
