"""Writes the npz files of the runtime's tests into the folder argv[1]."""

import os
import sys
import warnings
import zipfile

import numpy as np

os.makedirs(sys.argv[1], exist_ok=True)
os.chdir(sys.argv[1])

ids = np.arange(12).reshape(3, 4)
mask = ids % 2 == 0
y = np.where(mask, ids * 0.5 + 0.25, 0).astype(np.float32)
total = y.sum(dtype=np.float32)

# Good files, in every form that NumPy writes.
np.savez("in.npz", ids=ids, mask=mask)
np.savez("expect.npz", y=y, total=total)
np.savez_compressed(
    "both.npz", in1=mask, in0=np.asfortranarray(ids), out1=total, out0=np.asfortranarray(y)
)
np.savez("empty-batch.npz", ids=ids[:0], mask=mask[:0])
np.savez("y-only.npz", y=y)

# Expectations that fail.
off = y.copy()
off[0, 0] += 0.5
np.savez("off.npz", y=off, total=total)
off[0, 0] = np.nan
np.savez("nan.npz", y=off, total=np.float32(np.inf))
np.savez("shape.npz", y=y[:2], total=total)
np.savez("dtype.npz", y=y.astype(np.float16), total=total)
np.savez("other.npz", z=y)
np.savez("no-outputs.npz", ids=ids)

# Inputs that do not fit.
np.savez("missing.npz", ids=ids)
np.savez("extra.npz", ids=ids, mask=mask, extra=ids)
np.savez("wrong-dtype.npz", ids=ids.astype(np.float32), mask=mask)
np.savez("wrong-rank.npz", ids=ids.ravel(), mask=mask)
np.savez("wrong-symbol.npz", ids=ids, mask=mask[:, :3])
np.savez("wrong-size.npz", x=np.zeros((2, 3), np.float32))
np.savez("square.npz", x=np.float32([[5, 6], [7, 8]]))


def member(name, header, data=b""):
    """An archive whose array `ids` has this header."""
    with zipfile.ZipFile(name, "w") as archive:
        archive.writestr("ids.npy", header + data)


def npy(dictionary, version=1):
    text = dictionary.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2, "little") + text


def described(descr="'<i8'", shape="(3, 4)", order="False"):
    return npy("{'descr': %s, 'fortran_order': %s, 'shape': %s, }" % (descr, order, shape))


# Damaged and unsupported files.
good = open("in.npz", "rb").read()
open("truncated.npz", "wb").write(good[: len(good) // 2])
open("empty.npz", "wb").close()
open("text.npz", "w").write("ids mask\n")
np.save("array.npy", ids)
flipped = bytearray(good)
flipped[good.index(b"ids.npy") + 7 + 128 + 20] ^= 1
open("flipped.npz", "wb").write(flipped)
member("member-short.npz", b"\x93NUM")
member("member-magic.npz", b"not an npy file, but long enough")
member("member-version.npz", npy("{}", version=9))
member("header-cut.npz", described()[:30])
member("data-cut.npz", described(), bytes(80))
member("data-long.npz", described(), bytes(104))
member("not-dict.npz", npy("[1, 2]" + " " * 20))
member("key-twice.npz", npy("{'shape': (1,), 'shape': (1,)}"))
member("key-missing.npz", npy("{'descr': '<i8', 'shape': (3, 4)}"))
member("negative.npz", described(shape="(-3, 4)"))
member("huge.npz", described(shape="(9223372036854775807, 4)"))
member("claims.npz", described(shape="(1000000000000,)"))
member("rank.npz", described(shape="(1, 1, 1, 1, 1, 1, 1, 1, 1)"))
member("complex.npz", described("'<c8'"))
member("big-endian.npz", described("'>i8'"))
member("structured.npz", described("[('a', '<i8')]"))
np.savez("object.npz", ids=np.array([1, "two"], dtype=object))
warnings.simplefilter("ignore")  # zipfile knows that this is odd
with zipfile.ZipFile("twice.npz", "w") as archive:
    for _ in range(2):
        archive.writestr("ids.npy", described(shape="()") + bytes(8))
