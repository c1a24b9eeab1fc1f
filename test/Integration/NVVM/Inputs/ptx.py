"""Runs PTX without a GPU: as much of it as the kernels of matrix products and attention need.

A warp is 32 lanes in NumPy arrays, every register 64 bits. Of diverged lanes those furthest behind go first. Warps run
one at a time, in random order, from barrier to barrier. What is asynchronous is done as late as it may be: copies when
their group is waited for, wgmma with the registers and the memory of that time. So a wait that is missing is seen; a
barrier that is missing is seen when the order of the warps is an unlucky one.
"""

import operator
import random
import re

import numpy as np

LANES = 32
LANE = np.arange(LANES)
ROW, QUAD = LANE // 4, LANE % 4
TYPES = {"u": "uint", "b": "uint", "s": "int", "f": "float"}
COMPARE = {"eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}


def dtype(name):
    return np.dtype(TYPES[name[0]] + name[1:])


class Program:
    """One kernel of a PTX file."""

    def __init__(self, text, name):
        self.symbols, self.shared_bytes = {}, 0
        for align, symbol, size in re.findall(r"\.shared \.align (\d+) \.b8 (\w+)\[(\d+)\];", text):
            if not re.match(rf"__wg_{name}_\d+$", symbol):
                continue
            self.symbols[symbol] = -(-self.shared_bytes // int(align)) * int(align)
            self.shared_bytes = self.symbols[symbol] + int(size)
        start = text.index(f".entry {name}(")
        self.parameters = re.findall(rf"\b{name}_param_\d+", text[start : text.index("{", start)])
        end = text.find(".entry ", start + 1)
        body = re.sub(r"//.*", "", text[text.index("{", start) + 1 : end if end > 0 else len(text)])
        self.code, self.labels = [], {}
        # Braces of operands stand within a line of their own statement, those of blocks alone.
        for statement in re.split(r";|(?<=:)\s*\n|^\s*[{}]\s*$", body, flags=re.MULTILINE):
            statement = statement.strip()
            if re.fullmatch(r"\$\w+:", statement):
                self.labels[statement[:-1]] = len(self.code)
            elif statement and not statement.startswith("."):
                self.code.append(self.parse(statement))
        self.code.append((None, "ret", []))
        self.joins = self.find_joins()

    def find_joins(self):
        """Where the lanes that a branch parts meet again: behind it on every way."""
        end = len(self.code)
        following = [{i + 1} for i in range(end)]
        for i, (guard, opcode, operands) in enumerate(self.code):
            if opcode.startswith("bra") or opcode == "ret":
                following[i] = ({i + 1} if guard else set()) | {end if opcode == "ret" else self.labels[operands[0]]}
        everything = (1 << (end + 1)) - 1
        behind, changed = [everything] * end + [1 << end], True
        while changed:
            changed = False
            for i in reversed(range(end)):
                common = everything
                for j in following[i]:
                    common &= behind[j]
                changed |= behind[i] != common | 1 << i
                behind[i] = common | 1 << i
        place = {after: i for i, after in enumerate(behind)}
        return {i: place[behind[i] & ~(1 << i)] for i in range(end) if len(following[i]) > 1}

    @staticmethod
    def parse(statement):
        guard, opcode, operands = re.fullmatch(r"(?:@(!?%\w+)\s+)?([\w.:]+)\s*(.*)", statement, re.DOTALL).groups()
        found = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+", operands)
        return guard, opcode, [[x.strip() for x in f[1:-1].split(",")] if f[0] == "{" else f for f in found]


class Warp:
    def __init__(self, program, memory, shared, words, special, first):
        self.program, self.memory, self.shared, self.words = program, memory, shared, words
        self.special = dict(special, **{"%tid.x": first + LANE})
        # What lanes do next, the innermost part last: where they are, which, and where they meet the others.
        self.parts = [[0, np.ones(LANES, bool), None]]
        self.registers, self.copies, self.groups, self.products = {}, [], [], []

    def get(self, operand, kind="u64"):
        if operand in self.special:
            value = np.broadcast_to(np.asarray(self.special[operand], np.uint64), LANES)
        elif operand in self.program.symbols:
            value = np.full(LANES, self.program.symbols[operand], np.uint64)
        elif re.match(r"[-\d]", operand):
            number = int(operand[2:], 16) if operand[:2] in ("0f", "0d") else int(operand, 0)
            value = np.full(LANES, number & (2**64 - 1), np.uint64)
        else:
            value = self.registers.setdefault(operand, np.zeros(LANES, np.uint64))
        if kind == "pred":
            return value != 0
        to = dtype(kind)
        return value.astype(f"uint{8 * to.itemsize}").view(to)

    def put(self, register, value, lanes):
        if value.dtype != bool:
            value = value.view(f"uint{8 * value.dtype.itemsize}")
        self.get(register)
        self.registers[register][lanes] = value.astype(np.uint64)[lanes]

    def run(self):
        """Up to a barrier (True) or the end (False)."""
        while self.parts:
            part = self.parts[-1]
            place, here, join = part
            if place == join or not here.any():
                self.parts.pop()
                continue
            guard, opcode, operands = self.program.code[place]
            part[0] += 1
            lanes = here.copy()
            if guard:
                lanes &= self.get(guard.lstrip("!"), "pred") ^ (guard[0] == "!")
            parts = opcode.split(".")
            if parts[0] == "bra":
                target = self.program.labels[operands[0]]
                if (lanes == here).all():
                    part[0] = target
                elif lanes.any():
                    part[0] = self.program.joins[place]
                    self.parts += [[place + 1, here & ~lanes, part[0]], [target, lanes, part[0]]]
            elif parts[0] == "ret":
                for other in self.parts:
                    other[1] = other[1] & ~lanes
            elif parts[0] == "bar":
                assert lanes.all(), "a barrier of diverged lanes"
                return True
            else:
                getattr(self, "do_" + parts[0].rstrip("_"))(parts, operands, lanes)
        return False

    # Memory

    def address(self, operand):
        base, offset = re.fullmatch(r"\[([%\w]+)(?:\+(-?\d+))?\]", operand).groups()
        return self.get(base).astype(np.int64) + int(offset or 0)

    def do_ld(self, parts, operands, lanes):
        if parts[1] == "param":
            word = self.words[self.program.parameters.index(re.search(r"\w+", operands[1]).group())]
            return self.put(operands[0], np.full(LANES, word, np.uint64), lanes)
        return self.access(parts, operands[0], operands[1], lanes, True)

    def do_st(self, parts, operands, lanes):
        self.access(parts, operands[1], operands[0], lanes, False)

    def access(self, parts, registers, place, lanes, is_load):
        registers = [registers] if isinstance(registers, str) else registers
        kind = dtype(parts[-1])
        address = np.where(lanes, self.address(place), 0)
        memory = self.shared if parts[1] == "shared" else self.memory
        assert (address % (kind.itemsize * len(registers)) == 0).all(), (parts, "misaligned")
        assert (address >= 0).all() and (address + kind.itemsize * len(registers) <= len(memory)).all(), parts
        cells = memory.view(kind)
        for i, register in enumerate(registers):
            index = address // kind.itemsize + i
            if is_load:
                value = cells[index]
                self.put(register, value.astype(np.int64) if parts[-1][0] == "s" else value, lanes)
            else:
                cells[index[lanes]] = self.get(register, parts[-1])[lanes]

    def do_cp(self, parts, operands, lanes):
        if parts[2] == "commit_group":
            self.groups.append(self.copies)
            self.copies = []
        elif parts[2] == "wait_group":
            while len(self.groups) > int(operands[0]):
                for to, source, size in self.groups.pop(0):
                    self.shared[to : to + size] = self.memory[source : source + size]
        else:
            size = int(operands[2])
            for to, source in zip(self.address(operands[0])[lanes], self.address(operands[1])[lanes]):
                assert to % size == source % size == 0 and to + size <= len(self.shared) and source > 0
                self.copies.append((to, source, size))

    def do_fence(self, parts, operands, lanes):
        pass

    # Arithmetic

    def do_mov(self, parts, operands, lanes):
        self.put(operands[0], self.get(operands[1], parts[-1]), lanes)

    def do_cvta(self, parts, operands, lanes):
        self.put(operands[0], self.get(operands[1]), lanes)

    def do_cvt(self, parts, operands, lanes):
        self.put(operands[0], self.get(operands[1], parts[-1]).astype(dtype(parts[-2])), lanes)

    def do_setp(self, parts, operands, lanes):
        x, y = (self.get(operand, parts[-1].replace("b", "u")) for operand in operands[1:])
        if parts[1] == "nan":
            return self.put(operands[0], np.isnan(x) | np.isnan(y), lanes)
        ordered = parts[1].rstrip("u") if parts[-1][0] == "f" else parts[1]
        result = getattr(operator, COMPARE[ordered])(x, y)
        if parts[-1][0] == "f":
            nan = np.isnan(x) | np.isnan(y)
            result = result | nan if ordered != parts[1] else result & ~nan
        return self.put(operands[0], result, lanes)

    def do_selp(self, parts, operands, lanes):
        x, y = (self.get(operand, parts[-1]) for operand in operands[1:3])
        self.put(operands[0], np.where(self.get(operands[3], "pred"), x, y), lanes)

    def binary(self, function, parts, operands, lanes):
        self.put(operands[0], function(*(self.get(operand, parts[-1]) for operand in operands[1:])), lanes)

    def do_and(self, *arguments):
        self.binary(np.bitwise_and, *arguments)

    def do_or(self, *arguments):
        self.binary(np.bitwise_or, *arguments)

    def do_xor(self, *arguments):
        self.binary(np.bitwise_xor, *arguments)

    def do_not(self, *arguments):
        self.binary(np.invert, *arguments)

    def do_neg(self, *arguments):
        self.binary(np.negative, *arguments)

    def do_add(self, *arguments):
        self.binary(np.add, *arguments)

    def do_sub(self, *arguments):
        self.binary(np.subtract, *arguments)

    def do_div(self, *arguments):
        self.binary(lambda x, y: x // np.maximum(y, 1) if x.dtype.kind == "u" else x / y, *arguments)

    def do_rem(self, *arguments):
        self.binary(lambda x, y: x % np.maximum(y, 1), *arguments)

    def do_min(self, *arguments):
        self.binary(np.minimum, *arguments)

    def do_max(self, *arguments):
        self.binary(np.maximum, *arguments)

    def do_rcp(self, *arguments):
        self.binary(lambda x: (1 / x).astype(x.dtype), *arguments)

    def do_ex2(self, *arguments):
        self.binary(np.exp2, *arguments)

    def do_mul(self, parts, operands, lanes):
        self.do_mad(parts, operands + ["0"], lanes)

    def do_mad(self, parts, operands, lanes):
        x, y = (self.get(operand, parts[-1]) for operand in operands[1:3])
        kind = parts[-1]
        if "wide" in parts:
            kind = kind[0] + "64"
            x, y = x.astype(dtype(kind)), y.astype(dtype(kind))
        self.put(operands[0], x * y + self.get(operands[3], kind), lanes)

    def do_dp4a(self, parts, operands, lanes):
        assert parts[1:] == ["s32", "s32"], parts
        first, second = (self.get(operand, "u32").copy().view(np.int8).reshape(LANES, 4).astype(np.int32) for operand in operands[1:3])
        self.put(operands[0], self.get(operands[3], "s32") + (first * second).sum(1, dtype=np.int32), lanes)

    def do_fma(self, parts, operands, lanes):
        x, y, z = (self.get(operand, parts[-1]).astype(np.float64) for operand in operands[1:])
        self.put(operands[0], (x * y + z).astype(dtype(parts[-1])), lanes)

    def do_shl(self, parts, operands, lanes):
        value = self.get(operands[1], parts[-1])
        self.put(operands[0], value << self.get(operands[2], "u32").astype(value.dtype), lanes)

    def do_shr(self, parts, operands, lanes):
        value = self.get(operands[1], parts[-1])
        self.put(operands[0], value >> self.get(operands[2], "u32").astype(value.dtype), lanes)

    def do_bfe(self, parts, operands, lanes):
        value = self.get(operands[1], parts[-1])
        left = 8 * value.dtype.itemsize - int(operands[3])
        value = value << value.dtype.type(left - int(operands[2]))
        self.put(operands[0], value >> value.dtype.type(left), lanes)

    # Warps

    def do_shfl(self, parts, operands, lanes):
        assert lanes.all(), "a shuffle of diverged lanes"
        number = self.get(operands[2], "u32").astype(int)
        source = number if parts[2] == "idx" else LANE ^ number
        self.put(operands[0].split("|")[0], self.get(operands[1], "u32")[source], lanes)

    def words_of_rows(self, registers):
        """16 rows of 8 words, of a first operand."""
        rows = np.zeros((16, 8), np.uint32)
        for i, register in enumerate(registers):
            rows[ROW + i % 2 * 8, QUAD + i // 2 * 4] = self.get(register, "u32")
        return rows

    def bytes_of_rows(self, registers):
        """16 rows of 32 signed bytes, of a first operand."""
        return self.words_of_rows(registers).view(np.int8).astype(int)

    def add_product(self, results, sums, product, kind, lanes):
        """Adds 16 rows by any multiple of eight columns."""
        values = []
        for i, register in enumerate(sums):
            part = product[ROW + i % 4 // 2 * 8, i // 4 * 8 + 2 * QUAD + i % 2]
            values.append((self.get(register, kind) + part).astype(dtype(kind)))
        for register, value in zip(results, values):
            self.put(register, value, lanes)

    def do_mma(self, parts, operands, lanes):
        assert lanes.all(), "a product of diverged lanes"
        results, first, second, sums = operands
        if "tf32" not in parts:
            columns = np.zeros((8, 8), np.uint32)
            for i, register in enumerate(second):
                columns[ROW, QUAD + 4 * i] = self.get(register, "u32")
        if "m16n8k256" in parts and "and" in parts and "popc" in parts:
            bits = [np.unpackbits(words.view(np.uint8), axis=1).astype(int) for words in (self.words_of_rows(first), columns)]
            return self.add_product(results, sums, bits[0] @ bits[1].T, "s32", lanes)
        if "m16n8k32" in parts:
            product = self.bytes_of_rows(first) @ columns.view(np.int8).astype(int).T
            return self.add_product(results, sums, product, "s32", lanes)
        assert "m16n8k8" in parts and "tf32" in parts, parts
        x, y = np.zeros((16, 8), np.uint32), np.zeros((8, 8), np.uint32)
        for i, register in enumerate(first):
            x[ROW + i % 2 * 8, QUAD + i // 2 * 4] = self.get(register, "u32")
        for i, register in enumerate(second):
            y[QUAD + 4 * i, ROW] = self.get(register, "u32")
        x, y = ((words & 0xFFFFE000).astype(np.uint32).view(np.float32).astype(float) for words in (x, y))
        return self.add_product(results, sums, x @ y, "f32", lanes)

    def do_wgmma(self, parts, operands, lanes):
        """The warp's 16 of 64 rows, with 32 bytes of 128 rows of memory in the 128-byte swizzle."""
        if parts[1] == "wait_group":
            for product in self.products:
                product()
            self.products = []
        if parts[1] != "mma_async":
            return
        assert lanes.all() and "m64n128k32" in parts and self.get(operands[3], "pred").all(), parts
        descriptor = int(self.get(operands[2])[0])
        assert descriptor >> 49 == 1 << 13, "only the 128-byte swizzle"
        row, column = np.arange(128)[:, None], np.arange(32)
        place = (descriptor & 0x3FFF) * 16 + row // 8 * (descriptor >> 32 & 0x3FFF) * 16 + row % 8 * 128 + column
        place ^= (place >> 7 & 7) << 4

        def finish():
            product = self.bytes_of_rows(operands[1]) @ self.shared[place].view(np.int8).astype(int).T
            self.add_product(operands[0], operands[0], product, "s32", lanes)

        self.products.append(finish)


def launch(program, grid, threads, words, memory, seed):
    """Runs all blocks; `words` are the arguments."""
    order = random.Random(seed)
    for y in range(grid[1]):
        for x in range(grid[0]):
            shared = np.full(-(-program.shared_bytes // 16) * 16, 0xFF, np.uint8)
            special = {"%ctaid.x": x, "%ctaid.y": y, "%nctaid.x": grid[0], "%nctaid.y": grid[1]}
            waiting, running = [], [
                Warp(program, memory, shared, words, special, first) for first in range(0, threads, LANES)
            ]
            while running:
                order.shuffle(running)
                waiting = [warp for warp in running if warp.run()]
                assert len(waiting) in (0, len(running)), "a barrier that some warps do not reach"
                running = waiting
