"""How Sphinx builds the documentation of the Python package."""

import shardyfusion

project = "shardyfusion"
version = release = shardyfusion.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"shardyfusion {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
autodoc_typehints = "signature"
autodoc_type_aliases = {}
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
autodoc_member_order = "bysource"
exclude_patterns = ["README.md"]
