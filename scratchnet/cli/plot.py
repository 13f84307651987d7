"""`scratchnet plot`: pictures of training runs and networks."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from scratchnet.cli.options import Commands, finish
from scratchnet.common.console import note, say
from scratchnet.errors import DataError, ScratchnetError
from scratchnet.explain.plots.curves import AGAINST
from scratchnet.explain.plots.page import FORMATS, expect_matplotlib, save
from scratchnet.explain.plots.pictures import PICTURES, draw, planned
from scratchnet.explain.plots.subjects import find_subjects

FOLDER = Path("plots")
OTHER_FORMATS = (".pdf", ".jpg", ".jpeg", ".gif", ".eps", ".webp", ".tif", ".tiff", ".bmp")


def add_to(commands: Commands) -> None:
    """Add `plot`."""
    text = "Draw training runs and networks, as PNG or SVG: all pictures that they can give, or those of --only."
    added = commands.add("plot", run, text)
    added.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a run folder, a log.jsonl, a weights file or the name of a bundled network; several are drawn together",
    )
    added.add_argument(
        "--only",
        nargs="+",
        choices=PICTURES,
        default=PICTURES,
        metavar="PICTURE",
        help=f"some of {', '.join(PICTURES)} (default: all)",
    )
    added.add_argument(
        "--out",
        type=Path,
        default=FOLDER,
        metavar="PATH",
        help=f"a folder for the pictures, or the file for a single one, .png or .svg (default: {FOLDER})",
    )
    added.add_argument("--format", choices=FORMATS, help=f"of the pictures in a folder (default: {FORMATS[0]})")
    added.add_argument(
        "--x", choices=AGAINST, default="epochs", help="what learning curves are drawn against (default: epochs)"
    )
    added.add_argument(
        "--data",
        metavar="DIR_OR_ZIP",
        help="location of Omniglot, for embedding, confusions and warps (default: SCRATCHNET_DATA, else the cache "
        "folder)",
    )


def run(options: argparse.Namespace) -> int:
    """Draw, and print the path of each picture; exit code 0. Raises ScratchnetError if there is nothing to draw."""
    expect_matplotlib()
    subjects = find_subjects(options.runs, options.data)
    names = planned(subjects, options.only)
    if not names:
        raise ScratchnetError(f"{', '.join(options.runs)} can give none of {', '.join(options.only)}")
    paths = _paths(options.out, options.format, names)
    written, left_out = [], {}
    for name, figure, reasons in draw(subjects, options.only, against=options.x):
        if reasons:
            left_out[name] = list(reasons)
        if figure is not None:
            paths[name].parent.mkdir(parents=True, exist_ok=True)
            save(figure, paths[name])
            written.append(str(paths[name]))
            if not options.json:
                say(paths[name])
    if not written:
        reasons = [reason for each in left_out.values() for reason in each]
        raise DataError(f"nothing is drawn: {'; '.join(dict.fromkeys(reasons))}")
    for name, reasons in left_out.items():
        for reason in reasons:
            note(f"scratchnet: left out of {name}: {reason}")
    return finish(options, {"pictures": written, "left_out": left_out})


def _paths(out: Path, kind: str | None, names: Sequence[str]) -> dict[str, Path]:
    """Where each picture goes. Raises ScratchnetError for several pictures in one file, and for other formats."""
    suffix = out.suffix.lower()
    if out.is_dir() or suffix.removeprefix(".") not in FORMATS:
        if suffix in OTHER_FORMATS and not out.is_dir():
            raise ScratchnetError(f"--out {out}: pictures are written as .{' or .'.join(FORMATS)}")
        return {name: out / f"{name}.{kind or FORMATS[0]}" for name in names}
    if kind and suffix != f".{kind}":
        raise ScratchnetError(f"--out {out} is no {kind.upper()}: leave out --format, or change the suffix")
    if len(names) > 1:
        raise ScratchnetError(
            f"--out {out} is one file for {len(names)} pictures, {', '.join(names)}: draw one of them with --only, or "
            "name a folder"
        )
    return dict.fromkeys(names, out)
