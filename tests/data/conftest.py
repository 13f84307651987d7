"""Drawings that several tests put on disk."""

import pytest
from disk import png


@pytest.fixture
def files() -> dict[str, bytes]:
    """Two alphabets of 3 and 11 characters and 4 drawers; a drawing shows 1000 alphabet + 10 character + drawer."""
    sizes = {"Greek": 3, "Arcadian": 11}
    return {
        f"images_background/{name}/character{character:02}/{character:04}_{drawer:02}.png": png(
            1000 * ord(name[0]) + 10 * character + drawer
        )
        for name, size in sizes.items()
        for character in range(1, size + 1)
        for drawer in range(1, 5)
    }


@pytest.fixture
def runs() -> dict[str, bytes]:
    """Two runs of three trials; a query shows 100 + the number of its support."""
    files = {}
    for run, order in {"run01": (2, 3, 1), "run02": (1, 3, 2)}.items():
        lines = [f"{run}/test/item{i:02}.png {run}/training/class{c:02}.png" for i, c in enumerate(order, 1)]
        files[f"{run}/class_labels.txt"] = "\n".join([*lines, ""]).encode()
        for item, match in enumerate(order, 1):
            files[f"{run}/test/item{item:02}.png"] = png(100 + match)
            files[f"{run}/training/class{match:02}.png"] = png(match)
    return files
