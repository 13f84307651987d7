"""Recipes: everything that a training depends on besides its data, as small dataclasses."""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from scratchnet.common.notes import expect, parse
from scratchnet.common.spelling import hint
from scratchnet.data.splits import VALIDATION_ALPHABETS
from scratchnet.errors import CheckpointError, ScratchnetError
from scratchnet.files.reading import read_file, reason
from scratchnet.images.frames import find_frame
from scratchnet.models.networks import ARCHITECTURES, options_of
from scratchnet.optim.sgd import SCHEDULES, SETTINGS, SGD

CHOICES = {
    "data": ("glyphs", "omniglot"),
    "objective": ("pairs", "episodes"),
    "schedule": SCHEDULES,
    "keep": ("best", "last"),
}
LEAST: dict[str, float] = {
    "epochs": 1,
    "batch_size": 1,
    "n_way": 2,
    "hands": 1,
    "fixed_distortions": 0,
    "lr": 0.0,
    "lr_decay": 0.0,
    "momentum": 0.0,
    "momentum_epochs": 1,
    "weight_decay": 0.0,
    "patience": 1,
    "validation_trials": 1,
    "drawers": 2,
    "seed": 0,
    "elastic": 0.0,
    "stroke": 0.0,
    "weight_average": 0.0,
    "warm_up_epochs": 0,
}
OF_EPISODES: dict[str, Any] = {"hands": 1, "symmetries": False, "both_ways": False}  # with what pairs have
MOST: dict[str, float] = {"elastic": 1.0, "stroke": 1.0, "weight_average": 1.0, "seed": math.inf}
MOST_OTHERWISE = 1_000_000_000
OF_FRESH_COPIES = ("elastic", "stroke")
KINDS: dict[Any, Any] = {  # of notes, by the type of a field; the others are objects
    str: str,
    int: int,
    float: float,
    bool: bool,
    float | None: (float, None),
    tuple[str, ...]: [str],
}
MAX_BYTES = 1 << 20  # of a recipe in a file


