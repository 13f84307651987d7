"""The checker on right functions and on wrong ones: alarms, undecided checks and misses.

    python benchmarks/gradcheck/battery.py [--seeds 200] [--large-seeds 20] [--planted 100] [--only NAME] [--json FILE]

Each right function is checked at as many points as there are seeds, those of more than 100,000 entries at --large-seeds
points. Then mistakes are planted in those of 10,000 entries and more: one entry doubled, a block of zeros, a factor of
1 + 1e-4. A check that is undecided is no pass, so it is neither an alarm nor a miss, and counted apart. Results are
written to --json after each function, and those already there are not computed again.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from mistakes import MISTAKES, Mistaken
from right_functions import Right
from right_strangers import BATTERY

from scratchnet.gradcheck import Report, check

LARGE, PLANTED_FROM = 100_000, 10_000


def examine(right: Right, seed: int, layer: Any = None, **arguments: Any) -> Report:
    """The report on a right function, or on another layer with the same inputs."""
    rng = np.random.default_rng(seed)
    params, inputs = right.params(rng), right.draw(rng)
    return check(layer or right.layer, params, *inputs, seed=seed, **{**right.arguments, **arguments})


def outcome(report: Report) -> str:
    """passed, undecided or failed."""
    return "passed" if report else "undecided" if not report.failed and not report.problems else "failed"


def alarms(right: Right, seeds: int) -> dict[str, Any]:
    """The outcomes of a right function, and the seconds of one check."""
    start = time.perf_counter()
    outcomes = [outcome(examine(right, seed)) for seed in range(seeds)]
    return {
        "entries": right.entries(),
        "checks": seeds,
        "alarms": outcomes.count("failed"),
        "undecided": outcomes.count("undecided"),
        "seconds": (time.perf_counter() - start) / seeds,
    }


def misses(right: Right, seeds: int) -> dict[str, dict[str, int]]:
    """For each mistake, how often it passed, and how often the check was undecided."""
    counts = {}
    for name, mistake in MISTAKES.items():
        outcomes = [
            outcome(examine(right, seed, Mistaken(right.layer, mistake, seed), contract=False, entries=1))
            for seed in range(seeds)
        ]
        counts[name] = {"seeds": seeds, "missed": outcomes.count("passed"), "undecided": outcomes.count("undecided")}
    return counts


def totals(results: dict[str, dict[str, Any]]) -> dict[str, int]:
    """The sums over all functions."""
    rows = results.values()
    total = {key: sum(row[key] for row in rows) for key in ("checks", "alarms", "undecided")}
    planted = [mistake for row in rows for mistake in row.get("mistakes", {}).values()]
    total["mistakes"] = sum(mistake["seeds"] for mistake in planted)
    total["missed"] = sum(mistake["missed"] for mistake in planted)
    total["mistakes undecided"] = sum(mistake["undecided"] for mistake in planted)
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--large-seeds", type=int, default=20, help=f"for more than {LARGE:,} entries")
    parser.add_argument("--planted", type=int, default=100, help="seeds for each mistake; a tenth for large ones")
    parser.add_argument("--only", default="", help="the functions with this in their names")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    written = options.json is not None and options.json.exists()
    results = json.loads(options.json.read_text())["functions"] if written else {}
    for name, right in sorted(BATTERY.items(), key=lambda item: item[1].entries()):
        if options.only not in name or name in results:
            continue
        large = right.entries() > LARGE
        row = alarms(right, options.large_seeds if large else options.seeds)
        if right.entries() >= PLANTED_FROM and options.planted:
            row["mistakes"] = misses(right, max(1, options.planted // 10) if large else options.planted)
        results[name] = row
        print(name, row, flush=True)
        if options.json:
            options.json.write_text(json.dumps({"total": totals(results), "functions": results}, indent=1) + "\n")
    total = totals(results)
    print(f"{len(results)} functions: {total}")
    return 1 if total["alarms"] or total["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
