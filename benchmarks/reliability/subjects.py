"""The files that `mutations.py` damages: how an honest one is made, and how it is read."""

import gzip
import hashlib
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scratchnet.backend import to_host
from scratchnet.checkpoint import load_arrays, load_model_with_notes, save_arrays, save_model
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.data.mnist import load_mnist
from scratchnet.data.omniglot import load_omniglot, read_runs
from scratchnet.images.pictures import read_image
from scratchnet.models.networks import compact
from scratchnet.oneshot.tasks import recipe_of
from scratchnet.pretrained.card import Card
from scratchnet.train.recipe import Recipe
from scratchnet.train.recipes import RECIPES
from scratchnet.train.state import expect_resumable, read_log

RECIPE = RECIPES["glyphs"]


@dataclass(frozen=True)
class Subject:
    """A kind of file: `file` is the name of the one that is damaged, `target` what is given to `load`.

    load: reads it, and returns a digest of all that it says. checksums: whether the format notices other bytes.
    """

    name: str
    file: str
    write: Callable[[Path], None]
    load: Callable[[Path], str]
    checksums: bool = True
    forged_as: str = ""
    folder: bool = False  # `load` takes the folder that the file is in

    def target(self, folder: Path) -> Path:
        return folder if self.folder else folder / self.file


def make(subject: Subject, folder: Path) -> Path:
    """An honest file, and what has to be around it."""
    subject.write(folder / subject.file)
    return folder / subject.file


def _digest(*parts: Any) -> str:
    found = hashlib.sha256()
    for part in parts:
        array = np.asarray(part) if isinstance(part, np.ndarray) else None
        text = repr(part).encode() if array is None else f"{array.dtype} {array.shape}".encode() + array.tobytes()
        found.update(len(text).to_bytes(8, "little") + text)
    return found.hexdigest()


def _net() -> Any:
    return compact(seed=1, image_size=24, width=2, features=8)


def _write_weights(storage: str) -> Callable[[Path], None]:
    return lambda path: save_model(
        path,
        _net(),
        storage=storage,
        recipe=RECIPE.as_dict() | {"architecture": {"name": "compact", "image_size": 24}},
        epoch=3,
        loss=0.25,
    )


def _read_weights(path: Path) -> str:
    net, notes = load_model_with_notes(path)
    recipe_of(net, notes, model=str(path))
    flat = [item for name, value in net.params.items() for item in (name, to_host(value))]
    return _digest(*flat, net.frame, net.image_size, dict(net.architecture), notes)


