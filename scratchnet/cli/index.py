"""`scratchnet index build | search | add`: find the pictures, among very many, that are most like a query."""

import argparse
import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from scratchnet.backend import get_device
from scratchnet.cli.options import Commands, add_device, add_model, at_least, chosen_model, finish
from scratchnet.common.console import is_terminal, note, say, write
from scratchnet.data.folders import pictures_in
from scratchnet.errors import ScratchnetError
from scratchnet.exchange.index.build import Taken, add_to_index, build_index
from scratchnet.exchange.index.neighbours import scales
from scratchnet.exchange.index.search import Hit, Index, open_index
from scratchnet.exchange.index.sources import Array, Pictures, Source
from scratchnet.models.reading import OnError

TOP = 5
COLUMNS = ("query", "rank", "name", "probability", "score")  # of --csv


def add_to(commands: Commands) -> None:
    """Add `index` and its three actions."""
    added = commands.add(
        "index", lambda options: 2, "Find pictures among very many: build, search, add.", figures=False
    )
    actions = Commands(added, "action")

    built = actions.add("build", build, "Embed a folder of pictures, or take an array of embeddings, into a new index.")
    _add_source(built)
    add_model(built)
    built.add_argument(
        "--faiss", action="store_true", help="also index it by faiss, for hundreds of thousands of pictures and more"
    )
    add_device(built)

    extended = actions.add("add", add, "Add what the index does not have yet, by the names of its pictures.")
    _add_source(extended)
    add_device(extended)

    text = "Print the pictures of an index that are most like a query, the best first."
    searched = actions.add("search", search, text)
    searched.add_argument(
        "operands", nargs="+", metavar="QUERY... INDEX", help="pictures, or folders of pictures; and last, the index"
    )
    searched.usage = "%(prog)s [options] QUERY... INDEX"
    searched.add_argument(
        "--top", type=at_least(1), default=TOP, metavar="K", help=f"answers for each query (default: {TOP})"
    )
    searched.add_argument("--exact", action="store_true", help="compare with every picture, even if faiss has an index")
    searched.add_argument("--csv", action="store_true", help="print a table with a line for each answer")
    add_device(searched)


def _add_source(added: argparse.ArgumentParser) -> None:
    added.add_argument(
        "source", type=Path, metavar="SOURCE", help="a folder of pictures, at any depth, or embeddings (N, D), NAME.npy"
    )
    added.add_argument("index", type=Path, metavar="INDEX", help="the folder of the index")
    added.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help="for NAME.npy: a text file with a name for each row (default: numbers)",
    )
    added.add_argument("--skip-damaged", action="store_true", help="leave out pictures that cannot be read")
    added.add_argument(
        "--restart", action="store_true", help="forget what an earlier command began with this index and did not finish"
    )


def build(options: argparse.Namespace) -> int:
    """Make an index; exit code 0."""
    source, (net, _) = _source(options), chosen_model(options)
    positive = int(np.count_nonzero(scales(net) == 0))
    if options.faiss and positive and not options.json:
        note(
            f"{positive} of the head's {net.head.features} weights are positive: faiss searches without their "
            "features, and what it finds is ranked with them"
        )
    return _taken(
        options,
        lambda **how: build_index(options.index, source, net, neighbours=options.faiss, restart=options.restart, **how),
    )


def add(options: argparse.Namespace) -> int:
    """Extend an index; exit code 0."""
    source, device = _source(options), get_device(options.device)
    return _taken(
        options, lambda **how: add_to_index(options.index, source, device=device, restart=options.restart, **how)
    )


def search(options: argparse.Namespace) -> int:
    """Print the best matches of each query; exit code 0. Raises ScratchnetError for options that clash."""
    if options.json and options.csv:
        raise ScratchnetError("--json and --csv are two ways to print the same: give one")
    *queries, folder = options.operands
    if not queries:
        raise ScratchnetError(f"{folder} is all there is: give queries, and last the index")
    index = open_index(folder, device=get_device(options.device))
    asked = [path for query in queries for path in (pictures_in(Path(query)) if Path(query).is_dir() else [query])]
    exact = options.exact or index.manifest.neighbours is None
    answers = dict(zip(map(str, asked), index.search(asked, top=options.top, exact=exact), strict=True))
    if options.csv:
        write(sys.stdout, _table(answers))
    elif not options.json:
        _show(answers, index, exact)
    figures = [{"query": query, "hits": [hit._asdict() for hit in hits]} for query, hits in answers.items()]
    return finish(options, {"embeddings": len(index), "exact": exact, "queries": figures})


def _source(options: argparse.Namespace) -> Source:
    if options.source.suffix.lower() == ".npy":
        return Array(options.source, options.names)
    if options.names:
        raise ScratchnetError("--names is for embeddings, NAME.npy: pictures are called by their paths")
    return Pictures(options.source)


def _taken(options: argparse.Namespace, take_in: Callable[..., Taken]) -> int:
    on_error: OnError = "skip" if options.skip_damaged else "raise"
    silent = options.json or not is_terminal(sys.stderr)
    with tqdm(leave=False, disable=silent) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        try:
            taken = take_in(on_error=on_error, progress=progress)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("interrupted: the same command goes on where it stopped") from None
    if not options.json:
        parts = [f"{taken.new:,} new"]
        parts += [f"{taken.known:,} were there already"] if taken.known else []
        parts += [f"{taken.skipped:,} cannot be read"] if taken.skipped else []
        say(f"{options.index}: {taken.rows:,} embeddings ({', '.join(parts)})")
    return finish(options, {"index": str(options.index), **vars(taken)})


def _show(answers: dict[str, list[Hit]], index: Index, exact: bool) -> None:
    how = "each compared with all" if exact else "searched by faiss, which may miss some; --exact compares with all"
    say(f"{len(answers):,} {'query' if len(answers) == 1 else 'queries'}, {how} {len(index):,} pictures")
    for query, hits in answers.items():
        say(f"{query} is most like")
        say(*(f"  {hit.probability:6.1%}  {hit.name}" for hit in hits))


def _table(answers: dict[str, list[Hit]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for query, hits in answers.items():
        table.writerows([query, i, hit.name, hit.probability, hit.score] for i, hit in enumerate(hits, start=1))
    return text.getvalue()
