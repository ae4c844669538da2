"""A fitted mixture: components, the clusters they form, and the way from a table to its rows."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from divmix.design.design import Design
from divmix.design.preprocessing import Batch, Transformed
from divmix.design.row_names import Locate, row_name
from divmix.errors import FitError, ModelFileError, UsageError
from divmix.families import AnyFamily, AnyMatrix, CommonNumbers, Components
from divmix.families.mixed import as_seen
from divmix.families.noise import with_noise
from divmix.families.posterior import log_weights, posterior
from divmix.kernels.gaps import by_pattern, has_gaps
from divmix.merging.hierarchy import Hierarchy
from divmix.model import parts, schema
from divmix.model.calibration import Calibration
from divmix.model.model_file import read_model, write_model
from divmix.model.scores import NOISE, Scores, blank
from divmix.tables.batches import BLOCK_ROWS

# The log-density of a row so far off that its distance is no number of a float64, nats.
LEAST = -1e300


@dataclass(frozen=True)
class Mixture:
    """Components ordered by cluster, `clusters` (m,) the cluster of each, counted from 0.

    about holds what describes the fit and is not needed to score a row: settings, rows, input.
    Neither is the hierarchy, from which other numbers of clusters are cut; None where the method
    has no merge tree. calibration: what `detect` holds scores against, None for other models.
    noise: one broad component that belongs to no cluster and has the weight they leave, or None.
    noise_joins: rows that it explains best belong to the likeliest cluster, not to none.
    """

    family: AnyFamily
    components: Components
    clusters: np.ndarray
    design: Design
    about: dict[str, Any]
    hierarchy: Hierarchy | None = None
    calibration: Calibration | None = None
    noise: Components | None = None
    noise_joins: bool = False

    @property
    def all_components(self) -> Components:
        """The components and, as the last one, the noise."""
        return with_noise(self.components, self.noise)

    @property
    def noise_weight(self) -> float:
        """Mixing weight of the noise, 0 where there is none."""
        return 0.0 if self.noise is None else float(self.all_components.weights[-1])

    @property
    def n_clusters(self) -> int:
        return int(self.clusters.max()) + 1

    @property
    def cluster_weights(self) -> np.ndarray:
        """Mixing weight of each cluster, (k,)."""
        return np.bincount(self.clusters, weights=self.components.weights)

    @property
    def fitted_structure(self) -> str:
        """The structure of the covariances that were fitted: spherical ones are stored as diagonal
        beside numbers that all components have in common."""
        name: str = self.about["settings"].get("covariance", self.family.structure.name)
        return name

    @property
    def common_numbers(self) -> CommonNumbers | None:
        """The numbers that all components have in common, which the model tells by name."""
        names = self.about.get("common_numbers")
        if not names:
            return None
        places = np.flatnonzero(np.isin(self.design.feature_names, names))
        return CommonNumbers.of(self.family, self.components, places)  # type: ignore[arg-type]  # no Student has any

    @property
    def n_parameters(self) -> int:
        """Free parameters, weights among them: of numbers that all components have in common one
        mean and one variance, of noise its weight."""
        family, common, (m, d) = self.family, self.common_numbers, self.components.means.shape
        own = 0
        if common is not None:
            family = common.compared_alone(family, self.fitted_structure)  # type: ignore[arg-type]
            d, own = len(common.compared), 2 * len(common.common)
        return family.n_parameters(m, d) + own + (self.noise is not None)

    @cached_property
    def input_means(self) -> np.ndarray:
        """Means (m, features of the table's columns) of the rows that each component stands for.

        Without an encoder they are the components' own; an embedding is led back.
        """
        means = self.components.means
        return self.design.chain.decode(means, self._responsibilities)

    def _responsibilities(self, X: np.ndarray) -> np.ndarray:
        """Of components for rows X (n, d), (n, m); noise takes its share."""
        components = self.all_components
        logs = log_weights(components.weights)
        parts = [
            posterior(logs + self.family.log_densities(X[i : i + BLOCK_ROWS], components))
            for i in range(0, max(len(X), 1), BLOCK_ROWS)
        ]
        shares = np.concatenate([part.responsibilities for part in parts])
        return shares[:, : self.components.count]

    def score(self, X: AnyMatrix, *, posterior: bool = False) -> Scores:
        """Scores of rows X (n, d) of the design matrix; densities in the units of X."""
        n = len(X)
        shares = np.empty((n, self.n_clusters)) if posterior else None
        scores = Scores(np.empty(n, np.int64), np.empty(n), np.empty(n), shares)
        for start in range(0, n, BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            seen = as_seen(X[part], self.family)
            scores.part(part).take_over(self._score_block(seen, posterior))
        return scores

    def score_batch(
        self,
        batch: Batch,
        *,
        unknown: str = "error",
        posterior: bool = False,
        first_row: int = 0,
        locate: Locate = row_name,
    ) -> Scores:
        """Scores of a table or record batch in the data's own columns and units.

        `unknown` is about categories the fit did not see: "error" or "ignore"; `first_row` is
        where the batch starts in its table and `locate` names a row of it, both for errors.
        Raises InputError.
        """
        X = self.design.room(batch.num_rows, coded=True)
        complete, log_jacobian = self.design.fill(X, batch, unknown, first_row, locate)
        return self._in_own_units(self.score(X, posterior=posterior), complete, log_jacobian)

    def score_rows(self, rows: Transformed, *, posterior: bool = False) -> Scores:
        """Scores of rows that the design has made, in the data's own units."""
        scores = self.score(rows.X, posterior=posterior)
        return self._in_own_units(scores, rows.complete, rows.log_jacobian)

    def _in_own_units(
        self, scores: Scores, complete: np.ndarray, log_jacobian: np.ndarray
    ) -> Scores:
        scores = scores._replace(log_density=scores.log_density + log_jacobian)
        return scores if complete.all() else blank(scores, ~complete)

    def filled(self, X: np.ndarray, generator: np.random.Generator | None = None) -> np.ndarray:
        """Rows X (n, d) of the design matrix with their missing cells (NaN) filled in: by
        conditional means, or with a generator by draws from their distribution given the others."""
        if not has_gaps(X):
            return X
        order = by_pattern(np.isnan(X))
        filled = np.empty(X.shape)
        filled[order] = self.family.filled(X[order], self.all_components, generator)
        return filled

    def ordered(self, sizes: np.ndarray) -> "Mixture":
        """The same mixture, clusters numbered from the largest and components in their order:
        by cluster, then by weight, the largest first.

        sizes (k,) are weights of the clusters, of the mixture or of their rows. Equal ones keep
        their order.
        """
        rank = np.empty(len(sizes), dtype=np.int64)
        rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
        return self.renumbered(rank)

    def renumbered(self, numbers: np.ndarray) -> "Mixture":
        """The same mixture, cluster c called numbers[c], (k,); components in their order: by
        cluster, then by weight, the largest first."""
        order = np.lexsort((-self.components.weights, numbers[self.clusters]))
        return replace(
            self,
            components=self.components.take(order),
            clusters=numbers[self.clusters[order]],
            hierarchy=self.hierarchy and self.hierarchy.reordered(order),
        )

    def cut(self, k: int) -> "Mixture":
        """The mixture at k clusters, by its merge tree; clusters are numbered by weight.

        Unions of the same components, or one component with the moments of those it stands for.
        Raises UsageError.
        """
        from divmix.merging import tree as reduction  # predict starts without it

        if self.hierarchy is None:
            hint = "fit again with --method diversified, the default; older models have none"
            if self.calibration is not None:
                hint = "it is one of detect, which has no clusters: divmix fit makes one that has"
            raise UsageError("the model holds no merge tree", hint=hint)
        components, clusters = self.components, reduction.cut(self.hierarchy.tree, k)
        if k == self.n_clusters:
            return self
        about = self.about | {"cut_from": self.about.get("cut_from", self.n_clusters)}
        if self.hierarchy.relaxed is not None:
            components = self.family.joined(self.hierarchy.relaxed, clusters)
            clusters = np.arange(k)
            about["log_likelihood"] = None  # that of the fit is another mixture's
        made = replace(self, components=components, clusters=clusters, about=about)
        return made.ordered(made.cluster_weights)

    def draw(self, n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n rows of the design matrix (n, d) drawn from the mixture, and their clusters (n,)."""
        components = self.all_components
        labels = generator.choice(
            components.count, n, p=components.weights / components.weights.sum()
        )
        clusters = np.append(self.clusters, NOISE)[labels]
        X = self.family.draw(components, labels, generator)
        if self.noise_joins:
            outlying = clusters == NOISE
            clusters[outlying] = self.score(X[outlying]).cluster
        return X, clusters

    def _score_block(self, X: Any, posterior: bool) -> Scores:
        components = self.all_components
        with np.errstate(all="ignore"):  # rows beyond all numbers: see below
            joint = log_weights(components.weights) + self.family.log_densities(X, components)
        # As in `log_sum_exp`, but the exponentials serve density and responsibilities alike.
        top = joint.max(axis=1)
        if not np.isfinite(top).all():
            joint = np.nan_to_num(joint, copy=False, nan=LEAST, neginf=LEAST)
            top = joint.max(axis=1)
        share = np.exp(joint - top[:, None])
        total = share.sum(axis=1)
        first = np.searchsorted(self.clusters, np.arange(self.n_clusters))
        if self.noise is not None:
            first = np.append(first, self.components.count)
        if len(first) < share.shape[1]:  # clusters are unions
            share = np.add.reduceat(share, first, axis=1)
        cluster = self._likeliest(joint) if self.noise_joins else share.argmax(axis=1)
        return Scores(
            np.where(cluster < self.n_clusters, cluster, NOISE),
            np.minimum(share[np.arange(len(X)), cluster] / total, 1.0),
            top + np.log(total),
            share[:, : self.n_clusters] / total[:, None] if posterior else None,
        )

    def _likeliest(self, joint: np.ndarray) -> np.ndarray:
        """The likeliest cluster (n,) by log w_j p(x|theta_j), (n, m + 1), the noise left out; told
        also where all but the noise underflows."""
        own = joint[:, : self.components.count]
        first = np.searchsorted(self.clusters, np.arange(self.n_clusters))
        share = np.exp(own - own.max(axis=1, keepdims=True))
        return np.add.reduceat(share, first, axis=1).argmax(axis=1)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model file. Raises OutputError, and FitError where a number is beyond all use."""
        document: dict[str, Any] = {"about": self.about}
        if self.noise_joins:
            document["noise_joins"] = True
        arrays = {"clusters": self.clusters}
        arrays |= parts.of_components(self.components) | parts.of_components(self.noise, "noise_")
        for entries, own in (
            parts.of_family(self.family),
            self.design.to_parts(),
            parts.of_hierarchy(self.hierarchy),
            parts.of_calibration(self.calibration),
        ):
            document |= entries
            arrays |= own
        try:
            schema.check(document, arrays)
        except ValueError as error:
            raise FitError(
                f"the mixture cannot be kept: {error}",
                hint="check the columns for values far beyond all others, or use --scale standard",
            ) from error
        write_model(path, document, arrays, overwrite)

    @classmethod
    def load(cls, path: str | Path) -> "Mixture":
        """Read a model file, or the one in a run folder. Raises ModelFileError."""
        document, arrays = read_model(path)
        try:
            schema.check(document, arrays)
            return cls._from_parts(document, arrays)
        except ValueError as error:
            raise ModelFileError(
                f"{path} is not a model that fits together: {error}",
                hint="fit the model again, or restore the file from a copy",
            ) from error

    @classmethod
    def _from_parts(cls, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> "Mixture":
        design = Design.from_parts(document, arrays)
        components = parts.components(arrays)
        assert components is not None  # the schema asks for them
        return cls(
            parts.family(document, arrays, design.categories),
            components,
            arrays["clusters"],
            design,
            document["about"],
            parts.hierarchy(document, arrays, components),
            parts.calibration(document, arrays, components.count),
            parts.components(arrays, "noise_"),
            document.get("noise_joins", False),
        )
