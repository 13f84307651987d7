"""One-shot image recognition with a Siamese network, every gradient written by hand, on NumPy or CuPy.

A module is loaded when it is first used: pytest imports this package at the start of every run, for its plugin.
"""

from scratchnet.common.version import VERSION  # isort: skip_file

__version__ = VERSION

__all__ = [
    "SGD", "BackendError", "CheckpointError", "DataError", "InUseError", "NWayCrossEntropy", "NonFiniteError",
    "OutOfMemoryError", "PairCrossEntropy", "ScratchnetError", "ShapeError", "SiameseNet", "backend", "bench",
    "checkpoint", "common", "data", "errors", "exchange", "explain", "files", "gradcheck", "images", "layers",
    "load_model", "losses", "models", "oneshot", "ops", "optim", "paper", "parallel", "photo", "planted",
    "pretrained", "save_model", "set_precision", "to_device", "to_host", "train", "train_step",
]  # fmt: skip

TYPE_CHECKING = False  # what type checkers take for true; importing typing takes as long as all the rest
if TYPE_CHECKING:
    from scratchnet import (
        backend, bench, checkpoint, common, data, errors, exchange, explain, files, gradcheck, images, layers, losses,
        models, oneshot, ops, optim, paper, parallel, photo, planted, pretrained, train,
    )  # fmt: skip
    from scratchnet.backend import set_precision, to_device, to_host
    from scratchnet.checkpoint import load_model, save_model
    from scratchnet.errors import (
        BackendError, CheckpointError, DataError, InUseError, NonFiniteError, OutOfMemoryError, ScratchnetError,
        ShapeError,
    )  # fmt: skip
    from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy
    from scratchnet.models.siamese import SiameseNet
    from scratchnet.optim.sgd import SGD
    from scratchnet.train import train_step
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, ["__version__", *__all__], {
        "set_precision": "backend", "to_device": "backend", "to_host": "backend", "load_model": "checkpoint",
        "save_model": "checkpoint", "BackendError": "errors", "CheckpointError": "errors", "DataError": "errors",
        "InUseError": "errors", "NonFiniteError": "errors", "OutOfMemoryError": "errors", "ScratchnetError": "errors",
        "ShapeError": "errors", "NWayCrossEntropy": "losses", "PairCrossEntropy": "losses", "SGD": "optim",
        "SiameseNet": "models", "train_step": "train",
    })  # fmt: skip
