"""Filters, ranges, pages, vectors and counts, against what each row alone would give."""

import os
import random

import numpy as np
import pytest
from filter_expressions import Row, make_rows, matches, random_form
from shardyfusion.errors import ConfigValidationError
from shardyfusion.vector import DistanceMetric, ShardedVectorReader
from shardyfusion.vector.writer import write_sharded
from writing import BACKENDS, EXPLICIT, SHARDS, configure

DIM, ROWS = 12, 600
METRICS = {"lance": list(DistanceMetric), "sqlite-vec": [DistanceMetric.COSINE, DistanceMetric.L2]}
CASES = [(backend, metric) for backend in BACKENDS for metric in METRICS[backend]]
FORMS_FOR_EACH = int(os.environ.get("SHARDYFUSION_FILTERS", "250"))
SEED = int(os.environ.get("SHARDYFUSION_SEED", "11"))


class World:
    """A snapshot, its rows in the order of a query's results, and the reader."""

    def __init__(self, folder, backend, metric, identify):
        rng = np.random.default_rng(5)
        self.vectors = rng.standard_normal((ROWS, DIM)).astype(np.float32)
        self.vectors[100:110] = self.vectors[99]  # ties
        self.rows = make_rows(7, ROWS, identify)
        config = configure(folder / "root", EXPLICIT, dim=DIM, metric=metric, adapter_factory=BACKENDS[backend])
        write_sharded(
            self.vectors,
            config,
            ids=[row.id for row in self.rows],
            payloads=[row.payload for row in self.rows],
            shard_ids=[index % SHARDS for index in range(ROWS)],
        )
        self.reader = ShardedVectorReader(s3_prefix=str(folder / "root"), local_root=str(folder / "cache"))
        self.query = self.vectors[99]
        self.all_shards = list(range(SHARDS))
        self.everything = list(self.search(top_k=ROWS))
        if backend == "lance":  # whose ids are text
            self.rows = [Row(str(row.id), row.payload) for row in self.rows]
        self.by_id = {row.id: index for index, row in enumerate(self.rows)}
        assert sorted(self.by_id[result.id] for result in self.everything) == list(range(ROWS))

    def search(self, **keywords):
        return self.reader.search(self.query, shard_ids=self.all_shards, **keywords)

    def matching(self, form):
        return [result for result in self.everything if matches(form, self.rows[self.by_id[result.id]])]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def world(request, tmp_path_factory):
    backend, metric = request.param
    identify = (lambda index: index * 3 - 50) if metric == DistanceMetric.COSINE else "row {}".format
    made = World(tmp_path_factory.mktemp("filters"), backend, metric, identify)
    with made.reader:
        yield made


def identity(results):
    return [(result.id, result.score) for result in results]


def test_random_filters_find_the_rows_that_match(world):
    rng = random.Random(SEED)
    for _ in range(FORMS_FOR_EACH):
        form = random_form(rng, ROWS)
        expected = world.matching(form)
        top_k = rng.choice([1, 10, ROWS])
        found = world.search(top_k=top_k, filter=form.text)
        assert identity(found) == identity(expected[:top_k]), form.text
        assert world.reader.count(form.text) == len(expected), form.text


def test_pages_of_a_filtered_search_join(world):
    expected = world.search(top_k=ROWS, filter='payload.lang == "de"')
    pages = [world.search(top_k=7, offset=first, filter='payload.lang == "de"') for first in range(0, ROWS, 7)]
    assert identity(result for page in pages for result in page) == identity(expected)
    assert len(expected) > 50
    assert len(world.search(top_k=5, offset=ROWS + 1)) == 0


def test_a_range_has_all_rows_up_to_its_score(world):
    for rank in (0, 5, 30, 200):
        score = world.everything[rank].score
        expected = [result for result in world.everything if result.score <= score]
        assert identity(world.search(top_k=None, max_score=score)) == identity(expected)
        assert identity(world.search(top_k=3, max_score=score)) == identity(expected[:3])
        assert identity(world.search(top_k=None, max_score=score, offset=2)) == identity(expected[2:])
        below = np.nextafter(score, -np.inf)
        assert identity(world.search(top_k=None, max_score=below)) == identity(
            result for result in world.everything if result.score <= below
        )
    assert identity(world.search(top_k=None, max_score=np.inf)) == identity(world.everything)
    assert len(world.search(top_k=None, max_score=-np.inf)) == 0


def test_a_range_with_too_many_rows_says_how_many(world):
    score = world.everything[49].score
    found = sum(result.score <= score for result in world.everything)
    with pytest.raises(ConfigValidationError, match=rf"max_results.*found {found}"):
        world.search(top_k=None, max_score=score, max_results=10)
    with pytest.raises(ConfigValidationError, match=rf"found {found - 20}"):
        world.search(top_k=None, max_score=score, max_results=10, offset=20)
    assert len(world.search(top_k=None, max_score=score, max_results=found)) == found