@dataclass(frozen=True)
class Recipe:
    """How to train.

    objective "pairs" is the paper's: epochs over a fixed set of `pairs` labelled pairs, in batches of `batch_size`.
    objective "episodes" is one-shot choice: a batch is `batch_size` episodes of `n_way` characters, an epoch is
    `steps` batches. A validation of `validation_trials` one-shot trials follows each epoch; the best parameters are
    kept, and training ends after `epochs`, or after `patience` epochs without a better one; or, with keep="last", the
    last ones are, after all of `epochs`, as suits a schedule that is fixed beforehand. On Omniglot,
    `validation_alphabets` of () means that all alphabets are trained on and nothing chooses: no validation, all of
    `epochs`, and the network of the last one.
    """

    name: str
    data: str  # "glyphs", generated, or "omniglot"
    architecture: Mapping[str, Any]
    objective: str
    epochs: int
    batch_size: int
    lr: float
    steps: int = 0  # of an epoch of episodes
    n_way: int = 20
    hands: int = 1  # drawers of each character of an episode, on either side
    pairs: int = 0  # of an epoch of pairs
    fixed_distortions: int = 0  # distorted copies of each pair, drawn once; 0 draws fresh ones for each batch
    distort: bool = True  # the paper's affine distortions
    elastic: float = 0.0  # elastic warps, by up to this share of the image
    stroke: float = 0.0  # strokes thicker and thinner, by up to this share of a 3 x 3 dilation or erosion
    symmetries: bool = False  # each episode turned and mirrored as a whole: new characters
    both_ways: bool = False  # each support of an episode chooses its query, too
    schedule: str = "decay"  # of lr: times lr_decay each epoch; or "cosine", which falls to zero over the epochs
    lr_decay: float = 1.0
    warm_up_epochs: int = 0
    momentum: float = 0.9
    initial_momentum: float | None = None
    momentum_epochs: int = 1
    weight_decay: float = 0.0
    per_layer: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    weight_average: float = 0.0  # of the weights of all steps, which decays by this a step; 0: the last weights alone
    keep: str = "best"  # the epoch that is kept: the best by validation, or the last
    patience: int = 20
    validation_trials: int = 320
    validation_alphabets: tuple[str, ...] = ()  # of Omniglot; the glyphs have their own
    drawers: int = 20  # the first so many are for training
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ScratchnetError for a value that no training can have."""
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ScratchnetError(
                    f"{name}={getattr(self, name)} is none of {', '.join(choices)}"
                    f"{hint(getattr(self, name), choices)}: choose one"
                )
        self._expect_a_likely_architecture()
        for name, of_pairs in OF_EPISODES.items():
            if self.objective == "pairs" and getattr(self, name) != of_pairs:
                raise ScratchnetError(
                    f"{name}={json.dumps(getattr(self, name))} is about whole episodes: it goes with objective=episodes"
                )
        for name in OF_FRESH_COPIES:
            if self.fixed_distortions and getattr(self, name):
                raise ScratchnetError(
                    f"{name}={getattr(self, name)} is drawn afresh for each batch: it goes with fixed_distortions=0"
                )
        if self.objective == "episodes" and self.fixed_distortions:
            raise ScratchnetError(
                f"fixed_distortions={self.fixed_distortions} are of a fixed set: it goes with objective=pairs"
            )
        self._expect_numbers_in_range()
        self._expect_settings_of_layers()
        self.optimiser()  # which refuses schedules that contradict each other

    def _expect_a_likely_architecture(self) -> None:
        find_frame(self.architecture.get("frame", "page"))
        sizes = {name: value for name, value in self.architecture.items() if name != "name"}
        for name, value in sizes.items():
            whole = value if isinstance(value, list | tuple) else [value]
            if isinstance(value, bool | str) and name != "image_size":
                continue  # models.build knows which of these there are
            if not all(isinstance(number, int) and number >= 1 for number in whole):
                raise ScratchnetError(f"architecture.{name}={value} is out of range: give whole numbers, 1 or more")

    def _expect_numbers_in_range(self) -> None:
        numbers = [(name, getattr(self, name), least) for name, least in LEAST.items()]
        numbers += [("steps", self.steps, 1)] if self.objective == "episodes" else [("pairs", self.pairs, 1)]
        numbers += [("initial_momentum", self.initial_momentum, 0.0)] if self.initial_momentum is not None else []
        for name, value, least in numbers:
            if not least <= value < math.inf:  # True for NaN
                raise ScratchnetError(f"{name}={value} is out of range: give {least} or more")
            if value > (most := MOST.get(name, MOST_OTHERWISE)):
                raise ScratchnetError(f"{name}={value} is out of range: give {least} to {most}")

    def _expect_settings_of_layers(self) -> None:
        for prefix, settings in self.per_layer.items():
            fits = isinstance(settings, Mapping) and all(
                name in SETTINGS and isinstance(value, int | float) and 0 <= value < math.inf
                for name, value in settings.items()
            )
            if not fits:
                unknown = [name for name in settings if name not in SETTINGS] if isinstance(settings, Mapping) else []
                guess = hint(unknown[0], SETTINGS) if unknown else ""
                raise ScratchnetError(
                    f"per_layer.{prefix}={json.dumps(settings)} is no setting of a layer{guess}: "
                    f'give some of {", ".join(SETTINGS)}, as {{"lr": 0.01}}'
                )

    def optimiser(self) -> SGD:
        """A fresh optimiser with the settings of this recipe."""
        return SGD(
            self.lr,
            self.momentum,
            self.weight_decay,
            self.per_layer,
            self.lr_decay,
            self.initial_momentum,
            self.momentum_epochs,
            self.schedule,
            self.epochs,
            self.warm_up_epochs,
        )

    @property
    def validates(self) -> bool:
        """Whether a validation follows each epoch, and the best one is kept."""
        return self.data != "omniglot" or bool(self.validation_alphabets)

    @property
    def image_size(self) -> int:
        """The size of the images that the network looks at, in pixels."""
        return int(self.architecture.get("image_size", 105))

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it: tuples have become lists."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def read(cls, path: Path) -> "Recipe":
        """The recipe in a run folder. Raises CheckpointError when there is none that can be read."""
        try:
            plain = parse(read_file(path, MAX_BYTES))
            expect(plain, cls.kinds(), "the recipe")
            return cls(**plain | {"validation_alphabets": tuple(plain["validation_alphabets"])})
        except FileNotFoundError as cause:
            raise CheckpointError(f"{path.parent} holds no run: there is no {path.name} in it") from cause
        except (OSError, ValueError, TypeError, ScratchnetError) as cause:
            raise CheckpointError(
                f"{path} is damaged or of another version ({reason(cause)}): start a new run"
            ) from cause

    @classmethod
    def kinds(cls) -> dict[str, Any]:
        """What `notes.expect` is to expect of a recipe: fields as they are declared, those with a default perhaps."""
        kinds = {f.name: KINDS.get(f.type, dict) for f in fields(cls)} | {"architecture": {"name": str, "frame?": str}}
        optional = {f.name for f in fields(cls) if f.default is not MISSING or f.default_factory is not MISSING}
        optional.remove("validation_alphabets")  # without it, nothing would say which alphabets are left unseen
        return {f"{name}?" if name in optional else name: kind for name, kind in kinds.items()}


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "glyphs",
            "glyphs",
            {"name": "compact", "image_size": 24, "width": 8, "features": 256},
            "episodes",
            epochs=12,
            steps=50,
            batch_size=4,
            lr=0.05,
            lr_decay=0.8,
            n_way=20,
            validation_trials=800,
        ),
        Recipe(
            "quick",
            "omniglot",
            {"name": "compact", "image_size": 48, "width": 16, "features": 512, "frame": "ink"},
            "episodes",
            epochs=10,
            steps=110,
            batch_size=2,
            hands=2,
            n_way=20,
            both_ways=True,
            symmetries=True,
            elastic=0.05,
            lr=0.05,
            schedule="cosine",
            weight_average=0.99,
            keep="last",
            validation_trials=2000,
            validation_alphabets=VALIDATION_ALPHABETS,
        ),
        # Chosen on VALIDATION_ALPHABETS (benchmarks/record.md); it trains on all alphabets, so nothing chooses.
        Recipe(
            "omniglot",
            "omniglot",
            {"name": "compact", "image_size": 48, "width": 32, "features": 768, "frame": "ink"},
            "episodes",
            epochs=20,
            steps=220,
            batch_size=2,
            hands=2,
            n_way=20,
            both_ways=True,
            symmetries=True,
            elastic=0.05,
            lr=0.05,
            schedule="cosine",
            weight_average=0.998,
            keep="last",
            validation_trials=2000,
        ),
        # Not quite the paper's split, which data/splits.py has too: here 25 background alphabets train, 5 validate, so
        # that the evaluation set is not needed.
        Recipe(
            "koch2015",
            "omniglot",
            {"name": "koch2015"},
            "pairs",
            epochs=200,
            pairs=30_000,
            batch_size=128,
            fixed_distortions=8,
            lr=0.01,
            lr_decay=0.99,
            momentum=0.9,
            initial_momentum=0.5,
            momentum_epochs=20,
            weight_decay=1e-4,
            drawers=12,
            validation_alphabets=VALIDATION_ALPHABETS,
        ),
    )
}


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`. Raises ScratchnetError when there is none."""
    if name not in RECIPES:
        raise ScratchnetError(f"unknown recipe {name!r}{hint(name, RECIPES)}: choose one of {', '.join(RECIPES)}")
    return RECIPES[name]


