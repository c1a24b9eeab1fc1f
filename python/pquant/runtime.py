# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs compiled models on NumPy arrays, by ctypes over the C API that a compiled library exports.

    model = pquant.load("m.so")
    logits = model(input_ids=ids)["logits"]

The structures below are those of include/pquant/Runtime/{Runtime,ModelDescriptor}.h.
"""

import ctypes
import os
import threading
from ctypes import POINTER, Structure, c_char_p, c_double, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np

MAX_RANK = 8

# By PQuantDType; NumPy has no bfloat16, it comes as two raw bytes.
_DTYPES = [
    np.dtype(name)
    for name in (
        "float32 float64 float16 V2 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool"
    ).split()
]


class Error(Exception):
    """A call of the runtime failed."""


class InvalidArgument(Error, ValueError):
    """An input, name or number that does not fit the model."""


class NotFound(Error, LookupError):
    """No such file, symbol, entry point or level."""


class Unsupported(Error):
    """The library has another ABI version, or is for another CPU."""


class RunFailed(Error, RuntimeError):
    """A run-time check of the model failed."""


class OutOfMemory(Error, MemoryError):
    """Memory that a run needs cannot be had."""


_ERRORS = {1: InvalidArgument, 2: NotFound, 3: Unsupported, 4: RunFailed, 5: OutOfMemory}


class TensorSpec(NamedTuple):
    """An input or output: its name, NumPy type, and sizes, a number or the name of a size that only a run knows."""

    name: str
    dtype: np.dtype
    sizes: Tuple[Union[int, str], ...]


class Entry(NamedTuple):
    """An entry point. One with states continues a sequence, see Session."""

    name: str
    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]
    states: Tuple[TensorSpec, ...]


class _Tensor(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("data", c_void_p),
        ("dtype", c_int32),
        ("rank", c_int32),
        ("sizes", c_int64 * MAX_RANK),
    ]


class _Spec(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("dtype", c_int32),
        ("rank", c_int32),
        ("sizes", POINTER(c_int64)),
        ("sizeNames", POINTER(c_char_p)),
    ]


class _Entry(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("numInputs", c_int32),
        ("numOutputs", c_int32),
        ("inputs", POINTER(_Spec)),
        ("outputs", POINTER(_Spec)),
        ("functions", c_void_p),
        ("states", POINTER(_Spec)),
        ("numStates", c_int32),
        ("reserved", c_int32),
    ]


class _Level(Structure):
    _fields_ = [("name", c_char_p), ("features", c_char_p)]


class _Linear(Structure):
    _fields_ = [("name", c_char_p), ("rows", c_int64), ("columns", c_int64), ("bitsPerWeight", c_double)]


class _Descriptor(Structure):
    _fields_ = [
        ("abiVersion", c_uint32),
        ("numLevels", c_uint32),
        ("modelName", c_char_p),
        ("producer", c_char_p),
        ("triple", c_char_p),
        ("levels", c_void_p),
        ("entries", c_void_p),
        ("numEntries", c_uint32),
        ("numKernels", c_uint32),
        ("kernels", c_void_p),
        ("weights", c_void_p),
        ("weightBytes", c_uint64),
        ("linears", c_void_p),
        ("numLinears", c_uint32),
        ("addsBegin", c_uint32),
        ("weightFile", c_char_p),
        ("weightHash", c_uint64),
        ("tokenizer", c_void_p),
        ("tokenizerBytes", c_uint64),
        ("chatTemplate", c_char_p),
    ]


_REPORT = ctypes.CFUNCTYPE(None, c_void_p, c_char_p)

# Functions of Runtime.h: result type, argument types. `c_int32` results of the first group are a PQuantStatus.
_CHECKED = {
    "pquant_open": (c_void_p, POINTER(c_void_p)),
    "pquant_find_entry": (c_void_p, c_char_p, POINTER(c_int32)),
    "pquant_set_level": (c_void_p, c_char_p),
    "pquant_set_threads": (c_void_p, c_int32),
    "pquant_run": (c_void_p, c_int32, POINTER(_Tensor), c_int32, POINTER(c_void_p)),
    "pquant_create_batch": (c_void_p, c_int64, c_int64, POINTER(c_void_p)),
    "pquant_session_run": (c_void_p, POINTER(c_int64), c_int64, POINTER(POINTER(_Tensor))),
    "pquant_session_rewind": (c_void_p, c_int64),
    "pquant_self_test": (c_void_p, _REPORT, c_void_p),
}
_PLAIN = {
    "pquant_last_error": (c_char_p,),
    "pquant_close": (None, c_void_p),
    "pquant_get_descriptor": (POINTER(_Descriptor), c_void_p),
    "pquant_num_entries": (c_int32, c_void_p),
    "pquant_get_entry": (POINTER(_Entry), c_void_p, c_int32),
    "pquant_num_linears": (c_int32, c_void_p),
    "pquant_get_linear": (POINTER(_Linear), c_void_p, c_int32),
    "pquant_num_levels": (c_int32, c_void_p),
    "pquant_get_level": (POINTER(_Level), c_void_p, c_int32),
    "pquant_level_supported": (c_int32, c_void_p, c_int32),
    "pquant_current_level": (c_int32, c_void_p),
    "pquant_get_threads": (c_int32, c_void_p),
    "pquant_num_results": (c_int32, c_void_p),
    "pquant_get_result": (POINTER(_Tensor), c_void_p, c_int32),
    "pquant_free_results": (None, c_void_p),
    "pquant_free_session": (None, c_void_p),
    "pquant_session_position": (c_int64, c_void_p),
    "pquant_session_capacity": (c_int64, c_void_p),
}


def _bind(library: ctypes.CDLL) -> None:
    for name, arguments in _CHECKED.items():
        function = getattr(library, name)
        function.restype, function.argtypes = c_int32, arguments
    for name, (result, *arguments) in _PLAIN.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


def _read_spec(spec: _Spec) -> TensorSpec:
    sizes = []
    for i in range(spec.rank):
        size = spec.sizes[i]
        sizes.append(size if size >= 0 else spec.sizeNames[i].decode() or "?")
    return TensorSpec(spec.name.decode(), _DTYPES[spec.dtype], tuple(sizes))


def _read_entry(entry: _Entry) -> Entry:
    inputs = tuple(_read_spec(entry.inputs[i]) for i in range(entry.numInputs))
    outputs = tuple(_read_spec(entry.outputs[i]) for i in range(entry.numOutputs))
    states = tuple(_read_spec(entry.states[i]) for i in range(entry.numStates))
    return Entry(entry.name.decode(), inputs, outputs, states)


class _Results:
    """The outputs of one run, freed when no array refers to them any more."""

    def __init__(self, library: ctypes.CDLL, handle: c_void_p):
        self.library, self.handle = library, handle

    def __del__(self):
        self.library.pquant_free_results(self.handle)


class _Memory:
    """The elements of one output, for NumPy."""

    def __init__(self, results: _Results, tensor: _Tensor, dtype: np.dtype):
        self.results = results
        shape = tuple(tensor.sizes[: tensor.rank])
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": dtype.str, "data": (tensor.data, False)}


def _make_tensor(value: Any, spec: Optional[TensorSpec], name: Optional[str]) -> Tuple[_Tensor, np.ndarray]:
    """The C view of an input and the array that owns its memory. Arrays keep their type, other values take the spec's."""
    array = value if isinstance(value, np.ndarray) else np.asarray(value, spec.dtype if spec else None)
    label = name or (spec.name if spec else "")
    array = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    if array.dtype not in _DTYPES:
        raise InvalidArgument(f"input '{label}' has elements of type {array.dtype}, which no model takes")
    if array.ndim > MAX_RANK:
        raise InvalidArgument(f"input '{label}' has rank {array.ndim}, expected at most {MAX_RANK}")
    sizes = (c_int64 * MAX_RANK)(*array.shape)
    code = name.encode() if name is not None else None
    return _Tensor(code, array.ctypes.data, _DTYPES.index(array.dtype), array.ndim, sizes), array


