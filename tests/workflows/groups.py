"""Tables of three groups, for tests of what changes between tables."""

import numpy as np
import pyarrow as pa

CENTRES = np.array([[0.0, 0.0, 0.0], [2.5, 2.0, -1.0], [-1.0, 3.0, 2.0]])
SHARES = (0.5, 0.3, 0.2)


def groups(n, seed, kind="normal", *, shift=0.0, shares=SHARES, spread=1.0, far=0.0, texts=False):
    """n rows: groups that overlap, in columns x0, x1, x2 of normal, uniform or heavy noise.

    shift moves x1, spread widens the noise, `far` is the share of rows far from all groups, with
    `texts` a column `kind` of three categories tells of the groups.
    """
    generator = np.random.default_rng(seed)
    group = generator.choice(3, n, p=shares)
    noise = {
        "normal": lambda: generator.normal(size=(n, 3)),
        "uniform": lambda: generator.uniform(-1.7, 1.7, size=(n, 3)),
        "heavy": lambda: generator.standard_t(4, size=(n, 3)),
    }[kind]()
    X = CENTRES[group] + spread * noise
    X[:, 1] += shift
    X[generator.random(n) < far] += 12.0
    columns = {f"x{j}": X[:, j] for j in range(3)}
    if texts:
        own = generator.random(n) < 0.8
        told = np.where(own, group, generator.integers(3, size=n))
        columns["kind"] = np.array(["red", "green", "blue"])[told]
    return pa.table(columns)
