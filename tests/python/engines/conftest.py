"""A store for all tests of an engine."""

import pytest
from store import start_moto


@pytest.fixture(scope="session")
def moto():
    server = start_moto()
    server.client().create_bucket(Bucket="bucket")
    yield server
    server.stop()