class Model:
    """A compiled model. One call at a time; calls from several threads wait for each other."""

    def __init__(self, path: Union[str, os.PathLike], symbol: str = "pquant_model_descriptor"):
        self._handle = c_void_p()
        self._lock = threading.Lock()
        self.path = os.path.abspath(os.fspath(path))
        if not os.path.exists(self.path):
            raise FileNotFoundError(f"no such file: {self.path}")
        try:
            self._library = ctypes.CDLL(self.path)
            describe = getattr(self._library, symbol)
            _bind(self._library)
        except (OSError, AttributeError) as error:
            raise NotFound(f"{self.path} is not a library that pquant-compile wrote: {error}") from None
        describe.restype, describe.argtypes = c_void_p, ()
        self._check(self._library.pquant_open(describe(), ctypes.byref(self._handle)))
        count = self._library.pquant_num_entries(self._handle)
        self.entries = tuple(
            _read_entry(self._library.pquant_get_entry(self._handle, i).contents) for i in range(count)
        )

    def _check(self, status: int) -> None:
        if status:
            raise _ERRORS.get(status, Error)(self._library.pquant_last_error().decode("utf-8", "replace"))

    def _open_handle(self) -> c_void_p:
        if not self._handle:
            raise InvalidArgument("the model is closed")
        return self._handle

    def _find_entry(self, name: Optional[str]) -> int:
        index = c_int32()
        encoded = name.encode() if name is not None else None
        self._check(self._library.pquant_find_entry(self._open_handle(), encoded, ctypes.byref(index)))
        return index.value

    # Look

    @property
    def inputs(self) -> Tuple[TensorSpec, ...]:
        """The inputs of the only entry point, or of `main`."""
        return self.entries[self._find_entry(None)].inputs

    @property
    def outputs(self) -> Tuple[TensorSpec, ...]:
        return self.entries[self._find_entry(None)].outputs

    @property
    def threads(self) -> int:
        """The number of threads of later runs; may be set."""
        return self._library.pquant_get_threads(self._open_handle())

    @threads.setter
    def threads(self, count: int) -> None:
        self._check(self._library.pquant_set_threads(self._open_handle(), count))

    @property
    def levels(self) -> Dict[str, bool]:
        """The instruction-set levels, weakest first, and whether this CPU has them."""
        handle, result = self._open_handle(), {}
        for i in range(self._library.pquant_num_levels(handle)):
            name = self._library.pquant_get_level(handle, i).contents.name.decode()
            result[name] = bool(self._library.pquant_level_supported(handle, i))
        return result

    @property
    def level(self) -> str:
        """The level that runs use; may be set."""
        return list(self.levels)[self._library.pquant_current_level(self._open_handle())]

    @level.setter
    def level(self, name: str) -> None:
        self._check(self._library.pquant_set_level(self._open_handle(), name.encode()))

    def info(self) -> Dict[str, Any]:
        """Name, producer, triple, bytes of weights, and the linears as (name, rows, columns, bits per weight)."""
        handle = self._open_handle()
        descriptor = self._library.pquant_get_descriptor(handle).contents
        linears = []
        for i in range(self._library.pquant_num_linears(handle)):
            linear = self._library.pquant_get_linear(handle, i).contents
            linears.append((linear.name.decode(), linear.rows, linear.columns, linear.bitsPerWeight))
        return {
            "name": descriptor.modelName.decode(),
            "producer": descriptor.producer.decode(),
            "triple": descriptor.triple.decode(),
            "weight_bytes": descriptor.weightBytes,
            "linears": linears,
        }

    # Run

    def run(self, inputs: Union[Dict[str, Any], List[Any], Tuple[Any, ...]], entry: Optional[str] = None):
        """The outputs by name, in the entry point's order. Inputs by name (a dict) or by position (a list)."""
        index = self._find_entry(entry)
        specs = self.entries[index].inputs
        if isinstance(inputs, dict):
            by_name = {spec.name: spec for spec in specs}
            made = [_make_tensor(value, by_name.get(name), name) for name, value in inputs.items()]
        else:
            padded = list(specs) + [None] * max(0, len(inputs) - len(specs))
            made = [_make_tensor(value, spec, None) for value, spec in zip(inputs, padded)]
        tensors = (_Tensor * len(made))(*(tensor for tensor, _ in made))
        handle = c_void_p()
        with self._lock:
            run = self._library.pquant_run
            self._check(run(self._open_handle(), index, tensors, len(made), ctypes.byref(handle)))
        return self._take_results(handle)

    def _take_results(self, handle: c_void_p) -> Dict[str, np.ndarray]:
        results, arrays = _Results(self._library, handle), {}
        for i in range(self._library.pquant_num_results(handle)):
            tensor = self._library.pquant_get_result(handle, i).contents
            dtype, shape = _DTYPES[tensor.dtype], tuple(tensor.sizes[: tensor.rank])
            if 0 in shape:
                arrays[tensor.name.decode()] = np.empty(shape, dtype)
            else:
                arrays[tensor.name.decode()] = np.asarray(_Memory(results, tensor, dtype))
        return arrays

    def __call__(self, *inputs: Any, **named: Any) -> Dict[str, np.ndarray]:
        """As `run`, of the only entry point or `main`: all inputs by position, or all by name."""
        if inputs and named:
            raise InvalidArgument("expected all inputs by position, or all by name")
        return self.run(named or list(inputs))

    def session(self, capacity: int, sequences: int = 1) -> "Session":
        """An empty sequence with room for `capacity` tokens. Unsupported when the model was compiled without a cache; several
        sequences of equal length when it was compiled without `--batch`."""
        return Session(self, capacity, sequences)

    def self_test(self) -> List[str]:
        """Compares every kernel with the generic one; the report, a line a kernel. Raises RunFailed when one differs."""
        lines: List[str] = []
        report = _REPORT(lambda _, line: lines.append(line.decode()))
        with self._lock:
            self._check(self._library.pquant_self_test(self._open_handle(), report, None))
        return lines

    # Close

    def close(self) -> None:
        """Frees the model's memory; arrays that it gave stay valid."""
        with self._lock:
            if self._handle:
                self._library.pquant_close(self._handle)
                self._handle = c_void_p()

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __del__(self):
        if getattr(self, "_handle", None):
            self.close()


