"""Rows about one visit to the rows, and about the particle step."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from divmix.benchmarks.speed import peers as others
from divmix.benchmarks.speed.problems import make_problem
from divmix.benchmarks.speed.timing import row, seconds, side_by_side
from divmix.kernels import compile as compiling
from divmix.kernels import particles

# rows x columns x components, precision, covariance, bar, aim
AGAINST_SKLEARN = [
    (100_000, 16, 32, np.float64, "diag", 0.13, 0.07),
    (1_000_000, 8, 16, np.float64, "diag", 0.05, 0.03),
    (20_000, 64, 256, np.float64, "diag", 0.30, 0.20),
    (100_000, 16, 32, np.float32, "diag", 0.065, 0.04),
    (1_000_000, 8, 16, np.float32, "diag", 0.03, 0.02),
    (20_000, 64, 256, np.float32, "diag", 0.15, 0.10),
    (100_000, 16, 32, np.float64, "full", 0.20, 0.10),
]
GEMM_SHARE = [
    (100_000, 16, 32, 0.40, 0.55),
    (50_000, 16, 256, 0.50, 0.65),
    (20_000, 64, 256, 0.58, 0.75),
]
PARTICLES = [(4096, 4, 0.20, 0.10), (4096, 32, 0.25, 0.15), (512, 32, 0.50, 0.30)]
MILLISECONDS = 1e3


def against_sklearn(rounds: int, scale: int) -> Iterator[dict[str, Any]]:
    for n, d, m, dtype, covariance, bar, aim in AGAINST_SKLEARN:
        n //= scale
        problem = make_problem(n, d, m, covariance=covariance, dtype=dtype)
        # scikit-learn computes in the precision of its input too; its best is float64 here
        peer = others.sklearn_iteration(
            problem.X.astype(np.float64), problem.start.means, covariance
        )
        timing = side_by_side(problem.iteration(), peer, rounds)
        yield row(
            f"iteration {covariance} {np.dtype(dtype).name} {shape(n, d, m)}",
            timing.ours * MILLISECONDS, peer=timing.peer * MILLISECONDS, unit="ms",
            peer_name="scikit-learn GaussianMixture, float64", ratio=timing.ratio, bar=bar, aim=aim,
        )  # fmt: skip


def against_mlpack(rounds: int, scale: int) -> Iterator[dict[str, Any]]:
    n, d, m = 1_000_000 // scale, 8, 16
    problem = make_problem(n, d, m)
    pairs = np.array([
        (seconds(problem.iteration()), others.mlpack_iteration_seconds(problem.X, m))
        for _ in range(rounds)
    ])  # fmt: skip
    ours, peer = np.median(pairs, axis=0)
    yield row(
        f"iteration diag float64 {shape(n, d, m)}, mlpack", ours * MILLISECONDS,
        peer=peer * MILLISECONDS, unit="ms", peer_name="mlpack gmm_train",
        ratio=float(np.median(pairs[:, 0] / pairs[:, 1])), bar=0.15, aim=0.08,
    )  # fmt: skip


def against_faiss(rounds: int, scale: int) -> Iterator[dict[str, Any]]:
    """No bar: hard k-means does less work an iteration, and stays the cheaper one."""
    n, d, m = 1_000_000 // scale, 8, 16
    problem = make_problem(n, d, m, dtype=np.float32)
    pairs = np.array([
        (seconds(problem.iteration()), others.faiss_iteration_seconds(problem.X, m))
        for _ in range(rounds)
    ])  # fmt: skip
    ours, peer = np.median(pairs, axis=0)
    yield row(
        f"iteration diag float32 {shape(n, d, m)}, hard k-means", ours * MILLISECONDS,
        peer=peer * MILLISECONDS, unit="ms", peer_name="faiss Kmeans",
        ratio=float(np.median(pairs[:, 0] / pairs[:, 1])), bar=None,
    )  # fmt: skip


def among_ourselves(rounds: int, scale: int) -> Iterator[dict[str, Any]]:
    """Student-t over Gaussian, two threads over one, growth with rows and components."""
    n, d, m = 100_000 // scale, 16, 32
    gaussian = make_problem(n, d, m)
    student = make_problem(n, d, m, family="student")
    timing = side_by_side(_sums(student), _sums(gaussian), rounds)
    yield row(
        f"Student-t over Gaussian, diag {shape(n, d, m)}", timing.ours * MILLISECONDS,
        peer=timing.peer * MILLISECONDS, unit="ms", peer_name="our Gaussian",
        ratio=timing.ratio, bar=1.5, aim=1.2,
    )  # fmt: skip

    n, d, m = 1_000_000 // scale, 8, 16
    large = make_problem(n, d, m)
    timing = side_by_side(
        _on_threads(2, large.iteration()), _on_threads(1, large.iteration()), rounds
    )
    yield row(
        f"two threads over one, diag {shape(n, d, m)}", timing.ours * MILLISECONDS,
        peer=timing.peer * MILLISECONDS, unit="ms", peer_name="our one thread",
        ratio=timing.ratio, bar=0.60, aim=0.53,
    )  # fmt: skip

    quarter = make_problem(n // 4, d, m)
    timing = side_by_side(large.iteration(), quarter.iteration(), rounds)
    yield row(
        f"growth with 4 times the rows, to {shape(n, d, m)}", timing.ours * MILLISECONDS,
        peer=timing.peer * MILLISECONDS, unit="ms", peer_name="a quarter of the rows",
        ratio=timing.ratio, bar=4.3,
    )  # fmt: skip

    n, d, m = 100_000 // scale, 16, 128
    timing = side_by_side(
        make_problem(n, d, m).iteration(), make_problem(n, d, m // 4).iteration(), rounds
    )
    yield row(
        f"growth with 4 times the components, to {shape(n, d, m)}", timing.ours * MILLISECONDS,
        peer=timing.peer * MILLISECONDS, unit="ms", peer_name="a quarter of the components",
        ratio=timing.ratio, bar=4.3,
    )  # fmt: skip


def gemm_share(rounds: int, scale: int) -> Iterator[dict[str, Any]]:
    """Operations a second as a share of those of a matrix product on one thread.

    Counted are the four multiply-adds for each row, column and component that no diagonal mixture
    can do without (two for the distance, one for each moment), and nothing for exp and logarithm.
    """
    size = 1024
    A, B = np.random.default_rng(0).standard_normal((2, size, size))
    out = np.empty((size, size))
    for n, d, m, bar, aim in GEMM_SHARE:
        n //= scale
        problem = make_problem(n, d, m)
        timing = side_by_side(_sums(problem), lambda: np.matmul(A, B, out=out), rounds)
        share = 8 * n * d * m / (2 * size**3) / timing.ratio
        yield row(
            f"share of the matrix product's rate, float64 {d} x {m}",
            8e-9 * n * d * m / timing.ours, peer=2e-9 * size**3 / timing.peer, unit="GFLOP/s",
            peer_name=f"numpy matmul {size} x {size}", ratio=share, bar=bar, aim=aim,
            higher_is_better=True,
        )  # fmt: skip


def particle_step(rounds: int) -> Iterator[dict[str, Any]]:
    """Direction and entropy, against NumPy on the same number of threads; two threads over one."""
    for m, dims, bar, aim in PARTICLES:
        ours, peer = _particle_calls(m, dims)
        timing = side_by_side(ours, peer, rounds)
        yield row(
            f"particle step with entropy {m} x {dims}", timing.ours * MILLISECONDS,
            peer=timing.peer * MILLISECONDS, unit="ms", peer_name="NumPy, two matrix products",
            ratio=timing.ratio, bar=bar, aim=aim,
        )  # fmt: skip

    m, dims = 4096, 32
    ours, _ = _particle_calls(m, dims)
    timing = side_by_side(_on_threads(2, ours), _on_threads(1, ours), rounds)
    yield row(
        f"two threads over one, particle step {m} x {dims}", timing.ours * MILLISECONDS,
        peer=timing.peer * MILLISECONDS, unit="ms", peer_name="our one thread",
        ratio=timing.ratio, bar=0.60, aim=0.53,
    )  # fmt: skip


def _particle_calls(m: int, dims: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The same step of m random particles by our kernel and by NumPy."""
    theta, drive = np.random.default_rng(0).standard_normal((2, m, dims))
    weights = np.full(m, 1 / m)
    return (
        lambda: particles.pairs(theta, drive, weights, 0.1, 1.0),
        lambda: numpy_pairs(theta, drive, weights, 0.1, 1.0),
    )


