"""Where arrays live: NumPy on the CPU, CuPy on a GPU. Only `cuda.py` imports cupy.

Code on activations begins with `xp = array_module(x, weight)`, or with `expect`, and then uses `xp` for everything:
the arrays say where they live, and nothing moves between memories unless `to_device` or `to_host` is called by name.
"""

from typing import TYPE_CHECKING  # isort: skip_file

__all__ = [
    "CPU", "Array", "Device", "Gemm", "Launch", "Params", "add_product", "array_module", "blas_kernels", "blocks",
    "device_of", "expect", "for_each", "get_device", "get_precision", "keep_freed_memory", "map_blocks", "matmul",
    "memory_errors", "one_blas_thread", "product", "register_device", "register_loader", "resident_memory",
    "set_precision", "sum_blocks", "thread_count", "to_device", "to_host", "traced_peak",
]  # fmt: skip

HOMES = {
    "device": ("CPU", "Array", "Device", "Gemm", "Launch", "Params", "array_module", "device_of", "get_device",
               "register_device", "register_loader", "to_device", "to_host"),
    "blas": ("blas_kernels", "one_blas_thread"),
    "memory": ("keep_freed_memory", "memory_errors", "resident_memory", "traced_peak"),
    "products": ("add_product", "get_precision", "matmul", "product", "set_precision"),
    "threads": ("blocks", "for_each", "map_blocks", "sum_blocks", "thread_count"),
}  # fmt: skip

if TYPE_CHECKING:
    from scratchnet.backend import expect
    from scratchnet.backend.blas import blas_kernels, one_blas_thread
    from scratchnet.backend.device import (
        CPU, Array, Device, Gemm, Launch, Params, array_module, device_of, get_device, register_device,
        register_loader, to_device, to_host,
    )  # fmt: skip
    from scratchnet.backend.memory import keep_freed_memory, memory_errors, resident_memory, traced_peak
    from scratchnet.backend.products import add_product, get_precision, matmul, product, set_precision
    from scratchnet.backend.threads import blocks, for_each, map_blocks, sum_blocks, thread_count
else:
    from scratchnet.common.lazy import lazily

    __getattr__, __dir__ = lazily(__name__, __all__, {name: home for home, names in HOMES.items() for name in names})