def setting_names(architecture: str) -> list[str]:
    """What `override` can change: the fields of a recipe, and the options of its architecture."""
    names = [f.name for f in fields(Recipe) if f.name != "name"]
    return [*names, "architecture.name", *(f"architecture.{option}" for option in options_of(architecture))]


def override(recipe: Recipe, settings: Mapping[str, str]) -> Recipe:
    """The recipe with some fields changed: {"lr": "0.1", "architecture.width": "16"}, the values written as JSON.

    Raises ScratchnetError for a field that does not exist or a value of another type.
    """
    changes: dict[str, Any] = {}
    for name, text in settings.items():
        field_name, _, key = name.partition(".")
        known = setting_names(recipe.architecture["name"])
        if field_name not in known:
            names = ", ".join(known_name for known_name in known if "." not in known_name)
            raise ScratchnetError(f"the recipe has no setting {field_name!r}{hint(name, known)}: there are {names}")
        old, new = changes.get(field_name, getattr(recipe, field_name)), _parse(text)
        if key:
            if not isinstance(old, Mapping):
                raise ScratchnetError(
                    f"the setting {field_name} has no parts, so {name!r} is none: write {field_name}={text}"
                )
            _expect_like(old.get(key, new), name, new, text)
            changes[field_name] = {**old, key: new}
        else:
            changes[field_name] = tuple(map(str, new)) if isinstance(old, tuple) and isinstance(new, list) else new
            _expect_like(old, name, changes[field_name], text)
    if "architecture" in changes:
        _expect_architecture(changes["architecture"])
    return replace(recipe, **changes)


def _expect_architecture(architecture: Mapping[str, Any]) -> None:
    """Raise ScratchnetError unless there is such an architecture, and it has such options."""
    name = architecture.get("name")
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise ScratchnetError(
            f"architecture.name={name} is none of {', '.join(ARCHITECTURES)}{hint(name, ARCHITECTURES)}: choose one"
        )
    for option in architecture.keys() - {"name", *options_of(name)}:
        raise ScratchnetError(
            f"architecture.{option} is no option of {name}{hint(option, options_of(name))}: "
            f"there are {', '.join(options_of(name))}"
        )


def _parse(text: str) -> Any:
    try:
        return parse(text.encode())
    except ValueError:
        return text


def _expect_like(old: Any, name: str, new: Any, text: str) -> None:
    """Raise ScratchnetError unless `new`, written as `text`, is of the type of `old`; an int will do for a float."""
    kind = (int, float) if old is None or isinstance(old, float) else type(old)
    if isinstance(new, kind) and isinstance(new, bool) == isinstance(old, bool):
        return
    word = "number" if kind == (int, float) else type(old).__name__
    raise ScratchnetError(f"{name}={new} is no {word}: the recipe has {name}={json.dumps(old)}, {_advice(old, text)}")


def _advice(old: Any, text: str) -> str:
    """How a value like `old` is written, if it was meant by `text`."""
    match old:
        case bool():
            return "give true or false"
        case int():
            return "give a whole number"
        case float() | None:
            with_point = text.replace(",", ".")
            return f"give a number{f', such as {with_point}' if _is_number(with_point) else ''}"
        case tuple():
            return 'give a list, such as ["Korean", "Latin"]'
        case Mapping():
            return "give an object of JSON, or its parts one by one"
        case _:
            return "give another of its kind"


def _is_number(text: str) -> bool:
    return isinstance(_parse(text), int | float)