def numpy_pairs(
    theta: np.ndarray, drive: np.ndarray, weights: np.ndarray, alpha: float, bandwidth: float
) -> particles.Pairs:
    """`particles.pairs` in the fewest passes that NumPy allows: two matrix products and exp.

    The sums for row sums and entropy are two more columns of the second product.
    """
    m, dims = theta.shape
    scaled = theta / bandwidth
    halves = 0.5 * np.einsum("md,md->m", scaled, scaled)
    k = scaled @ scaled.T
    k -= halves
    k -= halves[:, None]
    np.exp(k, out=k)
    repulsion = alpha / bandwidth * scaled
    sums = k @ np.column_stack([drive - repulsion, np.ones(m), weights])
    row_sums, weighted = sums[:, dims], sums[:, dims + 1]
    pull = sums[:, :dims] + repulsion * row_sums[:, None]
    return particles.Pairs(pull, row_sums, weighted, -float(weights @ np.log(weighted)))


def shape(n: int, d: int, m: int) -> str:
    """Rows x columns x components, short: 1e5 x 16 x 32."""
    return f"{n:.0e} x {d} x {m}".replace("e+0", "e")


def _sums(problem):
    row_weights = np.ones(len(problem.X))
    return lambda: problem.family.sums(problem.X, row_weights, problem.start)


def _on_threads(count: int, function):
    def call():
        before = compiling.threads()
        compiling.set_threads(count)
        try:
            function()
        finally:
            compiling.set_threads(before)

    return call
