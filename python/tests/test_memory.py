"""Memory that runs out is MemoryError: never a crash, never another answer."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest
from conftest import GOLDEN

PRELOADED = pathlib.Path(os.environ.get("SF_BUILD_DIR", "build")).resolve() / "tests" / "libfaults_preload.so"
SWEEP = pathlib.Path(__file__).parent / "memory_sweep.py"


@pytest.mark.skipif(not PRELOADED.exists(), reason="the library to preload is not built")
@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="a sanitizer's runtime is preloaded")
@pytest.mark.parametrize("snapshot", ["sqlite-cosine-cluster", "lance22-cosine-cluster"])
@pytest.mark.parametrize("kind", ["library", "interpreter"])
def test_running_out_of_memory_raises_and_never_crashes(tmp_path, snapshot, kind):
    if kind == "interpreter" and importlib.util.find_spec("_testcapi") is None:
        pytest.skip("this interpreter comes without its test module")
    stride = os.environ.get("FAULTS_STRIDE", "149" if kind == "library" else "1")
    command = [sys.executable, str(SWEEP), kind, str(GOLDEN / snapshot / "snapshot"), str(tmp_path), stride]
    environment = os.environ | {"PYTHONFAULTHANDLER": "1"}
    if kind == "library":
        environment["LD_PRELOAD"] = str(PRELOADED)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
