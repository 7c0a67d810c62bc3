"""How Sphinx builds the documentation of the Python package."""

import shardyfusion

project = "shardyfusion"
version = release = shardyfusion.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx"]
html_theme = "furo"
html_title = f"shardyfusion {release}"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
exclude_patterns = ["README.md"]
