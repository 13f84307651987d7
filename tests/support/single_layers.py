"""The gradient-check cases of single layers and losses."""

from scratchnet.layers import Siamese
from scratchnet.models.siamese import SiameseNet
from scratchnet.planted.cases import CASES

LAYERS = {
    name: case
    for name, case in CASES.items()
    if not isinstance(getattr(case.layer, "network", case.layer), Siamese | SiameseNet)
}
