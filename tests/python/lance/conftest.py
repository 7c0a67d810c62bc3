"""These tests have an environment of their own (tests/requirements-lance.txt). Elsewhere they are not collected:

    SF_BUILD_DIR=build python -m pytest --confcutdir tests/python/lance tests/python/lance
"""
import importlib.util

if importlib.util.find_spec("lance") is None or importlib.util.find_spec("pyarrow") is None:
    collect_ignore_glob = ["*.py"]
