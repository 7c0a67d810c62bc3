"""What several threads may share: readers, responses and results, operations, builders. Without the GIL they truly meet."""

import sys
import sysconfig
import threading

import numpy as np
import pytest
from shardyfusion import _core
from shardyfusion.errors import ReaderStateError
from shardyfusion.vector import ShardedVectorReader

NUM_THREADS = 8


def in_threads(work, count=NUM_THREADS):
    """What each of the threads gave, which all begin at once; what one raised is raised here."""
    barrier = threading.Barrier(count)
    given, raised = [None] * count, []

    def run(number):
        try:
            barrier.wait(60)
            given[number] = work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
    return given


def test_importing_the_package_leaves_the_gil_off():
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("this CPython has a GIL")
    assert not sys._is_gil_enabled()


def test_threads_share_a_reader(published, where):
    queries = [published.query(seed) for seed in range(NUM_THREADS)]
    expected = [published.expected_ids(query) for query in queries]
    with ShardedVectorReader(**where) as reader:

        def work(number):
            for i in range(50):
                at = (number + i) % NUM_THREADS
                assert [result.id for result in reader.search(queries[at])] == expected[at]
                assert [[r.id for r in response] for response in reader.batch_search(np.stack(queries[:2]))] == expected[:2]

        in_threads(work)


def test_threads_that_read_the_same_response_find_the_same_objects(published, where):
    with ShardedVectorReader(**where) as reader:
        for seed in range(50):
            response = reader.search(published.query(seed))

            def work(_):
                results = response.results
                return results, [(result, result.id, result.payload) for result in results], bytes(response.scores)

            (results, rows, scores), *others = in_threads(work, 4)
            for other_results, other_rows, other_scores in others:
                assert other_results is results and other_scores == scores
                for row, other_row in zip(rows, other_rows, strict=True):
                    assert all(part is other_part for part, other_part in zip(row, other_row))


def test_one_thread_waits_for_an_operation_and_others_are_refused(published, where):
    sink = _core.Sink(False)
    for _ in range(30):
        operation = _core.open(None, None, str(published.root), sink, cache_dir=where["local_root"])

        def work(number):
            if number % 2:
                operation.cancel()
            try:
                return operation.wait()
            except BaseException as error:  # CancelledError is one
                return error

        outcomes = in_threads(work, 4)
        refused = [o for o in outcomes if isinstance(o, ReaderStateError) and "not one to wait for" in str(o)]
        assert len(refused) == 3, outcomes


def test_threads_that_drain_and_abandon_one_queue_take_each_operation_once(published, where):
    class Future:
        def __init__(self):
            self.outcomes = []

        def done(self):
            return False

        def set_result(self, value):
            self.outcomes.append(value)

        set_exception = set_result

    sink = _core.Sink(False)
    reader = _core.open(None, None, str(published.root), sink, cache_dir=where["local_root"]).wait()
    query = published.query()
    for is_abandoned in (False, True):
        queue = _core.CompletionQueue()
        futures = [[Future() for _ in range(40)] for _ in range(NUM_THREADS)]
        left = threading.Semaphore(0)

        def work(number):
            for i, future in enumerate(futures[number]):
                reader.search(queue, future, query, 3, None, None, None, None)
                queue.drain()
                if is_abandoned and number == 0 and i == 20:
                    queue.abandon()
            left.release()

        in_threads(work)
        while not is_abandoned and not all(future.outcomes for row in futures for future in row):
            queue.drain()
        for future in (future for row in futures for future in row):
            assert len(future.outcomes) == 1 if not is_abandoned else len(future.outcomes) <= 1
            for outcome in future.outcomes:
                assert isinstance(outcome, Exception) or len(outcome) == 3


def test_threads_that_use_one_builder_are_refused_or_served_one_by_one(tmp_path):
    rows, dim = 64, 8
    options = {"dim": dim, "num_dbs": 2, "metric": 0, "strategy": 1, "num_hash_bits": 4, "seed": 1}
    for attempt in range(10):
        builder = _core.Builder(str(tmp_path / f"root-{attempt}"), _core.Sink(False), None, dict(options))
        vectors = np.random.default_rng(attempt).standard_normal((rows, dim)).astype(np.float32)

        def work(number):
            try:
                ids = iter(range(number * rows, (number + 1) * rows))
                return builder.add_array(vectors, ids, None, None, None, 0, rows)
            except ReaderStateError as error:
                assert "in use by another thread" in str(error)
                return 0

        added = sum(in_threads(work))
        assert added >= rows and added % rows == 0
        finished = in_threads(lambda _: finish(builder), 4)
        assert [outcome for outcome in finished if outcome is not None][0][2] == added
        in_threads(lambda _: builder.close(), 4)


def finish(builder):
    try:
        return builder.finish()
    except Exception:
        return None