def test_vectors_are_what_was_stored(world):
    for result in world.search(top_k=ROWS, include_vectors=True, filter="payload.flag || !has(payload.flag)"):
        stored = world.vectors[world.by_id[result.id]]
        vector = np.asarray(result.vector)
        assert vector.dtype == np.float32 and vector.tobytes() == stored.tobytes()
        assert not vector.flags.writeable and not vector.flags.owndata
    assert world.everything[0].vector is None


def test_payloads_can_be_left_out(world):
    with_payloads = world.search(top_k=20)
    without = world.search(top_k=20, include_payloads=False)
    assert identity(without) == identity(with_payloads)
    assert all(result.payload is None for result in without)
    assert any(result.payload is not None for result in with_payloads)


def test_rows_are_counted_in_shards(world):
    assert world.reader.count() == ROWS
    assert world.reader.count(shard_ids=[1, 99]) == ROWS // SHARDS
    assert world.reader.count("false") == 0
    assert world.reader.count("true", shard_ids=[]) == 0


BAD_FILTERS = {
    "payload.lang ==": "1:16",
    "payload.lang": None,
    "payload": "1:1: an expression that is a bool",
    "1 + 1": "1:3: an expression that is a bool",
    "lang == 'en'": "1:1: undeclared reference to 'lang'",
    "row.price > 1": "1:1: undeclared reference to 'row': expected id or payload, whose members are payload.name; other columns",
    "payload.n > 1 && has(row.n)": "1:22: undeclared reference to 'row': expected id or payload",
    "payload.lang.matches('(')": "",
    "": "",
}


@pytest.mark.parametrize("text", BAD_FILTERS)
def test_a_bad_filter_is_refused_with_its_position(world, text):
    if BAD_FILTERS[text] is None:
        assert len(world.search(filter=text)) == 0  # of any type: no row has a bool there
        return
    with pytest.raises(ConfigValidationError, match="filter: ") as refused:
        world.search(filter=text)
    assert BAD_FILTERS[text] in str(refused.value)
    with pytest.raises(ConfigValidationError, match="filter: "):
        world.reader.count(text)


@pytest.mark.parametrize(
    ("keywords", "name"),
    [
        ({"filter": 5}, "filter"),
        ({"filter": "tr\0ue"}, "filter"),
        ({"max_score": "1"}, "max_score"),
        ({"max_score": True}, "max_score"),
        ({"max_score": float("nan")}, "max_score"),
        ({"offset": -1}, "offset"),
        ({"offset": 1.5}, "offset"),
        ({"top_k": None}, "max_score"),
        ({"top_k": None, "max_score": 1, "max_results": 0}, "max_results"),
        ({"top_k": 0, "filter": "true"}, "top_k"),
    ],
)
def test_what_is_no_number_or_out_of_range_is_refused(world, keywords, name):
    with pytest.raises(ConfigValidationError, match=name):
        world.search(**keywords)


def test_rows_are_fetched_by_their_ids(world):
    indexes = [5, 599, 5, 0, 321]
    ids = [world.rows[index].id for index in indexes]
    missing = "no such id"
    found = world.reader.fetch([*ids, missing], include_vectors=True)
    assert found[-1] is None
    for index, row in zip(indexes, found, strict=False):
        assert row is not None
        assert (row.id, row.score, row.payload) == (world.rows[index].id, 0.0, world.rows[index].payload)
        assert np.asarray(row.vector).tobytes() == world.vectors[index].tobytes()
    assert world.reader.fetch([]) == []
    elsewhere = world.reader.fetch(ids, shard_ids=[5 % SHARDS], include_payloads=False)
    assert [row is not None for row in elsewhere] == [index % SHARDS == 5 % SHARDS for index in indexes]
    assert all(row is None or row.payload is None for row in elsewhere)


def test_all_rows_are_fetched_at_once(world):
    found = world.reader.fetch([row.id for row in world.rows])
    assert [(row.id, row.payload) for row in found] == [(row.id, row.payload) for row in world.rows]


@pytest.mark.parametrize("ids", [[True], [1.5], [None], [2**63], ["\ud800"], "abc", {1, 2}, 7])
def test_what_is_no_id_is_refused(world, ids):
    with pytest.raises(ConfigValidationError, match="ids: "):
        world.reader.fetch(ids)


def test_a_response_explains_itself(world):
    response = world.search(top_k=5, filter='payload.lang == "de"', explain=True)
    explained = response.explain()
    figures = explained.as_dict()
    assert figures["rows"]["matching"] == world.reader.count('payload.lang == "de"')
    assert [shard["shard_id"] for shard in figures["shards"]] == world.all_shards
    assert "that match the filter" in str(explained)
    assert "shards" not in world.search(top_k=5).explain().as_dict()


def test_results_with_vectors_are_pickled_and_compared(world):
    import copy
    import pickle

    result = world.search(top_k=1, include_vectors=True)[0]
    for other in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert other == result
        assert bytes(memoryview(other.vector)) == bytes(result.vector)
    assert "float32" in repr(result)
