"""Networks: the architectures by name, and SiameseNet, which holds one with its parameters."""

from typing import TYPE_CHECKING

__all__ = [
    "SiameseNet", "build", "compact", "describe", "koch2015", "networks", "options_of", "parameter_count", "scoring",
    "siamese",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.models import networks, scoring, siamese
    from scratchnet.models.networks import build, compact, describe, koch2015, options_of, parameter_count
    from scratchnet.models.siamese import SiameseNet
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {
        "SiameseNet": "siamese", "koch2015": "networks", "compact": "networks", "build": "networks",
        "describe": "networks", "options_of": "networks", "parameter_count": "networks",
    })  # fmt: skip
