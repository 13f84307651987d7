"""Results for the report on a GPU."""

import io
import json

import pytest

from scratchnet.cli import main


@pytest.fixture(scope="module")
def figures():
    """The JSON of a real `scratchnet bench`, for a small network on the CPU."""
    command = ["bench", "--network", "compact", "--image-size", "16", "--pairs", "2", "--rounds", "1", "--json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", written := io.StringIO())
        assert main([*command, "--device", "cpu"]) == 0
    return json.loads(written.getvalue())


TESTS = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.test_pool" name="test_forward[cuda]"/>
<testcase classname="tests.test_pool" name="test_backward[cuda]">
<failure message="assert 1 == 2&#10;more">...</failure></testcase>
<testcase classname="tests.test_pool" name="test_setup[cuda]"><error message="">...</error></testcase>
<testcase classname="tests.test_c" name="test_c[cuda-1]"><failure message="E: no">...</failure></testcase>
<testcase classname="tests.test_c" name="test_c[cuda-2]"><failure message="E: no">...</failure></testcase>
<testcase classname="tests.test_c" name="test_c[cuda-3]"><failure message="E: other">...</failure></testcase>
<testcase classname="tests.test_a" name="a"><skipped message="no a">...</skipped></testcase>
<testcase classname="tests.test_b" name="b"><skipped message="no a">...</skipped></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def results(tmp_path, figures):
    """A folder as gpu.sh leaves it after one part failed and one was interrupted while writing."""
    row = {"what": "copyto | 1 GiB", "ms": {"median": 0.5, "least": 0.25, "most": 0.75}, "gigabytes_per_second": 4321.4}
    layer = {"forward_ms": {"median": 1.25}, "backward_ms": {"median": 2.5}}
    measured = {
        "machine": figures["machine"],
        "driver": "NVIDIA H200, 580.1",
        "measurements": {
            "copies": {"rows": [row, {"what": "other", "problem": "MemoryError: no"}], "seconds": 1.5},
            "steps": {"rows": [{"what": "step, tf32", "ms": row["ms"], "epoch_seconds": 12.34}]},
            "products": {"error": "took longer than 60 s"},
            "layers of PyTorch": {"layers": {"default": {"conv1": layer}, "all TF32": {"conv1": layer}}},
            "kernels of cuDNN": {"kernels": {"default": {"forward": [{"kernel": "xmma_fprop", "ms": 1.5}]}}},
        },
    }
    files = {
        "parts.tsv": "tests\t1\t42\nmeasurements\t0\t90\nbench_tf32\t124\t130\n",
        "tests.out": "..F\n5 failed, 1 passed\n",
        "tests.err": "\n",
        "measurements.err": "a warning\n",
        "bench_tf32.err": "Traceback\nscratchnet: interrupted\n",
        "tests.xml": TESTS,
        "measurements.json": json.dumps(measured),
        "bench_float32.out": json.dumps(figures),
        "bench_tf32.out": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path
