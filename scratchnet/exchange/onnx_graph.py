"""A network as ONNX graphs, by the library of that name (extra `exchange`): the encoder, and the pair's head.

Opset 17, which ONNX Runtime has run since 1.12. Feature maps are (N, C, H, W) in there, as in PyTorch.
"""

import importlib
import json
from typing import Any

import numpy as np

from scratchnet.common.version import VERSION
from scratchnet.errors import ScratchnetError, install_extra
from scratchnet.exchange.state_dict import to_state_dict
from scratchnet.layers import BatchNorm2d, Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Sequential, Sigmoid
from scratchnet.models.siamese import SiameseNet

OPSET = 17
IR_VERSION = 8  # of the file format
PARAMETERS = ("weight", "bias", "running_mean", "running_var")  # of a layer, in the order in which a node takes them


def encoder_model(net: SiameseNet) -> bytes:
    """The encoder: `images` (N, S, S), framed as `net.prepare` gives them, to `embedding` (N, D); float32, any N.

    Raises ScratchnetError for a layer that it does not know, and without the library.
    """
    onnx = _library()
    params = to_state_dict(net, net.params)
    encoder = net.encoder
    if not isinstance(encoder, Sequential):
        raise ScratchnetError(f"{type(encoder).__name__} cannot be exported: only a Sequential of layers can")
    nodes, constants = [], {"channel_axis": np.array([1])}
    nodes.append(onnx.helper.make_node("Unsqueeze", ["images", "channel_axis"], ["maps"]))
    before, *_, last = "maps", *encoder.layers
    for name, layer in encoder.layers.items():
        own = {f"encoder.{name}.{kind}": params.get(f"encoder.{name}.{kind}") for kind in PARAMETERS}
        held = {key: value for key, value in own.items() if value is not None}
        after = "embedding" if name == last else name
        kind, attributes = _operator(layer)
        nodes.append(onnx.helper.make_node(kind, [before, *held], [after], name, **attributes))
        constants |= held
        before = after
    S, D = net.image_size, net.head.features
    return _model(net, "encoder", nodes, {"images": ["N", S, S]}, {"embedding": ["N", D]}, constants)


def head_model(net: SiameseNet) -> bytes:
    """The pair's head: embeddings `first` and `second` (N, D) to `logit` (N,); float32, any N.

    Raises ScratchnetError without the library.
    """
    make_node = _library().helper.make_node
    params = to_state_dict(net, net.params)
    nodes = [
        make_node("Sub", ["first", "second"], ["difference"]),
        make_node("Abs", ["difference"], ["distance"]),
        make_node("Gemm", ["distance", "head.weight", "head.bias"], ["column"], transB=1),
        make_node("Squeeze", ["column", "column_axis"], ["logit"]),
    ]
    constants = {name: params[name] for name in ("head.weight", "head.bias")} | {"column_axis": np.array([1])}
    pair = {"first": ["N", net.head.features], "second": ["N", net.head.features]}
    return _model(net, "head", nodes, pair, {"logit": ["N"]}, constants)


def _operator(layer: Layer) -> tuple[str, dict[str, Any]]:
    """The operator of ONNX for a layer, and its attributes."""
    match layer:
        case Conv2d():
            return "Conv", {
                "kernel_shape": layer.weight_shape[:2],
                "strides": layer.strides,
                "pads": 2 * layer.paddings,
            }
        case MaxPool2d():
            window, stride = layer.sizes
            return "MaxPool", {"kernel_shape": [window, window], "strides": [stride, stride]}
        case BatchNorm2d():
            return "BatchNormalization", {"epsilon": layer.eps}
        case Linear():
            return "Gemm", {"transB": 1}
        case ReLU():
            return "Relu", {}
        case Sigmoid() | Flatten():
            return type(layer).__name__, {}
    raise ScratchnetError(f"{type(layer).__name__} cannot be exported: ONNX has no operator that we know for it")


def _model(
    net: SiameseNet,
    name: str,
    nodes: list[Any],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    constants: dict[str, np.ndarray],
) -> bytes:
    """A checked file of one graph; what a program has to know of the network is in its metadata."""
    onnx = _library()
    arguments, results = (
        [onnx.helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, shape) for key, shape in sides.items()]
        for sides in (inputs, outputs)
    )
    held = [onnx.numpy_helper.from_array(value, key) for key, value in constants.items()]
    graph = onnx.helper.make_graph(nodes, name, arguments, results, held)
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(
        graph, producer_name="scratchnet", producer_version=VERSION, opset_imports=opsets, ir_version=IR_VERSION
    )
    notes = {"architecture": json.dumps(dict(net.architecture)), "frame": net.frame, "image_size": str(net.image_size)}
    onnx.helper.set_model_props(model, notes)
    onnx.checker.check_model(model, full_check=True)
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def _library() -> Any:
    try:
        return importlib.import_module("onnx")
    except ImportError as cause:
        raise ScratchnetError(f".onnx needs the library onnx; {install_extra('exchange')}") from cause
