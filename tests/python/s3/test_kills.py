"""Killing at any moment leaves a cache that the next start can use; `make soak` kills more often."""

from kills import run_kills


def test_two_processes_that_fill_one_cache_can_be_killed_at_any_moment(versitygw, tmp_path):
    assert run_kills(versitygw, tmp_path, kills=15, seed=15) > 0
