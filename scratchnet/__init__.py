"""One-shot image recognition with a Siamese network, every gradient written by hand, on NumPy or CuPy."""

from scratchnet import gradcheck, models, oneshot
from scratchnet.backend import to_device, to_host
from scratchnet.checkpoint import load_model, save_model
from scratchnet.losses import NWayCrossEntropy, PairCrossEntropy
from scratchnet.optim import SGD
from scratchnet.siamese import SiameseNet
from scratchnet.train import train_step
from scratchnet.version import VERSION

__version__ = VERSION

__all__ = [
    "SGD", "NWayCrossEntropy", "PairCrossEntropy", "SiameseNet",
    "gradcheck", "load_model", "models", "oneshot", "save_model", "to_device", "to_host", "train_step",
]
