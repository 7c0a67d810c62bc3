"""How Sphinx builds the documentation of the Python package."""

import importlib

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

# The modules whose names code written for the format's first library imports, for the table in migrate.md.
MODULES = [
    "shardyfusion",
    "shardyfusion.vector",
    "shardyfusion.vector.types",
    "shardyfusion.vector.config",
    "shardyfusion.vector.sharding",
    "shardyfusion.vector.adapters.lancedb_adapter",
    "shardyfusion.sqlite_vec_adapter",
    "shardyfusion.config",
    "shardyfusion.credentials",
    "shardyfusion.type_defs",
    "shardyfusion.errors",
    "shardyfusion.manifest",
    "shardyfusion.manifest_store",
    "shardyfusion.async_manifest_store",
    "shardyfusion.run_registry",
    "shardyfusion.cel",
    "shardyfusion.storage",
    "shardyfusion.metrics",
]


def insert_names(app, name, source):
    """Puts the table of names into the page that asks for it."""
    if name != "migrate":
        return
    rows = ["| module | names |", "| --- | --- |"]
    for module in MODULES:
        names = sorted(importlib.import_module(module).__all__)
        rows.append(f"| `{module}` | {', '.join(f'`{name}`' for name in names)} |")
    source[0] = source[0].replace("<!-- names -->", "\n".join(rows))


def setup(app):
    app.connect("source-read", insert_names)
