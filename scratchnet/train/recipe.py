"""Recipes: everything that a training run depends on besides its data."""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from scratchnet.common.notes import expect, parse
from scratchnet.common.spelling import hint
from scratchnet.data.own import KEEP_OUT
from scratchnet.errors import CheckpointError, ScratchnetError
from scratchnet.files.reading import read_file, reason
from scratchnet.images.frames import find_frame
from scratchnet.optim.penalty import PrintedSGD
from scratchnet.optim.schedules import Cosine, Decay, MomentumRise, WarmUp
from scratchnet.optim.sgd import SETTINGS, SGD

FORMAT = 2  # of a recipe as JSON; in format 1, that of scratchnet 0.1, weight_decay was half of today's
CHOICES = {
    "data": ("glyphs", "omniglot", "own"),
    "keep_out": KEEP_OUT,
    "objective": ("pairs", "episodes"),
    "negatives": ("within", "across"),
    "schedule": ("decay", "cosine"),
    "penalty": ("read", "printed"),
    "keep": ("best", "last"),
}
LEAST: dict[str, float] = {
    "epochs": 1,
    "epoch_pairs": 0,
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
MOST: dict[str, float] = {"elastic": 1.0, "stroke": 1.0, "weight_average": 1.0, "seed": math.inf}
MOST_OTHERWISE = 1_000_000_000
OF_EPISODES: dict[str, Any] = {"hands": 1, "symmetries": False, "both_ways": False}  # and their values for pairs
OF_PAIRS: dict[str, Any] = {"negatives": "within", "epoch_pairs": 0}  # and their values for episodes
OF_FRESH_COPIES = ("elastic", "stroke")
KINDS: dict[Any, Any] = {  # for `notes.expect`, by the type of a field; any other field is an object
    str: str,
    int: int,
    float: float,
    bool: bool,
    float | None: (float, None),
    tuple[str, ...]: [str],
}
MAX_BYTES = 1 << 20  # of a recipe in a file
# Settings that JSON has only where they are not the default: older files have none.
LATER = ("keep_out", "metric", "start", "epoch_pairs", "negatives", "as_listed", "penalty")


@dataclass(frozen=True)
class Recipe:
    """How to train.

    objective "pairs" is the paper's: a fixed set of `pairs` labelled pairs, in batches of `batch_size`. An epoch is a
    pass over them, or over the next `epoch_pairs` of them: it then begins in the pass where the last one stopped.
    objective "episodes" is one-shot choice: a batch is `batch_size` episodes of `n_way` characters, and an epoch is
    `steps` batches.

    Each epoch ends with a validation of `validation_trials` one-shot trials. keep="best" keeps the parameters of the
    best epoch and stops after `epochs`, or after `patience` epochs without a better one. keep="last" trains all
    `epochs` and keeps the final parameters, which suits a fixed schedule. On Omniglot, `validation_alphabets` of ()
    trains on all alphabets: there is no validation, and the final parameters are kept. On one's own pictures,
    `keep_out` says what is validated by, as in `data.own.split_own`.

    Raises ScratchnetError for a value out of range and for settings that contradict each other.
    """

    name: str
    data: str  # "glyphs", generated; "omniglot"; or "own", a folder of pictures
    architecture: Mapping[str, Any]
    objective: str
    epochs: int
    batch_size: int
    lr: float
    steps: int = 0  # per epoch of episodes
    n_way: int = 20
    hands: int = 1  # drawers per character of an episode, for queries and for supports
    pairs: int = 0  # in the set
    epoch_pairs: int = 0  # how many an epoch takes of them and their copies; 0: all
    negatives: str = "within"  # different characters of a pair are of one alphabet, or "across" two
    fixed_distortions: int = 0  # distorted copies of each pair, drawn once; 0 draws new ones for each batch
    distort: bool = True  # the paper's affine distortions
    as_listed: bool = False  # ... in the order rotation, shear, scale
    elastic: float = 0.0  # elastic warps, by up to this share of the image
    stroke: float = 0.0  # thicker and thinner strokes, by up to this share of a 3 x 3 dilation or erosion
    symmetries: bool = False  # rotate and mirror each episode as a whole, which makes new characters
    both_ways: bool = False  # each support of an episode also chooses its query
    schedule: str = "decay"  # of lr: "decay" multiplies it by lr_decay each epoch, "cosine" lets it fall to zero
    lr_decay: float = 1.0
    warm_up_epochs: int = 0
    momentum: float = 0.9
    initial_momentum: float | None = None
    momentum_epochs: int = 1
    weight_decay: float = 0.0  # as in PyTorch: 2 lambda for the paper's penalty lambda |w|^2
    penalty: str = "read"  # the gradient of that penalty; or "printed", the paper's formula as it stands (PrintedSGD)
    per_layer: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    weight_average: float = 0.0  # decay per step of a running average of the weights; 0: no average
    keep: str = "best"  # the epoch to keep: the best by validation, or the last
    patience: int = 20
    validation_trials: int = 320
    validation_alphabets: tuple[str, ...] = ()  # of Omniglot; the glyphs have their own
    keep_out: str = "auto"  # of one's own pictures, for validation: "classes", "drawings" or "none"
    metric: bool = False  # the head's weights stay at 0 or less, so that a lower logit is a greater L1 distance
    start: str = ""  # the network to begin with, as `load_model` takes it; "" for new parameters
    drawers: int = 20  # of each character, the first `drawers` are for training
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ScratchnetError(
                    f"{name}={getattr(self, name)} is none of {', '.join(choices)}"
                    f"{hint(getattr(self, name), choices)}: choose one"
                )
        self._expect_plausible_architecture()
        self._expect_settings_of_the_objective()
        self._expect_numbers_in_range()
        self._expect_consistent_schedule()
        self._expect_settings_of_layers()

    def _expect_plausible_architecture(self) -> None:
        """models.build does the rest."""
        find_frame(self.architecture.get("frame", "page"))
        sizes = {name: value for name, value in self.architecture.items() if name != "name"}
        for name, value in sizes.items():
            numbers = value if isinstance(value, list | tuple) else [value]
            if isinstance(value, bool | str) and name != "image_size":
                continue
            if not all(isinstance(number, int) and number >= 1 for number in numbers):
                raise ScratchnetError(f"architecture.{name}={value} is out of range: give whole numbers, 1 or more")

    def _expect_settings_of_the_objective(self) -> None:
        for name, of_pairs in OF_EPISODES.items():
            if self.objective == "pairs" and getattr(self, name) != of_pairs:
                raise ScratchnetError(
                    f"{name}={json.dumps(getattr(self, name))} is about whole episodes: it goes with objective=episodes"
                )
        for name, of_episodes in OF_PAIRS.items():
            if self.objective == "episodes" and getattr(self, name) != of_episodes:
                raise ScratchnetError(f"{name}={getattr(self, name)} is about pairs: it goes with objective=pairs")
        for name in OF_FRESH_COPIES:
            if self.fixed_distortions and getattr(self, name):
                raise ScratchnetError(
                    f"{name}={getattr(self, name)} is drawn afresh for each batch: it goes with fixed_distortions=0"
                )
        if 0 < self.epoch_pairs < self.batch_size:
            raise ScratchnetError(
                f"epoch_pairs={self.epoch_pairs} fill no batch of batch_size={self.batch_size}: give more, or 0 for all"
            )
        if self.objective == "episodes" and self.fixed_distortions:
            raise ScratchnetError(
                f"fixed_distortions={self.fixed_distortions} are copies of a fixed set: it goes with objective=pairs"
            )

    def _expect_numbers_in_range(self) -> None:
        numbers = [(name, getattr(self, name), least) for name, least in LEAST.items()]
        numbers += [("steps", self.steps, 1)] if self.objective == "episodes" else [("pairs", self.pairs, 1)]
        numbers += [("initial_momentum", self.initial_momentum, 0.0)] if self.initial_momentum is not None else []
        for name, value, least in numbers:
            if not least <= value < math.inf:  # True for NaN
                raise ScratchnetError(f"{name}={value} is out of range: give {least} or more")
            if value > (most := MOST.get(name, MOST_OTHERWISE)):
                raise ScratchnetError(f"{name}={value} is out of range: give {least} to {most}")

    def _expect_consistent_schedule(self) -> None:
        if self.schedule != "cosine":
            return
        if self.lr_decay != 1:
            raise ScratchnetError(f"lr_decay={self.lr_decay} goes with schedule=decay: with the cosine, set it to 1")
        if self.warm_up_epochs >= self.epochs:
            raise ScratchnetError(
                f"warm_up_epochs={self.warm_up_epochs} leave nothing of a cosine over epochs={self.epochs}: "
                "give fewer, or more epochs"
            )

    def _expect_settings_of_layers(self) -> None:
        for prefix, settings in self.per_layer.items():
            valid = isinstance(settings, Mapping) and all(
                name in SETTINGS and isinstance(value, int | float) and 0 <= value < math.inf
                for name, value in settings.items()
            )
            if not valid:
                unknown = [name for name in settings if name not in SETTINGS] if isinstance(settings, Mapping) else []
                guess = hint(unknown[0], SETTINGS) if unknown else ""
                raise ScratchnetError(
                    f"per_layer.{prefix}={json.dumps(settings)} is no setting of a layer{guess}: "
                    f'give some of {", ".join(SETTINGS)}, as {{"lr": 0.01}}'
                )

    def optimiser(self) -> SGD:
        """A new optimiser with the settings of this recipe."""
        schedule = Cosine(self.epochs) if self.schedule == "cosine" else Decay(self.lr_decay)
        rise = None if self.initial_momentum is None else MomentumRise(self.initial_momentum, self.momentum_epochs)
        kind = PrintedSGD if self.penalty == "printed" else SGD
        return kind(
            self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            per_layer=self.per_layer,
            lr_schedule=WarmUp(self.warm_up_epochs, schedule),
            momentum_rise=rise,
        )

    @property
    def validates(self) -> bool:
        """Whether each epoch ends with a validation."""
        if self.data == "own":
            return self.keep_out != "none"
        return self.data != "omniglot" or bool(self.validation_alphabets)

    @property
    def image_size(self) -> int:
        """The side of the network's input images, in pixels."""
        return int(self.architecture.get("image_size", 105))

    def as_dict(self) -> dict[str, Any]:
        """The recipe as JSON holds it, with its format; `from_dict` takes it back."""
        usual = {f.name: f.default for f in fields(self)}
        held = {n: value for n, value in asdict(self).items() if n not in LATER or value != usual[n]}
        plain: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **held}))  # tuples become lists
        return plain

    @classmethod
    def from_dict(cls, plain: Any) -> "Recipe":
        """The recipe that `as_dict` of this version or of 0.1 made.

        Raises ValueError or ScratchnetError for anything else.
        """
        expect(plain, cls.kinds(), "the recipe")
        settings = _upgraded(plain)
        if unknown := [name for name in settings if name not in {f.name for f in fields(cls)}]:
            raise ValueError(f"it has the unknown setting {unknown[0]}")
        return cls(**settings | {"validation_alphabets": tuple(settings["validation_alphabets"])})

    @classmethod
    def read(cls, path: Path) -> "Recipe":
        """The recipe in a run folder. Raises CheckpointError when there is none that can be read."""
        try:
            return cls.from_dict(parse(read_file(path, MAX_BYTES)))
        except FileNotFoundError as cause:
            raise CheckpointError(f"{path.parent} holds no run: there is no {path.name} in it") from cause
        except (OSError, ValueError, ScratchnetError) as cause:
            raise CheckpointError(
                f"{path} is damaged or of another version ({reason(cause)}): start a new run"
            ) from cause

    @classmethod
    def kinds(cls) -> dict[str, Any]:
        """The kinds of a recipe's fields for `notes.expect`; those with a default may be missing."""
        kinds = {f.name: KINDS.get(f.type, dict) for f in fields(cls)} | {"architecture": {"name": str, "frame?": str}}
        optional = {f.name for f in fields(cls) if f.default is not MISSING or f.default_factory is not MISSING}
        optional.remove("validation_alphabets")  # without it, nothing would say which alphabets were left unseen
        return {"format?": int} | {f"{name}?" if name in optional else name: kind for name, kind in kinds.items()}


def _upgraded(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a recipe as JSON holds it, with today's meaning. Raises ValueError for an unknown format."""
    settings = dict(plain)
    match settings.pop("format", 1):
        case 1:
            return _with_doubled_decay(settings) | {
                "per_layer": {
                    prefix: _with_doubled_decay(own) if isinstance(own, dict) else own
                    for prefix, own in settings.get("per_layer", {}).items()
                }
            }
        case 2:
            return settings
        case unknown:
            raise ValueError(f"it has format {unknown}, and this version reads 1 and 2")


def _with_doubled_decay(settings: Mapping[str, Any]) -> dict[str, Any]:
    """With twice the weight_decay where there is one; doubling a binary floating-point number is exact."""
    decay = settings.get("weight_decay")
    return {**settings, "weight_decay": 2 * decay} if isinstance(decay, int | float) else dict(settings)
