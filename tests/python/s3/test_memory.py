"""Every allocation of readers and builds over a store may fail. `make soak` sweeps all of them."""

import os
import subprocess

import pytest
from servers import ACCESS_KEY, SECRET_KEY, build_folder, clean_environment


@pytest.mark.parametrize("mode", ["once", "from"])
@pytest.mark.parametrize("scenario", ["store-sqlite-cold", "store-lance-asynchronous", "store-build"])
def test_memory_that_is_out_is_told_and_leaves_nothing(versitygw, tmp_path, scenario, mode):
    environment = clean_environment(tmp_path) | {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_ENDPOINT_URL_S3": versitygw.url,
        "FAULTS_STORE": "s3://bucket/faults",
    }
    stride = ["--stride", os.environ["FAULTS_STRIDE"]] if "FAULTS_STRIDE" in os.environ else ["--short"]
    sweep = [str(build_folder() / "tests" / "sweep"), *stride, "--mode", mode, scenario]
    done = subprocess.run(sweep, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
