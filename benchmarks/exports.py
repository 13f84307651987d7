"""The bundled network in PyTorch and in ONNX Runtime: how far from scratchnet, on 1,000 pairs of generated drawings.

    pip install -e ".[exchange,torch]" onnxruntime
    python benchmarks/exports.py

The first line compares scratchnet in float32 with itself in float64: so much do the roundings of float32 matter.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from scratchnet.checkpoint import load_model
from scratchnet.common.console import say
from scratchnet.common.tables import Table
from scratchnet.data.glyphs import generate_alphabets
from scratchnet.exchange import export_model
from scratchnet.exchange.pytorch_code import pytorch_code
from scratchnet.layers.protocol import strip_prefix
from scratchnet.models.siamese import SiameseNet

PAIRS = 1000
Answer = tuple[np.ndarray, np.ndarray]  # embeddings (2 PAIRS, D), logits (PAIRS,)


def ours(net: SiameseNet, images: np.ndarray) -> Answer:
    h = np.concatenate([net.network.encode(net.params, images[i : i + 100])[0] for i in range(0, len(images), 100)])
    return h, net.head.forward(strip_prefix("head", net.params), h[:PAIRS], h[PAIRS:])[0]


def in_pytorch(path: Path, net: SiameseNet, images: np.ndarray) -> Answer:
    module: dict[str, Any] = {}
    exec(pytorch_code(net, path), module)
    peer = module["load"]()
    with torch.no_grad():
        h = peer(torch.from_numpy(images))
        return h.numpy(), peer.score(h[:PAIRS], h[PAIRS:]).numpy()


def in_onnx_runtime(encoder: Path, head: Path, images: np.ndarray) -> Answer:
    (h,) = onnxruntime.InferenceSession(encoder).run(None, {"images": images})
    (logit,) = onnxruntime.InferenceSession(head).run(None, {"first": h[:PAIRS], "second": h[PAIRS:]})
    return h, logit


def answers(net: SiameseNet, images: np.ndarray, folder: Path) -> Iterator[tuple[str, int | None, Answer]]:
    """Where it was computed, the bytes of the file, and the answer."""
    double = replace(net, params={name: value.astype(np.float64) for name, value in net.params.items()})
    yield "scratchnet in float64", None, ours(double, images.astype(np.float64))
    for suffix in (".pt", ".safetensors"):
        path = folder / f"net{suffix}"
        export_model(path, net)
        yield f"PyTorch, {suffix}", path.stat().st_size, in_pytorch(path, net, images)
    encoder, head = folder / "encoder.onnx", folder / "head.onnx"
    export_model(encoder, net)
    export_model(head, net, score=True)
    size = encoder.stat().st_size + head.stat().st_size
    yield "ONNX Runtime, .onnx and its --score", size, in_onnx_runtime(encoder, head, images)


def main() -> None:
    net = load_model("omniglot", device="cpu")
    alphabets = generate_alphabets(5, characters=20, drawers=20, image_size=80, seed=3)
    drawings = np.concatenate([alphabet.images.reshape(-1, 80, 80) for alphabet in alphabets])
    images = net.prepare(drawings)
    h, logit = ours(net, images)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for place, size, (theirs, logits) in answers(net, images, Path(folder)):
            rows.append([place, size, f"{np.abs(theirs - h).max():.1e}", f"{np.abs(logits - logit).max():.1e}"])
    note = f"logits from {logit.min():.1f} to {logit.max():.1f}; PyTorch {torch.__version__.partition('+')[0]}, "
    note += f"ONNX Runtime {onnxruntime.__version__}"
    say(*Table(["computed by", "bytes", "largest difference, embeddings", "logits"], rows, [note]).lines())


if __name__ == "__main__":
    main()
