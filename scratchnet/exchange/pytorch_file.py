"""PyTorch's files of a state dict, written and read without PyTorch, and without loading a pickle.

Such a file is a zip: the bytes of each tensor, and `data.pkl`, a pickle that names them. Loading a pickle runs what it
says. Here one is written from a fixed pattern, and read by a machine of its own that knows the few instructions of that
pattern, builds nothing but dictionaries and outlines of tensors, calls nothing, and refuses the rest.
"""

import math
import pickletools
import struct
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scratchnet.errors import CheckpointError
from scratchnet.files import zips
from scratchnet.files.atomic import atomic_write
from scratchnet.files.reading import open_file, reason

ROOT = "archive"
HEADER = 30  # bytes before the name of a file in a zip
ALIGNMENT = 64  # bytes, so that the tensors can be mapped into memory
MAX_FILES = 10_000
MAX_PICKLE = 1 << 22  # bytes
REMEDY = "in PyTorch, write it with torch.save(model.state_dict(), FILE)"
DTYPES = {
    "torch DoubleStorage": "<f8",
    "torch FloatStorage": "<f4",
    "torch HalfStorage": "<f2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
    "torch ShortStorage": "<i2",
    "torch CharStorage": "|i1",
    "torch ByteStorage": "|u1",
    "torch BoolStorage": "|b1",
}
DICTIONARY, TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
PLAIN = ("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1")  # constants, as `genops` reads them
CONSTANTS = {"NEWTRUE": True, "NEWFALSE": False, "NONE": None, "EMPTY_TUPLE": ()}


class Global(NamedTuple):
    """The name of a class or function in a pickle; it is never looked up."""

    name: str


class Storage(NamedTuple):
    """The numbers of one or several tensors: a file in the zip."""

    dtype: np.dtype
    key: str


class Outline(NamedTuple):
    """A tensor: where in a storage its numbers are, offset and strides in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def write_pt(path: Path | str, tensors: Mapping[str, np.ndarray]) -> None:
    """Write float32 tensors by name as `torch.save` writes a state dict, whole or not at all.

    `torch.load(path, weights_only=True)` reads it. Raises OSError if writing fails.
    """
    arrays = {name: np.asarray(value, "<f4", order="C") for name, value in tensors.items()}
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        files: dict[str, bytes] = {"data.pkl": _pickled(arrays), "byteorder": b"little"}
        files |= {f"data/{key}": array.tobytes() for key, array in enumerate(arrays.values())}
        for name, content in (files | {"version": b"3\n"}).items():
            member = zipfile.ZipInfo(f"{ROOT}/{name}")
            begin = file.tell() + HEADER + len(member.filename) + 4  # 4: of the padding itself
            padding = -begin % ALIGNMENT
            member.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
            archive.writestr(member, content)


def _pickled(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The pickle of an ordered dictionary of these tensors, each with a storage of its own, in protocol 2."""
    items = b"".join(_text(name) + _tensor(str(key), array) for key, (name, array) in enumerate(arrays.items()))
    return b"\x80\x02" + _global(DICTIONARY) + b")R(" + items + b"u."


