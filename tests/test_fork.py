"""Worker processes, forked or spawned, compute what their parent computes, whatever it was doing at the time."""

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import scratchnet
from scratchnet import backend
from scratchnet.backend import CPU, for_each, get_device, one_blas_thread
from scratchnet.errors import BackendError

DEADLINE = 60  # seconds after which a process is taken to hang
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    for variable in ("SCRATCHNET_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)


def ends_well(work):
    """Whether `work` returns True in a process forked from this one, before the deadline."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


def sums_on_threads():
    """Whether for_each works here, on threads."""
    sums, names = np.zeros(50), set()

    def add(i):
        sums[i] += i
        names.add(threading.current_thread().name)

    for_each(add, range(50), like=sums)
    return sums.tolist() == list(range(50)) and all(name.startswith("scratchnet") for name in names)


@needs_fork
def test_a_worker_forked_after_first_use_computes_what_its_parent_does(tiny_net, rng):
    images = rng.random((40, 16, 16)).astype(np.float32)
    expected = tiny_net.embed(images)
    assert ends_well(lambda: (tiny_net.embed(images) == expected).all())
    assert ends_well(lambda: ends_well(lambda: (tiny_net.embed(images) == expected).all()))  # and its own
    np.testing.assert_array_equal(tiny_net.embed(images), expected)


@needs_fork
def test_a_fork_while_another_thread_computes_leaves_the_child_its_threads_and_those_of_blas():
    get_threads, set_threads = backend.blas._openblas()
    before = get_threads()
    set_threads(2)  # not what one_blas_thread sets, whatever the machine has
    inside, enough = threading.Event(), threading.Event()

    def compute():
        def wait(_):
            inside.set()
            enough.wait()

        for_each(wait, range(3), like=np.zeros(1))

    other = threading.Thread(target=compute)
    other.start()
    try:
        inside.wait(DEADLINE)
        assert ends_well(lambda: sums_on_threads() and backend.blas._threads.users == 0 and get_threads() != 1)
    finally:
        enough.set()
        other.join()
        assert backend.blas._threads.users == 0
        set_threads(before)


@needs_fork
def test_a_fork_while_another_thread_takes_the_lock_of_blas_does_not_hang():
    stop = threading.Event()

    def take_and_give_back():
        while not stop.is_set():
            with one_blas_thread():
                pass

    other = threading.Thread(target=take_and_give_back)
    other.start()
    try:
        for _ in range(20):
            assert ends_well(sums_on_threads)
    finally:
        stop.set()
        other.join()
    assert sums_on_threads()


@needs_fork
def test_a_process_forked_inside_one_blas_thread_leaves_it_well():
    def leave():
        with one_blas_thread():  # as the first of its own users
            pass
        return backend.blas._threads.users == 0

    with one_blas_thread():
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
    if child == 0:
        os._exit(0 if leave() else 1)
    assert status == 0
    assert backend.blas._threads.users == 0


@needs_fork
def test_a_gpu_that_was_in_use_is_refused_in_a_forked_process(monkeypatch):
    monkeypatch.setattr(backend.device, "_devices", {"cpu": CPU})
    monkeypatch.setattr(backend.device, "_loaders", {"cuda": lambda: replace(CPU, name="cuda", array_types=())})

    def is_refused():
        with pytest.raises(BackendError, match=r"^device 'cuda' was in use when this process was forked.*\"spawn\""):
            get_device("cuda")
        return get_device("cpu") is CPU

    assert ends_well(lambda: get_device("cuda").name == "cuda")  # the first to use it
    device = get_device("cuda")
    assert ends_well(is_refused)
    assert get_device("cuda") is device


def test_another_number_of_threads_ends_those_of_before(monkeypatch):
    def ours():
        return {thread for thread in threading.enumerate() if thread.name.startswith("scratchnet")}

    assert sums_on_threads()
    before = ours()
    monkeypatch.setenv("SCRATCHNET_THREADS", "2")
    assert sums_on_threads()
    for thread in before:
        thread.join(DEADLINE)
    assert not before & ours()
    assert len(ours()) <= 2


def test_where_no_thread_can_be_started_the_calling_one_does_it_all(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    backend.threads._pool.cache_clear()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    visits = np.zeros(20, int)

    def visit(i):
        visits[i] += 1

    for_each(visit, range(20), like=visits)
    assert (visits == 1).all()
    backend.threads._pool.cache_clear()


PROGRAM = """
import multiprocessing, os, sys
import numpy as np
os.environ["SCRATCHNET_THREADS"] = "2"
os.sched_getaffinity = lambda pid: {0, 1}
from scratchnet import models

def work(net, images):
    return net.embed(images)

if __name__ == "__main__":
    net = models.compact(seed=1, image_size=16, width=2, features=8)
    images = np.random.default_rng(0).random((20, 16, 16)).astype(np.float32)
    expected = work(net, images)
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        for found in pool.starmap_async(work, [(net, images)] * 3).get(timeout=60):
            assert (found == expected).all()
    print("the same")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_compute_the_same_however_they_are_started(method, tmp_path):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"the system has no {method}")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path(scratchnet.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, program, method], capture_output=True, encoding="utf-8", check=False, env=environment
    )
    assert (done.returncode, done.stdout) == (0, "the same\n"), done.stderr


def test_a_network_is_copied_and_sent_to_another_process_whole(tiny_net, rng):
    images = rng.random((3, 16, 16)).astype(np.float32)
    for other in (copy.deepcopy(tiny_net), pickle.loads(pickle.dumps(tiny_net))):
        assert other.device is tiny_net.device
        np.testing.assert_array_equal(other.embed(images), tiny_net.embed(images))
