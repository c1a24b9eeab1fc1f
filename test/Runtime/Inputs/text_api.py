"""pquant/Runtime/Generate.h from Python, by the library in argv[1]."""

import ctypes as C
import sys

import numpy as np

library = C.CDLL(sys.argv[1])
library.pquant_last_error.restype = C.c_char_p
library.pquant_stream_text.restype = C.c_char_p
for name in ("tokenizer_size", "begin_token", "end_token"):
    getattr(library, f"pquant_{name}").restype = C.c_int64


def check(status):
    if status:
        raise ValueError(library.pquant_last_error().decode())


class Tokenizer:
    """A tokenizer of the bytes of a SentencePiece model."""

    def __init__(self, file: bytes):
        self.file, self.handle = file, C.c_void_p()
        check(library.pquant_create_tokenizer_from_memory(file, C.c_uint64(len(file)), C.byref(self.handle)))
        self.size = library.pquant_tokenizer_size(self.handle)

    def encode(self, text: bytes):
        count = C.c_int64()
        check(library.pquant_tokenize(self.handle, text, C.c_int64(len(text)), None, C.c_int64(0), C.byref(count)))
        ids = (C.c_int64 * count.value)()
        check(library.pquant_tokenize(self.handle, text, C.c_int64(len(text)), ids, count, C.byref(count)))
        return list(ids)

    def pieces(self, ids):
        """The text that each token completes, then what the end completes; bytes."""
        stream = C.c_void_p()
        check(library.pquant_create_text_stream(self.handle, C.byref(stream)))
        made = [library.pquant_stream_text(stream, C.c_int64(i)) for i in [*ids, -1]]
        library.pquant_free_text_stream(stream)
        return made

    def __del__(self):
        library.pquant_free_tokenizer(self.handle)


class _Sampling(C.Structure):
    _fields_ = [
        ("repeatPenalty", C.c_float),
        ("repeatWindow", C.c_int32),
        ("topK", C.c_int64),
        ("temperature", C.c_double),
        ("topP", C.c_double),
        ("seed", C.c_uint64),
    ]


class _Tensor(C.Structure):
    _fields_ = [
        ("name", C.c_char_p),
        ("data", C.c_void_p),
        ("dtype", C.c_int32),
        ("rank", C.c_int32),
        ("sizes", C.c_int64 * 8),
    ]


def _tensor(logits):
    tensor = _Tensor(None, logits.ctypes.data, 0 if logits.dtype == np.float32 else 1, 2)
    tensor.sizes[0], tensor.sizes[1] = 1, len(logits)
    return tensor


class Sampler:
    """A sampler of a pquant.sampling.Sampling."""

    def __init__(self, s, vocabulary: int):
        self.handle, self.vocabulary = C.c_void_p(), vocabulary
        sampling = _Sampling(s.repeat_penalty, s.repeat_window, s.top_k, s.temperature, s.top_p, s.seed)
        check(library.pquant_create_sampler(C.byref(sampling), C.c_int64(vocabulary), C.byref(self.handle)))

    def accept(self, tokens):
        array = np.array(tokens, np.int64)
        check(library.pquant_sampler_accept(self.handle, C.c_void_p(array.ctypes.data), C.c_int64(len(array))))

    def weights(self, logits):
        weights = C.c_void_p()
        check(library.pquant_sampler_weights(self.handle, C.byref(_tensor(logits)), C.byref(weights)))
        return np.ctypeslib.as_array(C.cast(weights, C.POINTER(C.c_uint64)), (self.vocabulary,)).copy()

    def sample(self, logits):
        token = C.c_int64()
        check(library.pquant_sample(self.handle, C.byref(_tensor(logits)), C.byref(token)))
        return token.value

    def reset(self):
        library.pquant_sampler_reset(self.handle)

    def __del__(self):
        library.pquant_free_sampler(self.handle)
