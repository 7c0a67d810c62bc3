"""The golden snapshots out of a real store, with the bucket in the path and in the host."""

import json
import os
import pathlib
import shutil
import sys

import numpy as np
import pytest
from conftest import GOLDEN, ROOT

sys.path.insert(0, str(ROOT / "tests" / "python" / "s3"))

from servers import ACCESS_KEY, SECRET_KEY, install_versitygw, start_versitygw  # noqa: E402
from test_snapshots import NAMES, load_check, put_snapshot  # noqa: E402


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    program = os.environ.get("VERSITYGW") or shutil.which("versitygw") or install_versitygw()
    server = start_versitygw(program, tmp_path_factory.mktemp("store"), "--virtual-domain", "localhost")
    yield server
    server.stop()


@pytest.fixture(params=["path", "virtual"])
def reached(store, request, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("AWS_", "S3_")) or "proxy" in name.lower()]:
        monkeypatch.delenv(name)
    host = "127.0.0.1" if request.param == "path" else "localhost"
    (tmp_path / "config").write_text(f"[default]\ns3 =\n  addressing_style = {request.param}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{store.port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    return store


@pytest.mark.parametrize("name", NAMES)
async def test_a_golden_snapshot_is_answered_exactly_from_a_store(reached, tmp_path, name):
    check, folder = load_check(), pathlib.Path(GOLDEN) / name
    root = put_snapshot(reached, name)
    cases = json.loads((folder / "expected.json").read_text())["cases"]
    queries = np.load(folder / "queries.npy")
    for _ in range(2):  # from the store, then from the cache
        answers = await check.via_python(root, tmp_path / "cache", queries, cases)
        assert all([check.compare(name, case, answer) for case, answer in zip(cases, answers, strict=True)])
