"""Networks for other programs: safetensors, PyTorch and ONNX; and an index that finds pictures among very many.

`scratchnet export`, `import` and `index` on the command line; in Python

    from scratchnet.exchange import export_model, import_model

    export_model("omniglot.onnx", net)
    net = import_model("tuned.pt", net.architecture)
"""

from typing import TYPE_CHECKING  # isort: skip_file

__all__ = [
    "channels_first", "export_model", "formats", "import_model", "index", "onnx_graph", "pytorch_code", "pytorch_file",
    "safetensors_file", "state_dict",
]  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.exchange import (
        channels_first, formats, index, onnx_graph, pytorch_code, pytorch_file, safetensors_file, state_dict,
    )  # fmt: skip
    from scratchnet.exchange.formats import export_model, import_model
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {"export_model": "formats", "import_model": "formats"})
