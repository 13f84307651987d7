"""How many threads compute on the host, and the blocks that they compute on."""

import threading

import numpy as np
import pytest

from scratchnet import backend
from scratchnet.backend import for_each, thread_count, to_device
from scratchnet.errors import BackendError

pytestmark = pytest.mark.usefixtures("fresh_devices")


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({}, 8),
        ({"OPENBLAS_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "3"}, 2),
        ({"SCRATCHNET_THREADS": "1", "OMP_NUM_THREADS": "2"}, 1),
        ({"SCRATCHNET_THREADS": "100"}, 8),
        ({"OMP_NUM_THREADS": "2,1"}, 2),
        ({"OMP_NUM_THREADS": "many"}, 8),
        ({"OMP_NUM_THREADS": "\u00b2", "OPENBLAS_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "0"}, 8),
        ({"OMP_NUM_THREADS": "9" * 5000}, 8),
    ],
)
def test_the_environment_and_the_affinity_limit_the_threads(environment, threads, processors, monkeypatch):
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert thread_count() == threads


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", "\u00b2", " "])
def test_anything_but_a_positive_whole_number_of_threads_is_refused(value, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_THREADS", value)
    with pytest.raises(BackendError, match=f"^SCRATCHNET_THREADS={value}: give a whole number, 1 or more"):
        thread_count()


@pytest.mark.parametrize("threads", ["1", "4"])
def test_every_item_is_visited_once_on_any_number_of_threads(threads, processors, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_THREADS", threads)
    visits, seen_threads = np.zeros(200), set()

    def visit(i):
        visits[i] += 1
        seen_threads.add(threading.current_thread().name)

    for_each(visit, range(200), like=visits)
    assert (visits == 1).all()
    assert all(name.startswith("scratchnet") for name in seen_threads) == (threads == "4")


def test_a_loop_inside_of_another_stays_on_its_thread(processors, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_THREADS", "4")
    visits, here = np.zeros((20, 5)), np.zeros(1)

    def visit_row(i):
        assert thread_count() == 1
        outside, inside = threading.current_thread(), set()

        def visit(j):
            visits[i, j] += 1
            inside.add(threading.current_thread())

        for_each(visit, range(5), like=here)
        assert inside == {outside}

    for_each(visit_row, range(20), like=here)
    assert (visits == 1).all()
    assert thread_count() == 4


def test_on_another_device_the_items_are_visited_in_order(processors):
    visited = []
    for_each(visited.append, range(5), like=to_device(np.zeros(3), "strict"))
    assert visited == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("shape", [(0, 3), (1, 5), (7, 10**5), (10**5, 3)])
def test_blocks_cover_an_axis_once_and_fit_the_cache(shape):
    array = np.zeros(shape, np.float32)
    slices = backend.blocks(array)
    covered = np.concatenate([np.arange(shape[0])[s] for s in slices]) if slices else np.arange(0)
    np.testing.assert_array_equal(covered, np.arange(shape[0]))
    assert all(array[s].nbytes <= backend.threads.BLOCK_BYTES or s.stop - s.start == 1 for s in slices)
    assert backend.blocks(to_device(array, "strict")) == [slice(0, shape[0])]
