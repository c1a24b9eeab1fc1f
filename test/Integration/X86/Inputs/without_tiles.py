"""Runs a command in a process whose requests for AMX tiles Linux refuses, as old kernels and some containers do.

Usage: without_tiles.py COMMAND...

A seccomp filter answers arch_prctl(ARCH_REQ_XCOMP_PERM) with EPERM; all else is as usual.
"""

import ctypes
import os
import struct
import sys

NR_ARCH_PRCTL, ARCH_REQ_XCOMP_PERM = 158, 0x1023
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, EPERM = 0x7FFF0000, 0x00050001
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2

# Offsets in seccomp_data: the number of the call, the low half of its first argument.
program = b"".join(struct.pack("HBBI", *step) for step in [
    (LOAD, 0, 0, 0),
    (JUMP_IF_EQUAL, 0, 3, NR_ARCH_PRCTL),
    (LOAD, 0, 0, 16),
    (JUMP_IF_EQUAL, 0, 1, ARCH_REQ_XCOMP_PERM),
    (RETURN, 0, 0, EPERM),
    (RETURN, 0, 0, ALLOW),
])
steps = ctypes.create_string_buffer(program, len(program))
descriptor = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(steps))
prctl = ctypes.CDLL(None, use_errno=True).prctl
prctl.argtypes = [ctypes.c_int] + 4 * [ctypes.c_ulong]
pointer = ctypes.create_string_buffer(descriptor, len(descriptor))
if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(PR_SET_SECCOMP, FILTER, ctypes.addressof(pointer), 0, 0):
    sys.exit(f"could not install the filter: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
