"""Sums of products and of squared differences for blocks that stay in vector registers.

Loops over a tile that LLVM vectorises by itself read and write each sum once for every few
multiply-adds; here a block of sums, ROWS x LANES, stays in registers through the whole depth, as
in BLAS. LLVM has to be told: the blocks are written as vector operations, which it turns into
those of the processor, whatever their width. Arrays are flat and contiguous, float64; the caller
says where its block begins and how far apart neighbours lie. Nothing here checks bounds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

# Eight sums to a row of a block: one 512-bit register or two of 256 bits. Rows are as many as
# hide the latency of a multiply-add and leave registers for its factors.
LANES = 8
ROWS = 8 if llvm.get_host_cpu_features().get("avx512f") else 4
WIDE = 16  # where a sum has a row of its own: four registers of 256 bits hide the latency
FUSED = ("contract", "nsz")  # a multiplication and an addition may be one operation


def add_products(
    a: np.ndarray, a_at: int, a_row: int, a_step: int,
    b: np.ndarray, b_at: int, depth: int,
    out: np.ndarray, out_at: int, out_row: int,
) -> None:  # fmt: skip
    """out[out_at + r out_row + l] += sum_p a[a_at + r a_row + p a_step] b[b_at + 8 p + l].

    For rows r < ROWS, lanes l < 8, and p < depth.
    """
    for r in range(ROWS):
        row = slice(out_at + r * out_row, out_at + r * out_row + LANES)
        for p in range(depth):
            at = b_at + LANES * p
            out[row] += a[a_at + r * a_row + p * a_step] * b[at : at + LANES]


def square_differences(
    a: np.ndarray, a_at: int, a_row: int, a_step: int,
    b: np.ndarray, b_at: int, depth: int,
    out: np.ndarray, out_at: int, out_row: int,
) -> None:  # fmt: skip
    """As `add_products`: out[...] = sum_p (a[...] - b[...])^2, which replaces what was there."""
    for r in range(ROWS):
        row = slice(out_at + r * out_row, out_at + r * out_row + LANES)
        out[row] = 0
        for p in range(depth):
            at = b_at + LANES * p
            out[row] += (a[a_at + r * a_row + p * a_step] - b[at : at + LANES]) ** 2


def subtract_lane_products(
    a: np.ndarray, a_at: int, b: np.ndarray, b_at: int, depth: int, out: np.ndarray, out_at: int
) -> None:
    """out[out_at + l] -= sum_p a[a_at + 16 p + l] b[b_at + 16 p + l], for lanes l < 16, p < depth.

    One step of a factorisation of 16 matrices side by side.
    """
    place = slice(out_at, out_at + WIDE)
    for at in range(0, WIDE * depth, WIDE):
        out[place] -= a[a_at + at : a_at + at + WIDE] * b[b_at + at : b_at + at + WIDE]


def _block(squared: bool) -> Callable:
    """The intrinsic of one of the first two functions above."""
    vector = ir.VectorType(ir.DoubleType(), LANES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def lanes(pointer: Any, index: Any) -> Any:
            return builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer())

        a, b, out = (_data(context, builder, signature, arguments, index) for index in (0, 4, 7))
        _, a_at, a_row, a_step, _, b_at, depth, _, out_at, out_row = arguments
        size = a_at.type
        sums = [cgutils.alloca_once(builder, vector) for _ in range(ROWS)]
        places = [
            lanes(out, builder.add(out_at, builder.mul(size(r), out_row))) for r in range(ROWS)
        ]
        for sum_, place in zip(sums, places, strict=True):
            start = vector([0.0] * LANES) if squared else builder.load(place, align=8)
            builder.store(start, sum_)
        firsts = [builder.add(a_at, builder.mul(size(r), a_row)) for r in range(ROWS)]
        with cgutils.for_range(builder, depth) as loop:
            at = builder.add(b_at, builder.mul(size(LANES), loop.index))
            right = builder.load(lanes(b, at), align=8)
            step = builder.mul(loop.index, a_step)
            for sum_, first in zip(sums, firsts, strict=True):
                scalar = builder.load(builder.gep(a, [builder.add(first, step)]))
                left = _spread(builder, scalar, vector)
                if squared:
                    left = builder.fsub(left, right, flags=FUSED)
                product = builder.fmul(left, left if squared else right, flags=FUSED)
                builder.store(builder.fadd(builder.load(sum_), product, flags=FUSED), sum_)
        for sum_, place in zip(sums, places, strict=True):
            builder.store(builder.load(sum_), place, align=8)
        return context.get_dummy_value()

    def block(typing: Any, a, a_at, a_row, a_step, b, b_at, depth, out, out_at, out_row):
        n = types.intp
        return types.void(a, n, n, n, b, n, n, out, n, n), generate

    return intrinsic(block)


def _lane_products() -> Callable:
    """The intrinsic of `subtract_lane_products`."""
    vector = ir.VectorType(ir.DoubleType(), WIDE)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def lanes(pointer: Any, index: Any) -> Any:
            return builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer())

        a, b, out = (_data(context, builder, signature, arguments, index) for index in (0, 2, 5))
        _, a_at, _, b_at, depth, _, out_at = arguments
        place = lanes(out, out_at)
        total = cgutils.alloca_once_value(builder, builder.load(place, align=8))
        with cgutils.for_range(builder, depth) as loop:
            at = builder.mul(a_at.type(WIDE), loop.index)
            left = builder.load(lanes(a, builder.add(a_at, at)), align=8)
            right = builder.load(lanes(b, builder.add(b_at, at)), align=8)
            product = builder.fmul(left, right, flags=FUSED)
            builder.store(builder.fsub(builder.load(total), product, flags=FUSED), total)
        builder.store(builder.load(total), place, align=8)
        return context.get_dummy_value()

    def block(typing: Any, a, a_at, b, b_at, depth, out, out_at):
        n = types.intp
        return types.void(a, n, b, n, n, out, n), generate

    return intrinsic(block)


def _data(context: Any, builder: Any, signature: Any, arguments: Any, index: int) -> Any:
    """Address of the first element of an array among the arguments."""
    array = context.make_array(signature.args[index])(context, builder, arguments[index])
    return array.data


def _spread(builder: Any, scalar: Any, vector: Any) -> Any:
    """A vector of equal lanes."""
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), zeros)


_products, _differences, _lanes = _block(squared=False), _block(squared=True), _lane_products()


@overload(add_products)
def _add_products(a, a_at, a_row, a_step, b, b_at, depth, out, out_at, out_row):
    def call(a, a_at, a_row, a_step, b, b_at, depth, out, out_at, out_row):
        _products(a, a_at, a_row, a_step, b, b_at, depth, out, out_at, out_row)

    return call


@overload(square_differences)
def _square_differences(a, a_at, a_row, a_step, b, b_at, depth, out, out_at, out_row):
    def call(a, a_at, a_row, a_step, b, b_at, depth, out, out_at, out_row):
        _differences(a, a_at, a_row, a_step, b, b_at, depth, out, out_at, out_row)

    return call


@overload(subtract_lane_products)
def _subtract_lane_products(a, a_at, b, b_at, depth, out, out_at):
    def call(a, a_at, b, b_at, depth, out, out_at):
        _lanes(a, a_at, b, b_at, depth, out, out_at)

    return call
