"""Writes up what benchmarks/gpu.sh has measured: gpu.json and gpu.md.

    python benchmarks/gpu_report.py FOLDER --out benchmarks

FOLDER holds, as far as there is any of it: parts.tsv, a line for each part with its exit code and seconds; what each
part said, NAME.out and NAME.err; tests.xml of pytest; measurements.json of benchmarks/gpu.py; and the figures of
`scratchnet bench`, bench_float32.out and bench_tf32.out.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from scratchnet.backend.cublas import PRECISIONS
from scratchnet.bench import report
from scratchnet.files.atomic import write_bytes

Record = dict[str, Any]
MESSAGE = 200  # characters of one
OUT_OF_TIME = 124  # the exit code of timeout(1)

COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {  # of a row: what stands above, and how a figure is written
    "ms": ("ms", lambda ms: f"{ms['median']:.3f} ({ms['least']:.3f} - {ms['most']:.3f})"),
    "forward_ms": ("forward, ms", lambda ms: f"{ms['median']:.3f}"),
    "backward_ms": ("backward, ms", lambda ms: f"{ms['median']:.3f}"),
    "sum_ms": ("both, ms", "{:.3f}".format),
    "expected_ms": ("expected, ms", "{:.3f}".format),
    "tflops": ("TFLOP/s", "{:.1f}".format),
    "gigabytes_per_second": ("GB/s", "{:.0f}".format),
    "error": ("relative error", "{:.0e}".format),
    "in_tf32": ("in TF32", lambda found: "yes" if found else "no"),
    "images_per_second": ("images/s", "{:,.0f}".format),
    "epoch_seconds": ("s for 150,000 pairs", "{:.1f}".format),
    "problem": ("problem", str),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of gpu.json and gpu.md")
    options = parser.parse_args(arguments)
    record = gather(options.folder)
    write_bytes(options.out / "gpu.json", json.dumps(record, indent=1).encode())
    write_bytes(options.out / "gpu.md", markdown(record).encode())


def gather(folder: Path) -> Record:
    """All results in the folder as one record, each under a key of its own where it is there."""
    record: Record = {}
    if (parts := folder / "parts.tsv").exists():
        record["parts"] = [_part(folder, *line.split("\t")) for line in parts.read_text().splitlines()]
    if (tests := folder / "tests.xml").exists():
        record["tests"] = read_tests(tests)
    if (measurements := folder / "measurements.json").exists():
        record |= json.loads(measurements.read_text())
    benchmarks = {precision: _figures(folder / f"bench_{precision}.out") for precision in PRECISIONS}
    record["bench"] = {precision: figures for precision, figures in benchmarks.items() if figures}
    return record


def _figures(path: Path) -> Record | None:
    """The sections that a bench wrote as JSON, less the path of its code; None where it did not, or was cut short."""
    try:
        sections = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return {name: section for name, section in sections.items() if name != "code"}


def _part(folder: Path, name: str, code: str, seconds: str) -> Record:
    """How a part ended; where it failed, with the last line that it said, on stderr if there."""
    logs = [log for kind in ("out", "err") if (log := folder / f"{name}.{kind}").exists()]
    said = [line for log in logs for line in log.read_text(errors="replace").splitlines() if line.strip()]
    failed = code != "0" and said
    return {"name": name, "code": int(code), "seconds": int(seconds), "said": said[-1][:MESSAGE] if failed else ""}


def read_tests(path: Path) -> Record:
    """How many tests of a JUnit file passed, a line for each that failed, and how many were skipped for each reason."""
    cases = list(ElementTree.parse(path).iter("testcase"))
    failed, skipped = [], Counter[str]()
    for case in cases:
        for problem in case:
            message = " ".join(problem.get("message", "").split())[:MESSAGE]
            if problem.tag == "skipped":
                skipped[message] += 1
            elif problem.tag in {"failure", "error"}:
                failed.append(f"{case.get('classname')}::{case.get('name')}: {message}")
    return {"passed": len(cases) - len(failed) - skipped.total(), "failed": failed, "skipped": dict(skipped)}


def markdown(record: Record) -> str:
    sections = (_heading, _parts, _tests, _measurements, _benchmarks)
    return "\n".join(line for section in sections for line in section(record))


def _heading(record: Record) -> Iterator[str]:
    yield from ("# On a GPU", "", "`benchmarks/gpu.sh`. Medians; in brackets the least and the most of the rounds.", "")
    if "machine" in record:
        yield from _verbatim(report.render("machine", record["machine"]))
    if record.get("driver"):
        yield from (f"nvidia-smi: {record['driver']}", "")


def _parts(record: Record) -> Iterator[str]:
    if parts := record.get("parts"):
        rows = [(part["name"], part["seconds"], _code(part["code"]), part["said"]) for part in parts]
        yield from _table(("part", "seconds", "exit code", ""), rows)


def _code(code: int) -> str:
    return f"{code}, out of time" if code == OUT_OF_TIME else str(code)


def _tests(record: Record) -> Iterator[str]:
    if tests := record.get("tests"):
        skipped = sum(tests["skipped"].values())
        yield from ("## Tests: `pytest -m gpu`", "")
        yield from (f"{tests['passed']} passed, {len(tests['failed'])} failed, {skipped} skipped.", "")
        for test in _grouped(tests["failed"]):
            yield from (f"- failed: {test}", "")
        for reason, count in tests["skipped"].items():
            yield from (f"- {count} skipped: {reason}", "")


def _grouped(failed: Sequence[str]) -> Iterator[str]:
    """The lines of the tests that failed, one for all parameters with which a test failed with the same message."""
    groups: dict[tuple[str, str], list[str]] = {}
    for line in failed:
        case, _, message = line.partition(": ")
        groups.setdefault((case.partition("[")[0], message), []).append(line)
    for (test, message), lines in groups.items():
        yield lines[0] if len(lines) == 1 else f"{len(lines)} of {test}: {message}"


def _measurements(record: Record) -> Iterator[str]:
    for name, found in record.get("measurements", {}).items():
        yield from (f"## {name[0].upper() + name[1:]}", "")
        if "error" in found:
            yield from (f"Failed: {found['error']}", "")
        if "rows" in found:
            yield from _rows(found["rows"])
        if "layers" in found:
            yield from _layers(found["layers"])
        if "kernels" in found:
            yield from _kernels(found["kernels"])


def _rows(rows: Sequence[Record]) -> Iterator[str]:
    columns = {name: column for name, column in COLUMNS.items() if any(name in row for row in rows)}
    cells = [[written(row[name]) if name in row else "" for name, (_, written) in columns.items()] for row in rows]
    heads = [head for head, _ in columns.values()]
    yield from _table(("", *heads), [(row["what"], *others) for row, others in zip(rows, cells, strict=True)])


def _layers(ways: dict[str, dict[str, Record]]) -> Iterator[str]:
    def cell(layer: Record) -> str:
        return f"{layer['forward_ms']['median']:.3f} / {layer['backward_ms']['median']:.3f}"

    yield from ("Milliseconds forward / backward.", "")
    names = next(iter(ways.values()))
    yield from _table(("layer", *ways), [(name, *(cell(way[name]) for way in ways.values())) for name in names])


def _kernels(ways: dict[str, dict[str, list[Record]]]) -> Iterator[str]:
    for way, passes in ways.items():
        for name, kernels in passes.items():
            yield from (f"{way}, {name}:", "")
            yield from _verbatim("\n".join(f"{kernel['ms']:8.3f} ms  {kernel['kernel']}" for kernel in kernels))


def _benchmarks(record: Record) -> Iterator[str]:
    for precision, sections in record["bench"].items():
        yield from (f"## `scratchnet bench --device cuda --precision {precision}`", "")
        texts = (report.render(name, section) for name, section in sections.items() if name != "machine")
        yield from _verbatim("\n".join(texts))


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"
    yield ""


def _verbatim(text: str) -> tuple[str, ...]:
    return "```", text, "```", ""


if __name__ == "__main__":
    main()
