"""A table of customers as a shop exports it: three groups, in columns that need a look first."""

import csv
from pathlib import Path

import numpy as np

COLUMNS = [
    "customer_id", "name", "signup", "zip", "age", "income", "discount", "orders", "premium",
    "country", "comment", "segment",
]  # fmt: skip
COUNTRIES = ("CH", "DE", "FR", "IT", "AT")
WORDS = [
    "good",
    "bad",
    "late",
    "fast",
    "box",
    "price",
    "again",
    "never",
    "parcel",
    "thanks",
    "colour",
    "size",
]


def write_customers(path: Path, *, rows: int = 600, seed: int = 0, gaps: float = 0.0) -> Path:
    """Write a CSV file with ids, names, dates, post codes with leading zeros, amounts such as
    "$52,300", shares such as 12%, yes and no, free text; `gaps` is the share of N/A, - and empty
    cells in age, income and orders. The column `segment` has the group that a row is of."""
    generator = np.random.default_rng(seed)
    group = generator.integers(0, 3, rows)
    age = np.clip(generator.normal(np.array([26, 44, 67])[group], 3.5), 18, 95).astype(int)
    income = generator.normal(np.array([31_000, 88_000, 52_000])[group], 5_000)
    discount = np.clip(generator.normal(np.array([18, 4, 10])[group], 1.5), 0, 40)
    orders = generator.poisson(np.array([4, 11, 25])[group])
    premium = generator.random(rows) < np.array([0.1, 0.8, 0.4])[group]
    shares = np.array([[6, 1, 1, 1, 1], [1, 6, 1, 1, 1], [1, 1, 1, 3, 4]]) / 10
    lines = []
    for i, g in enumerate(group):
        cells = [str(age[i]), f"${income[i]:,.0f}", str(orders[i])]
        for j in np.flatnonzero(generator.random(3) < gaps):
            cells[j] = generator.choice(["N/A", "-", ""])
        day = np.datetime64("2019-01-01") + generator.integers(0, 2_000)
        lines.append(
            [
                100_001 + i,
                f"{generator.choice(list('ABCDEFGH'))}. {'abcdefghij'[i % 10]}{i:x}son",
                str(day),
                f"{generator.integers(1_000, 99_999):05d}",
                cells[0],
                cells[1],
                f"{discount[i]:.1f}%",
                cells[2],
                "yes" if premium[i] else "no",
                generator.choice(COUNTRIES, p=shares[g]),
                " ".join(generator.choice(WORDS, generator.integers(3, 9))),
                "ABC"[g],
            ]
        )
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *lines])
    return path
