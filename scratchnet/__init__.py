"""One-shot image recognition with a Siamese network, every gradient written by hand, on NumPy or CuPy.

A module is loaded when it is first used: pytest imports this package at the start of every run, for its plugin.
"""

from importlib import import_module

from scratchnet.version import VERSION

TYPE_CHECKING = False  # what type checkers take for true; importing typing takes as long as all the rest

if TYPE_CHECKING:
    from scratchnet import gradcheck, models, oneshot
    from scratchnet.backend import set_precision, to_device, to_host
    from scratchnet.checkpoint import load_model, save_model
    from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy
    from scratchnet.optim import SGD
    from scratchnet.siamese import SiameseNet
    from scratchnet.train import train_step
else:
    _MODULE_OF = {
        "set_precision": "backend", "to_device": "backend", "to_host": "backend",
        "load_model": "checkpoint", "save_model": "checkpoint",
        "NWayCrossEntropy": "losses", "PairCrossEntropy": "losses", "SGD": "optim", "SiameseNet": "siamese",
        "train_step": "train",
    }

    def __getattr__(name: str):
        """A public name at its first use (PEP 562)."""
        if name in _MODULE_OF:
            globals()[name] = getattr(import_module(f"scratchnet.{_MODULE_OF[name]}"), name)
        elif name in __all__:
            import_module(f"scratchnet.{name}")  # which puts it here
        else:
            raise AttributeError(f"module 'scratchnet' has no attribute {name!r}")
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

__version__ = VERSION

__all__ = [
    "SGD", "NWayCrossEntropy", "PairCrossEntropy", "SiameseNet",
    "gradcheck", "load_model", "models", "oneshot", "save_model", "set_precision", "to_device", "to_host", "train_step",
]
