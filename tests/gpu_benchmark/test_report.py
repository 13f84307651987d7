"""benchmarks/gpu_report.py: the report of all results, whatever failed."""

import json

from gpu_scripts import gpu_report


def test_the_report_holds_all_results(results, figures):
    out = results / "out"
    out.mkdir()
    gpu_report.main([str(results), "--out", str(out)])
    record, text = json.loads((out / "gpu.json").read_text()), (out / "gpu.md").read_text()
    without_code = {name: section for name, section in figures.items() if name != "code"}  # a folder of this machine
    assert record["bench"] == {"float32": without_code}
    assert figures["code"] not in text
    assert record["parts"][2] == {"name": "bench_tf32", "code": 124, "seconds": 130, "said": "scratchnet: interrupted"}
    assert record["tests"]["passed"] == 1
    for line in [
        figures["machine"]["processor"],
        "nvidia-smi: NVIDIA H200, 580.1",
        "| bench_tf32 | 130 | 124, out of time | scratchnet: interrupted |",
        "| tests | 42 | 1 | 5 failed, 1 passed |",
        "| measurements | 90 | 0 |  |",
        "1 passed, 5 failed, 2 skipped.",
        "- failed: tests.test_pool::test_backward[cuda]: assert 1 == 2 more\n",
        "- failed: tests.test_pool::test_setup[cuda]: ",
        "- failed: 2 of tests.test_c::test_c: E: no\n",
        "- failed: tests.test_c::test_c[cuda-3]: E: other\n",
        "- 2 skipped: no a",
        "| copyto / 1 GiB | 0.500 (0.250 - 0.750) | 4321 |  |",
        "| other |  |  | MemoryError: no |",
        "|  | ms | s for 150,000 pairs |\n| --- | --- | --- |\n| step, tf32 | 0.500 (0.250 - 0.750) | 12.3 |",
        "## Products\n\nFailed: took longer than 60 s",
        "| layer | default | all TF32 |\n| --- | --- | --- |\n| conv1 | 1.250 / 2.500 | 1.250 / 2.500 |",
        "   1.500 ms  xmma_fprop",
        "## `scratchnet bench --device cuda --precision float32`",
        "training step: ",
    ]:
        assert line in text, line


def test_a_report_without_results_is_written(tmp_path):
    gpu_report.main([str(tmp_path), "--out", str(tmp_path)])
    assert json.loads((tmp_path / "gpu.json").read_text()) == {"bench": {}}
    assert (tmp_path / "gpu.md").read_text().startswith("# On a GPU\n")