def _tensor(key: str, array: np.ndarray) -> bytes:
    storage = _tuple(_text("storage"), _global("torch FloatStorage"), _text(key), _text("cpu"), _number(array.size))
    shape = _tuple(*map(_number, array.shape))
    strides = _tuple(*(_number(stride // array.itemsize) for stride in array.strides))
    hooks = _global(DICTIONARY) + b")R"  # of backward, always empty
    no_gradient = b"\x89"
    return _global(TENSOR) + _tuple(storage + b"Q", _number(0), shape, strides, no_gradient, hooks) + b"R"


def _global(name: str) -> bytes:
    return b"c" + name.replace(" ", "\n").encode() + b"\n"


def _text(text: str) -> bytes:
    content = text.encode()
    return b"X" + struct.pack("<L", len(content)) + content


def _number(number: int) -> bytes:
    return b"J" + struct.pack("<l", number) if number < 1 << 31 else b"\x8a\x08" + struct.pack("<q", number)


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def read_pt(path: Path | str) -> dict[str, np.ndarray]:
    """The tensors of a state dict that PyTorch (since 1.6) or `write_pt` wrote, by name.

    Raises CheckpointError if the file is missing, damaged, or holds anything but tensors of NumPy's dtypes by name.
    """
    try:
        with open_file(path) as file:
            members = {member.name: member for member in zips.read_directory(file, MAX_FILES)}
            [pickled] = [name for name in members if name.endswith("/data.pkl")] or [""]
            if not pickled or members[pickled].size > MAX_PICKLE:
                raise ValueError("it has no state dict, or one that is too large")
            root = pickled.removesuffix("data.pkl")
            if (order := members.get(f"{root}byteorder")) and zips.read_member(file, order) != b"little":
                raise ValueError("its numbers begin with the most significant byte")
            outlines = _tensors_in(_read_pickle(zips.read_member(file, members[pickled])))
            held: dict[Storage, np.ndarray] = {}
            for storage in {outline.storage for outline in outlines.values()}:
                member = members.get(f"{root}data/{storage.key}")
                if member is None or member.size % storage.dtype.itemsize:
                    raise ValueError(f"the numbers of its storage {storage.key} are missing or cut off")
                held[storage] = np.frombuffer(zips.read_member(file, member), storage.dtype)
            return {name: _view(name, outline, held[outline.storage]) for name, outline in outlines.items()}
    except (OSError, ValueError) as cause:
        raise CheckpointError(f"{path} is damaged, or no state dict ({reason(cause)}): {REMEDY}") from cause


def _tensors_in(value: Any) -> dict[str, Outline]:
    if not isinstance(value, dict):
        raise ValueError("it holds no dictionary")
    for name, tensor in value.items():
        if not isinstance(tensor, Outline):
            raise ValueError(f"{name[:60]!r} in it is no tensor")
    return value


def _view(name: str, outline: Outline, numbers: np.ndarray) -> np.ndarray:
    """A tensor as a view of its storage, which must hold all of it."""
    _, offset, shape, strides = outline
    reach = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if math.prod(shape) > numbers.size or (0 not in shape and reach >= numbers.size):
        raise ValueError(f"{name} reaches beyond its storage")
    steps = [stride * numbers.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps, writeable=False)


def _read_pickle(text: bytes) -> Any:
    """The value that a pickle describes: dictionaries, and outlines for tensors. Raises ValueError for any other."""
    try:
        return _Machine().run(text)
    except (IndexError, KeyError, TypeError, AttributeError) as cause:  # an instruction without what it works on
        raise ValueError("its pickle is damaged") from cause


class _Machine:
    """Runs the instructions that a state dict is made of."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks under each mark
        self.memo: dict[int, Any] = {}

    def run(self, text: bytes) -> Any:
        for operation, argument, _ in pickletools.genops(text):  # which reads them and runs none
            opcode = operation.name
            if opcode in PLAIN:
                self.stack.append(argument)
            elif opcode in CONSTANTS:
                self.stack.append(CONSTANTS[opcode])
            elif opcode == "STOP":
                return self.stack.pop()
            elif opcode in STEPS:
                STEPS[opcode](self, argument)
            elif opcode != "PROTO":
                raise ValueError(f"it holds more than tensors by name: {opcode} in its pickle")
        raise ValueError("its pickle is cut off")

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def tuple_since_mark(self, _: Any) -> None:
        items = self.since_mark()
        self.stack.append(tuple(items))

    def tuple_of(self, _: Any, *, count: int) -> None:
        items = [self.stack.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def dictionary(self, _: Any) -> None:
        self.stack.append({})

    def name(self, name: str) -> None:
        if name not in (DICTIONARY, TENSOR) and not name.endswith("Storage"):
            raise ValueError(f"it holds a {name.replace(' ', '.')}")
        self.stack.append(Global(name))

    def put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def get(self, place: int) -> None:
        self.stack.append(self.memo[place])

    def storage(self, _: Any) -> None:
        kind, storage, key, _device, _size = self.stack.pop()
        if kind != "storage" or not isinstance(storage, Global) or not isinstance(key, str):
            raise ValueError("one of its storages is none")
        if storage.name not in DTYPES:
            raise ValueError(f"it holds tensors of {storage.name}, which NumPy has not: save model.float()")
        self.stack.append(Storage(np.dtype(DTYPES[storage.name]), key))

    def reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        match function, arguments:
            case Global(name=name), () if name == DICTIONARY:
                self.stack.append({})
            case Global(name=name), (Storage() as storage, int(), tuple(), tuple(), bool(), dict()) if name == TENSOR:
                _, offset, shape, strides, _, _ = arguments
                numbers = (offset, *shape, *strides)
                if len(shape) != len(strides) or not all(isinstance(n, int) and n >= 0 for n in numbers):
                    raise ValueError("a tensor in it has no shape")
                self.stack.append(Outline(storage, offset, shape, strides))
            case _:
                raise ValueError("it would call something that no state dict calls")

    def set_items(self, _: Any) -> None:
        items = self.since_mark()
        if not all(isinstance(key, str) for key in items[::2]):
            raise ValueError("it holds values without a name")
        self.expect_dictionary().update(zip(items[::2], items[1::2], strict=True))

    def set_item(self, _: Any) -> None:
        self.below.append(self.stack[:-2])
        self.stack = self.stack[-2:]
        self.set_items(None)

    def expect_dictionary(self) -> dict[Any, Any]:
        if not isinstance(self.stack[-1], dict):
            raise ValueError("its pickle is damaged")
        return self.stack[-1]

    def build(self, _: Any) -> None:
        """Attributes of a dictionary: PyTorch's `_metadata`, versions of its modules."""
        self.stack.pop()
        self.expect_dictionary()


STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "EMPTY_DICT": _Machine.dictionary,
    "TUPLE": _Machine.tuple_since_mark,
    "TUPLE1": partial(_Machine.tuple_of, count=1),
    "TUPLE2": partial(_Machine.tuple_of, count=2),
    "TUPLE3": partial(_Machine.tuple_of, count=3),
    "GLOBAL": _Machine.name,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "BINPERSID": _Machine.storage,
    "REDUCE": _Machine.reduce,
    "SETITEMS": _Machine.set_items,
    "SETITEM": _Machine.set_item,
    "BUILD": _Machine.build,
}
