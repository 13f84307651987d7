"""Renders the sections of a benchmark as text."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from scratchnet.common.version import VERSION

FOOTNOTE = """GFLOP counts the direct algorithm, forward and backward. "dft" computes the same sums with fewer
multiplications, so its share of the sgemm rate can exceed 100 %. The first layer computes no dx. Each time is a
separate median."""
COPIED = """of copy: the bytes that a layer must read and write, forward and backward, divided by its time, relative to
the copy rate. A layer near 100 % of copy or of sgemm can hardly get faster; one well below both can."""
BEYOND = """Read: decoded and cleaned, as a network that frames the ink takes a photo, in turns with decoding alone.
Medians (range) over rounds. Beyond: how much longer reading takes than decoding the whole JPEG, over decoding it."""
LONG_STEP = 100  # milliseconds; longer steps are shown with one decimal
TURNS = """Steps are interleaved, A B C A B C, in one process. Ratios are our time over theirs, round by round: below 1,
scratchnet is faster. All run with our allocator setting, which keeps freed memory and helps PyTorch as well."""
IN_EVALUATION = """Batch norm in evaluation mode, no gradients, interleaved in one process; medians (range) over rounds.
Ratios are our time over theirs, for the batch and for a single image: below 1, scratchnet is faster."""
APART = """Each library in a process of its own, with its own allocator, in turns; medians (range) over rounds.
Ratios are our time over theirs, round by round: below 1, scratchnet is faster."""
ALONE = """Five steps, each library in a separate process with its default allocator: maximum resident set size, or on a
GPU the peak device memory."""


def render(name: str, section: Any) -> str:
    """The text of a section, by its name and figures."""
    return "\n".join(SECTIONS[name](section))


def code(folder: str) -> Iterator[str]:
    """The version, and the folder of the code that is measured."""
    yield f"scratchnet {VERSION} in {folder}"


def workload(figures: dict[str, Any]) -> Iterator[str]:
    """One line: the network, its images, the batch, the number of parameters, the dtype and the device."""
    size = figures["image_size"]
    products = "" if figures["precision"] == "float32" else f", products in {figures['precision'].upper()}"
    yield (
        f"{figures['network']}, {size} x {size} pixels, {figures['pairs']} pairs, {figures['parameters']:,} "
        f"parameters, {figures['dtype']}{products}, {figures['device']}"
    )


def machine(figures: dict[str, Any]) -> Iterator[str]:
    """Two lines for the host, and two more for a GPU."""
    yield f"{figures['processor']}, {_count(figures['threads'], 'thread')}, {figures['system']}; {figures['date']}"
    yield f"Python {figures['python']}, NumPy {figures['numpy']}, {figures['blas']}"
    if gpu := figures["gpu"]:
        yield (
            f"{gpu['name']}, {_gibibytes(gpu['memory_bytes'])}, {gpu['multiprocessors']} multiprocessors, compute "
            f"capability {gpu['compute_capability']}"
        )
        yield f"driver for CUDA {gpu['driver']}, CUDA {gpu['cuda']}, CuPy {gpu['cupy']}"


def sgemm(figures: dict[str, Any]) -> Iterator[str]:
    """The rate of matrix products, in GFLOP/s."""
    size = figures["size"]
    yield f"sgemm: {figures['gflops']:.0f} GFLOP/s, measured ({size} x {size}, median)"


def copy(figures: dict[str, Any]) -> Iterator[str]:
    """The rate of copying on a GPU, in GB/s."""
    yield f"copy: {figures['gigabytes_per_second']:.0f} GB/s read and written, measured (1 GiB, median)"


def step(figures: dict[str, Any]) -> Iterator[str]:
    """The time of a training step in ms, its throughput in images/s, and the peak memory."""
    yield (
        f"training step: {_times(figures)}, {_count(figures['rounds'], 'round')}; "
        f"{figures['images_per_second']:.1f} images/s; peak memory {_gibibytes(figures['peak_bytes'])}"
    )


def layers(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A table with a row for each part of the step: times in ms, rates, and shares of the machine's peak rates."""
    copied = any(row["share_of_copy"] for row in rows)
    whole = [sum(row[f"{way}_ms"] or 0 for row in rows) for way in ("forward", "backward")]
    digits = 1 if sum(whole) > LONG_STEP else 3
    yield ""
    heads = ["GFLOP", "GFLOP/s", "of sgemm", *(["of copy"] if copied else [])]
    yield f"{'layer':12}{'forward ms':>12}{'backward ms':>13}{''.join(f'{head:>10}' for head in heads)}  algorithm"
    for row in rows:
        gflop = (row["forward_gflop"] or 0) + row["backward_gflop"]
        cells = [_cell(gflop or None, 2), _cell(row["gflops"], 0), _share(row["share_of_sgemm"])]
        cells += [_share(row["share_of_copy"])] if copied else []
        yield (
            f"{row['name']:12}{_cell(row['forward_ms'], digits):>12}{_cell(row['backward_ms'], digits):>13}"
            f"{''.join(f'{cell:>10}' for cell in cells)}  {row['algorithm'] or ''}"
        ).rstrip()
    yield f"{'sum':12}{whole[0]:12.{digits}f}{whole[1]:13.{digits}f}"
    yield FOOTNOTE
    if copied:
        yield COPIED


