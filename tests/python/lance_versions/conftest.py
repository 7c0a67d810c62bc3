"""These tests run once with each of several versions of lancedb, each in an environment of its own
(tests/requirements-lance.txt, tests/requirements-lancedb-*.txt). Elsewhere they are not collected:

    SF_BUILD_DIR=build python -m pytest --confcutdir tests/python/lance_versions tests/python/lance_versions
"""
import importlib.metadata
import pathlib
import sys

try:
    importlib.metadata.version("lancedb")
    importlib.metadata.version("pylance")
    sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lance"))
except importlib.metadata.PackageNotFoundError:
    collect_ignore_glob = ["*.py"]