def _write_state(path: Path) -> None:
    net = compact(**{k: v for k, v in RECIPE.architecture.items() if k != "name"})
    arrays = {
        f"{part}/{name}": value
        for part in ("params", "velocity")
        for name, value in net.params.items()
        if part == "params" or ".running_" not in name
    }
    history = [{"epoch": i, "loss": 2.0 / i, "validation": 0.1 * i, "images_per_second": 100.0} for i in range(1, 5)]
    save_arrays(
        path,
        arrays,
        {
            "recipe": RECIPE.as_dict(),
            "data": "x",
            "environment": {"threads": "2"},
            "epoch": 4,
            "step": 2,
            "losses": [0.5, 0.25],
            "history": history,
            "seconds": 3.5,
            "images": 10,
        },
    )
    path.with_name("log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in history))
    path.with_name("recipe.json").write_text(json.dumps(RECIPE.as_dict(), indent=2))


def _read_state(folder: Path) -> str:
    recipe = Recipe.read(folder / "recipe.json")
    expect_resumable(folder, recipe)
    arrays, notes = load_arrays(folder / "state.npz")
    return _digest(*(item for name, value in arrays.items() for item in (name, value)), notes, recipe)


def _write_card(path: Path) -> None:
    figure = {
        "task": "official runs",
        "way": 20,
        "shot": 1,
        "scope": "within",
        "correct": 3,
        "trials": 4,
        "accuracy": 0.75,
        "interval": [0.5, 0.9],
    }
    card = Card(
        "x",
        "A card.",
        7,
        {"name": "a", "source": "b", "licence": "c", "used": "d"},
        RECIPE.as_dict(),
        0,
        0.5,
        "an abacus",
        "today",
        {"weights": "int8", "bytes": 9, "stored_correct": 3, "float32_correct": 3},
        [figure],
        ["small"],
        "0" * 64,
        ["scratchnet train"],
    )
    path.write_text(card.as_json())


def _read_card(path: Path) -> str:
    card = Card.read(path)
    return _digest(asdict(card), card.headline(), card.as_markdown())


def _png(image: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(~image).save(file, kind)
    return file.getvalue()


def _drawings() -> Iterator[tuple[str, bytes]]:
    for alphabet in generate_alphabets(2, characters=3, drawers=3, image_size=35):
        for c, drawer in np.ndindex(alphabet.images.shape[:2]):
            yield (
                f"images_background/{alphabet.name}/character{c + 1:02}/{c + 1:04}_{drawer + 1:02}.png",
                _png(alphabet.images[c, drawer]),
            )


def _write_real(path: Path) -> None:
    path.write_bytes((Path(os.environ["SCRATCHNET_DATA"]) / "omniglot" / "images_background_small1.zip").read_bytes())


class _Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False

    def seek(self, *_: Any) -> int:
        raise OSError("a stream")

    def tell(self) -> int:
        raise OSError("a stream")


def _write_zip(path: Path, streamed: bool = False) -> None:
    """As Lake's: folders have entries, files are deflated; streamed, lengths follow the contents."""
    file = _Unseekable() if streamed else io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        if not streamed:
            archive.writestr("images_background/", b"")
        for name, content in _drawings():
            archive.writestr(name, content)
    path.write_bytes(file.getvalue())


def _read_drawings(path: Path) -> str:
    return _digest(*(item for alphabet in load_omniglot(path) for item in (alphabet.name, alphabet.images)))


def _write_runs(path: Path) -> None:
    (alphabet,) = generate_alphabets(1, characters=4, drawers=2, image_size=35)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for run in ("run01", "run02"):
            archive.writestr(
                f"{run}/class_labels.txt",
                "".join(f"{run}/test/item{c + 1:02}.png {run}/training/class{c + 1:02}.png\n" for c in range(4)),
            )
            for c in range(4):
                archive.writestr(f"{run}/test/item{c + 1:02}.png", _png(alphabet.images[c, 0]))
                archive.writestr(f"{run}/training/class{c + 1:02}.png", _png(alphabet.images[c, 1]))


def _read_runs(path: Path) -> str:
    return _digest(*(item for run in read_runs(path) for item in (run.name, run.support, run.query, run.target)))


def _write_digits(packed: bool) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        rng = np.random.default_rng(0)
        images, labels = rng.integers(0, 256, (6, 28, 28), dtype=np.uint8), np.arange(6, dtype=np.uint8)
        ending = ".gz" if packed else ""
        for name, array in ((f"t10k-images-idx3-ubyte{ending}", images), (f"t10k-labels-idx1-ubyte{ending}", labels)):
            content = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()
            (path.parent / name).write_bytes(gzip.compress(content) if packed else content)

    return write


def _read_digits(folder: Path) -> str:
    return _digest(*load_mnist(folder))


def _write_picture(kind: str) -> Callable[[Path], None]:
    (alphabet,) = generate_alphabets(1, characters=1, drawers=1, image_size=80)
    return lambda path: path.write_bytes(_png(alphabet.images[0, 0], kind)) and None


def _read_picture(path: Path) -> str:
    return _digest(read_image(path))


def _pictures() -> Iterator[Subject]:
    for kind in ("PNG", "JPEG", "BMP", "GIF", "WEBP"):
        yield Subject(
            kind.lower(),
            f"picture.{kind.lower()}",
            _write_picture(kind),
            _read_picture,
            checksums=False,
            forged_as="png" if kind == "PNG" else "",
        )


CHECKPOINTS = (
    Subject("weights", "weights.npz", _write_weights("float32"), _read_weights, forged_as="zip"),
    Subject("int8", "weights.npz", _write_weights("int8"), _read_weights, forged_as="zip"),
    Subject("state", "state.npz", _write_state, _read_state, forged_as="zip", folder=True),
    Subject(
        "recipe",
        "recipe.json",
        lambda path: _write_state(path.with_name("state.npz")),
        _read_state,
        checksums=False,
        forged_as="json",
        folder=True,
    ),
    Subject(
        "log",
        "log.jsonl",
        lambda path: _write_state(path.with_name("state.npz")),
        lambda folder: _digest(read_log(folder)),
        checksums=False,
        folder=True,
    ),
    Subject("card", "card.json", _write_card, _read_card, checksums=False, forged_as="json"),
)
DATA = (
    Subject("omniglot", "drawings.zip", _write_zip, _read_drawings, forged_as="zip"),
    Subject("streamed", "drawings.zip", lambda path: _write_zip(path, streamed=True), _read_drawings),
    Subject("runs", "all_runs.zip", _write_runs, _read_runs, forged_as="zip"),
    Subject("idx", "t10k-images-idx3-ubyte", _write_digits(packed=False), _read_digits, checksums=False, folder=True),
    Subject(
        "labels", "t10k-labels-idx1-ubyte", _write_digits(packed=False), _read_digits, checksums=False, folder=True
    ),
    Subject("gzip", "t10k-images-idx3-ubyte.gz", _write_digits(packed=True), _read_digits, folder=True),
    *_pictures(),
)
REAL = (Subject("real", "images_background_small1.zip", _write_real, _read_drawings, forged_as="directory"),)
