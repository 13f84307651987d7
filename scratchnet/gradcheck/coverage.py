"""Coverage of branches: did forward go both ways wherever it decides something, at the points that were checked?

A clip at 4 or a Huber threshold at 5 is never reached by Gaussian inputs, and a bug behind it passes any check. So the
inputs are drawn at several scales, the branches watched, and those that only ever went one way are named. Places in the
source of forward that decide something and could not be watched count as unseen.
"""

import ast
import linecache
import os
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any

import numpy as np

from scratchnet.gradcheck.numeric import same_bits
from scratchnet.gradcheck.point import MalformedError, Point, gaussian_like, not_finite
from scratchnet.gradcheck.report import Report
from scratchnet.gradcheck.watch import NUMPY, Place, Seen, is_two_sided, plain_of, watch

DRAWS, LISTED = 50, 6
DECIDING = {
    "maximum", "minimum", "fmax", "fmin", "where", "clip", "abs", "absolute", "fabs", "sign", "sort", "argsort",
    "argmax", "argmin", "amax", "amin", "median", "argpartition", "heaviside", "searchsorted", "digitize", "interp",
}  # fmt: skip
METHODS = {"max", "min", "clip", "sort", "argsort", "argmax", "argmin"}
HERE = os.path.dirname(__file__)


@dataclass(frozen=True)
class Coverage:
    """The places that decide something, with the outcomes that each has had, and those that could not be watched."""

    seen: Seen
    unwatched: tuple[Place, ...]
    draws: int

    @property
    def one_way(self) -> tuple[Place, ...]:
        """The places that have only ever gone one way, or could not be watched."""
        return (*(place for place, had in self.seen.items() if not is_two_sided(place, had)), *self.unwatched)

    @property
    def share(self) -> float:
        """The share of the places that went both ways; 1 if nothing is decided anywhere."""
        places = len(self.seen) + len(self.unwatched)
        return 1 - len(self.one_way) / places if places else 1.0

    def lines(self) -> list[str]:
        """The share, and the places that went one way only, with file and line."""
        places = len(self.seen) + len(self.unwatched)
        if not places:
            return [f"branches: forward decided nothing in {self.draws} draws"]
        lines = [
            f"branches: {places - len(self.one_way)} of {places} ({self.share:.0%}) went both ways, {self.draws} draws"
        ]
        lines += [f"  one way only: {self._said(place)}" for place in self.one_way[:LISTED]]
        if len(self.one_way) > LISTED:
            lines.append(f"  and {len(self.one_way) - LISTED} more")
        return lines

    def _said(self, place: Place) -> str:
        text = linecache.getline(place.file, place.line).strip()[:60]
        outcomes = self.seen.get(place)
        how = f"always {', '.join(map(str, sorted(outcomes, key=str)))}" if outcomes else "not watched or not reached"
        return f"{os.path.basename(place.file)}, line {place.line}, {place.what} ({how}): {text}"


def explore(checker: Any, point: Point, report: Report, scales: Collection[float], rng: np.random.Generator) -> Report:
    """Check at Gaussian inputs of these scales too, until every branch went both ways; the parameters stay.

    A draw at which forward is not finite is left out. The report is that of the first draw that fails, if one does,
    and has the coverage.
    """
    seen: Seen = {}
    codes: set[CodeType] = set()
    _watch_into(seen, codes, point)
    draws, scales = 0, list(scales)
    for draws in range(1, DRAWS + 1):
        scale = scales[(draws - 1) % len(scales)]
        inputs = tuple(scale * gaussian_like(x, rng) for x in point.inputs)
        there, before = replace(point, inputs=inputs), {place: set(had) for place, had in seen.items()}
        if _watch_into(seen, codes, there) and (draws <= len(scales) or seen != before):
            again = checker.at(there, rng, contract=False)
            if not again:
                report = replace(again, notes=(f"at inputs of scale {scale:g}, drawn to reach other branches:",))
                break
        if draws >= len(scales) and all(is_two_sided(place, had) for place, had in seen.items()):
            break
    coverage = Coverage(seen, tuple(_unwatched(seen, codes)), draws)
    return replace(report, coverage=coverage, notes=(*report.notes, *coverage.lines()))


def _watch_into(seen: Seen, codes: set[CodeType], point: Point) -> bool:
    """Add the branches of a point to those seen, and the code that ran; False where forward gives nothing finite."""

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call" and not frame.f_code.co_filename.startswith((NUMPY, HERE, "<")):
            codes.add(frame.f_code)

    before = sys.getprofile()
    with np.errstate(all="ignore"):
        try:
            plain = point.forward()[0]
            sys.setprofile(note)
            y, found = watch(point)
        except MalformedError:
            return False
        finally:
            sys.setprofile(before)
    if not_finite(plain):
        return False
    if not same_bits(plain_of(y), plain):
        return False
    for place, had in found.items():
        seen.setdefault(place, set()).update(had)
    return True


def _unwatched(seen: Seen, codes: set[CodeType]) -> Iterator[Place]:
    """Places in the source of the functions that ran which decide something, and of which there is no note."""
    noted = {(place.file, place.line) for place in seen}
    for file in {code.co_filename for code in codes}:
        try:
            tree = ast.parse("".join(linecache.getlines(file)))
        except SyntaxError:
            continue
        lines = {line for code in codes if code.co_filename == file for _, _, line in code.co_lines() if line}
        masks = {inner for node in ast.walk(tree) for inner in _masks(node)}
        for node in ast.walk(tree):
            what = _decides(node)
            if not what or not isinstance(node, ast.expr) or (what == "comparison" and node not in masks):
                continue
            span = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            if node.lineno in lines and not any((file, line) in noted for line in span):
                yield Place(file, node.lineno, what)


def _masks(node: ast.AST) -> Iterator[ast.AST]:
    """Comparisons that are a factor or an index, and so of arrays; those in the test of an if are mostly of sizes."""
    if isinstance(node, ast.BinOp):
        yield from (node.left, node.right)
    elif isinstance(node, ast.Subscript):
        yield node.slice


def _decides(node: ast.AST) -> str:
    """What a node decides, by its name; "" for nothing."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in DECIDING | METHODS:
            return node.func.attr
        return "abs" if isinstance(node.func, ast.Name) and node.func.id == "abs" else ""
    if isinstance(node, ast.Compare) and all(isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in node.ops):
        return "comparison"
    return ""
