"""A module in place of CuPy."""

import sys
from types import ModuleType, SimpleNamespace

import fake_cublas

REAL = SimpleNamespace(CUDA_R_32F=0, CUDA_R_64F=1)
WORKING_CUDA = SimpleNamespace(
    is_available=lambda: True, runtime=REAL, cublas=fake_cublas, device=SimpleNamespace(get_cublas_handle=lambda: 0)
)


def fake_cupy(monkeypatch, **attributes):
    """Makes `import cupy` give a module with these attributes."""
    module = ModuleType("cupy")
    module.__spec__ = SimpleNamespace(name="cupy")
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, "cupy", module)


class Pool:
    """CuPy's memory pool: free parts of a block go back to the GPU only when the whole block is free."""

    GPU = 10_000  # bytes

    def __init__(self):
        self.used, self.free, self.stuck, self.limit, self.hooks = 300, 500, 200, 0, []

    def used_bytes(self):
        return self.used

    def free_bytes(self):
        return self.free + self.stuck

    def total_bytes(self):
        return self.used + self.free + self.stuck

    def get_limit(self):
        return self.limit

    def free_all_blocks(self):
        self.free = 0

    def malloc(self, size, stuck=False):
        """Hands out memory: a gap between others, a free block, or a new one from the GPU."""
        if stuck:
            self.stuck -= size
        elif size <= self.free:
            self.free -= size
        self.used += size
        for hook in self.hooks:
            hook.malloc_postprocess(device_id=0, size=size - 1, mem_size=size, mem_ptr=1, pmem_id=1)

    def give_back(self, size):
        self.used, self.free = self.used - size, self.free + size
        for hook in self.hooks:
            hook.free_postprocess(device_id=0, mem_size=size, mem_ptr=1, pmem_id=1)