def peers(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each variant: ms per step, and the ratio of our time to it; or why it was not timed."""
    width = 2 + max(len(row["name"]) for row in rows)
    yield ""
    for row in rows:
        if "problem" in row:
            yield f"{row['name']:{width}}{row['problem']}"
            continue
        line = f"{row['name']:{width}}{_times(row)}"
        if "ratio" in row:
            ratio, note = row["ratio"], f"; {row['note']}" if row["note"] else ""
            line += f"; ratio {_spread(ratio, 2)}; gradients within {row['gradient_difference']:.0e} of ours{note}"
        yield line
    yield TURNS


def steps_apart(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each variant: ms per step, and the ratio of our time to it."""
    width = 2 + max(len(row["name"]) for row in rows)
    yield ""
    for row in rows:
        against = f"; ratio {_spread(row['ratio'], 2)}" if "ratio" in row else ""
        yield f"{row['name']:{width}}{_times(row)}{against}"
    yield APART


def memory(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line for each library: peak memory in GiB and ms per step; or why it was not measured."""
    width = 2 + max(len(row["name"]) for row in rows)
    for row in rows:
        if "problem" in row:
            yield f"{row['name']:{width}}{row['problem']}"
        else:
            yield f"{row['name']:{width}}{_gibibytes(row['peak_bytes']):>10}, {row['ms']:.1f} ms per step"
    yield ALONE


def embedding(rows: Sequence[dict[str, Any]], footnote: str = IN_EVALUATION) -> Iterator[str]:
    """A line for each variant: images/s for the batch, and ms for a single image; or why it was not timed."""
    width = 2 + max(len(row["name"]) for row in rows)
    for row in rows:
        if "problem" in row:
            yield f"{row['name']:{width}}{row['problem']}"
            continue
        line = (
            f"{row['name']:{width}}{_spread(row['images_per_second'], 1)} images/s; "
            f"single image {_spread(row['single_ms'], 2)} ms"
        )
        if "batch_ratio" in row:
            line += f"; ratios {_spread(row['batch_ratio'], 2)} and {_spread(row['single_ratio'], 2)}"
        if "framed_ratio" in row:
            line += f", framed {_spread(row['framed_ratio'], 2)}"
        yield line
    yield footnote


def photos(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A table with a row for each photo: megapixels, ms for decoding and for reading, and what is beyond decoding."""
    yield ""
    yield f"{'photo':16}{'megapixels':>12}{'kB':>8}{'decoded in ms':>24}{'read in ms':>24}{'beyond':>8}"
    for row in rows:
        cells = [_spread(row[name], 1) for name in ("decode_ms", "read_ms")]
        yield (
            f"{row['photo']:16}{row['width'] * row['height'] / 1e6:12.1f}{row['bytes'] / 1e3:8,.0f}"
            f"{cells[0]:>24}{cells[1]:>24}{row['beyond']['median']:8.2f}"
        )
    yield BEYOND


def _spread(figures: dict[str, float], digits: int) -> str:
    return f"{figures['median']:,.{digits}f} ({figures['least']:,.{digits}f} - {figures['most']:,.{digits}f})"


def _times(figures: dict[str, Any]) -> str:
    digits = 1 if figures["median_ms"] > LONG_STEP else 3
    median, least, most = (f"{figures[f'{name}_ms']:.{digits}f}" for name in ("median", "least", "most"))
    return f"{median} ms ({least} - {most})"


def _share(value: float | None) -> str:
    return f"{value:.0%}" if value else "-"


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _gibibytes(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 2**30:.2f} GiB"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}"


SECTIONS: dict[str, Callable[[Any], Iterator[str]]] = {
    "code": code,
    "workload": workload,
    "machine": machine,
    "memory": memory,
    "sgemm": sgemm,
    "copy": copy,
    "step": step,
    "layers": layers,
    "peers": peers,
    "compiled peers": peers,
    "embedding": embedding,
    "steps apart": steps_apart,
    "embedding apart": partial(embedding, footnote=APART),
    "photos": photos,
}