class Session:
    """A sequence of tokens whose keys and values stay in place, by the entry points `prefill` and `decode`."""

    def __init__(self, model: Model, capacity: int, sequences: int = 1):
        self._handle, self.model, self._library, self.sequences = c_void_p(), model, model._library, sequences
        create = self._library.pquant_create_batch
        with model._lock:
            model._check(create(model._open_handle(), sequences, capacity, ctypes.byref(self._handle)))

    def run(self, tokens: Any) -> np.ndarray:
        """Appends tokens (one or more) and returns the logits after them, float32 [vocabulary]; of several sequences, tokens
        [sequences, one or more] and float32 [sequences, vocabulary]."""
        ids = np.ascontiguousarray(np.atleast_1d(tokens), np.int64)
        if self.sequences > 1 and (ids.ndim != 2 or len(ids) != self.sequences):
            raise ValueError(f"expected tokens of {self.sequences} sequences, but got the shape {ids.shape}")
        count = ids.size // self.sequences
        logits = POINTER(_Tensor)()
        with self.model._lock:
            self.model._open_handle()
            data = ids.ctypes.data_as(POINTER(c_int64))
            self.model._check(self._library.pquant_session_run(self._handle, data, count, ctypes.byref(logits)))
            tensor = logits.contents
            data = ctypes.cast(tensor.data, POINTER(ctypes.c_float))
            rows = np.ctypeslib.as_array(data, (self.sequences, tensor.sizes[1])).copy()
            return rows if self.sequences > 1 else rows[0]

    @property
    def position(self) -> int:
        """The number of tokens in the sequence."""
        return self._library.pquant_session_position(self._handle)

    @property
    def capacity(self) -> int:
        return self._library.pquant_session_capacity(self._handle)

    def rewind(self, position: int = 0) -> None:
        """Takes the tokens from `position` on back."""
        with self.model._lock:
            self.model._check(self._library.pquant_session_rewind(self._handle, position))

    def __del__(self):
        if getattr(self, "_handle", None):
            self._library.pquant_free_session(self._handle)
            self._handle = c_void_p()


def load(
    path: Union[str, os.PathLike],
    *,
    threads: Optional[int] = None,
    level: Optional[str] = None,
    symbol: str = "pquant_model_descriptor",
) -> Model:
    """Opens a shared library that pquant-compile wrote; `symbol` when it was compiled with a symbol prefix."""
    model = Model(path, symbol)
    if threads is not None:
        model.threads = threads
    if level is not None:
        model.level = level
    return model
