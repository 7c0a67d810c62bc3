"""Builds to a directory that are killed at random points. SHARDYFUSION_KILLS in the environment says how many."""

import os

import pytest
from build_roots import all_files
from killed_builds import KilledBuilds, check_names


@pytest.mark.killed
def test_killed_builds_leave_the_live_snapshot_alone(cli_path, tmp_path):
    seed = int(os.environ.get("SHARDYFUSION_SEED", "1"))
    builds = KilledBuilds(cli_path, tmp_path / "root", tmp_path)
    builds.all_killed(int(os.environ.get("SHARDYFUSION_KILLS", "12")), seed)
    history = builds.clean_up()
    check_names(all_files(tmp_path / "root"), history)
