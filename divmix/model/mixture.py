"""A fitted mixture: components, the clusters they form, and the way from a table to its rows."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from divmix.design.preprocessing import Locate, Preprocessing, row_name
from divmix.encoders import Chain, EncodedPreprocessing
from divmix.errors import ModelFileError, UsageError
from divmix.families import FAMILIES, STRUCTURES, Components, Gaussian, make_family
from divmix.families.noise import with_noise
from divmix.merging.hierarchy import Hierarchy, MergeTree, joined
from divmix.model.calibration import Calibration, blocks
from divmix.model.model_file import read_model, write_model

NOISE, INCOMPLETE = -1, -2  # in place of a cluster
BLOCK = 4096  # rows scored at a time: bounds the (rows, components) arrays


class Scores(NamedTuple):
    """What a mixture says of n rows.

    cluster (n,) int, or NOISE or INCOMPLETE; probability (n,) of that cluster or of noise;
    log_density (n,) in nats and in the data's own units; posterior (n, k) or None. NaN for
    incomplete rows.
    """

    cluster: np.ndarray
    probability: np.ndarray
    log_density: np.ndarray
    posterior: np.ndarray | None = None


@dataclass(frozen=True)
class Mixture:
    """Components ordered by cluster, `clusters` (m,) the cluster of each, counted from 0.

    about holds what describes the fit and is not needed to score a row: settings, rows, input.
    Neither is the hierarchy, from which other numbers of clusters are cut; None where the method
    has no merge tree. calibration: what `detect` holds scores against, None for other models.
    noise: one broad component that belongs to no cluster and has the weight they leave, or None.
    """

    family: Gaussian
    components: Components
    clusters: np.ndarray
    preprocessing: Preprocessing
    about: dict[str, Any]
    hierarchy: Hierarchy | None = None
    calibration: Calibration | None = None
    noise: Components | None = None

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

    def score(self, X: np.ndarray, *, posterior: bool = False) -> Scores:
        """Scores of rows X (n, d) of the design matrix; densities in the units of X."""
        parts = [
            self._score_block(X[start : start + BLOCK], posterior)
            for start in range(0, max(len(X), 1), BLOCK)
        ]
        return Scores(*(None if p[0] is None else np.concatenate(p) for p in zip(*parts)))

    def score_batch(
        self,
        batch,
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
        rows = self.preprocessing.transform(
            batch, unknown=unknown, first_row=first_row, locate=locate
        )
        scores = self.score(rows.X, posterior=posterior)
        log_density = scores.log_density + rows.log_jacobian
        scores = scores._replace(log_density=log_density)
        return scores if rows.complete.all() else blank(scores, ~rows.complete)

    def ordered(self, sizes: np.ndarray) -> "Mixture":
        """The same mixture, clusters numbered from the largest and components in their order.

        sizes (k,) are the weights of the rows assigned to each cluster.
        """
        order = canonical_order(sizes, self.clusters, self.components.weights)
        rank = np.empty(len(sizes), dtype=np.int64)
        rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
        return replace(
            self,
            components=self.components.take(order),
            clusters=rank[self.clusters[order]],
            hierarchy=self.hierarchy and self.hierarchy.reordered(order),
        )

    def cut(self, k: int) -> "Mixture":
        """The mixture at k clusters, by its merge tree; clusters are numbered by weight.

        Unions of the same components, or one component with the moments of those it stands for.
        Raises UsageError.
        """
        from divmix.merging import tree as reduction  # predict starts without it

        if self.hierarchy is None:
            raise UsageError(
                "the model holds no merge tree",
                hint="fit again with --method diversified, the default; older models have none",
            )
        components, clusters = self.components, reduction.cut(self.hierarchy.tree, k)
        if k == self.n_clusters:
            return self
        about = self.about | {"cut_from": self.about.get("cut_from", self.n_clusters)}
        if self.hierarchy.relaxed is not None:
            components = joined(self.family, self.hierarchy.relaxed, clusters)
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
        return self.family.draw(components, labels, generator), clusters

    def _score_block(self, X: np.ndarray, posterior: bool) -> Scores:
        components = self.all_components
        log_weights = np.log(np.maximum(components.weights, 1e-300))
        joint = log_weights + self.family.log_densities(X, components)
        top = joint.max(axis=1)
        share = np.exp(joint - top[:, None])
        total = share.sum(axis=1)
        first = np.searchsorted(self.clusters, np.arange(self.n_clusters))
        if self.noise is not None:
            first = np.append(first, self.components.count)
        shares = np.add.reduceat(share, first, axis=1) / total[:, None]
        cluster = shares.argmax(axis=1)
        return Scores(
            np.where(cluster < self.n_clusters, cluster, NOISE),
            np.minimum(shares[np.arange(len(X)), cluster], 1.0),
            top + np.log(total),
            shares[:, : self.n_clusters] if posterior else None,
        )

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model file. Raises OutputError."""
        document = {
            "family": self.family.name,
            "covariance": self.family.structure.name,
            "preprocessing": self.preprocessing.to_dict(),
            "about": self.about,
        }
        arrays = {"floor": self.family.floor, "clusters": self.clusters}
        arrays |= _arrays(self.components) | _arrays(self.noise, "noise_")
        if self.hierarchy is not None:
            document["merge"] = self.hierarchy.criterion
            arrays |= {f"tree_{name}": v for name, v in self.hierarchy.tree._asdict().items()}
            arrays |= _arrays(self.hierarchy.relaxed, "relaxed_")
        if self.calibration is not None:
            document["calibration"] = self.calibration.source
            arrays["calibration_scores"] = self.calibration.scores
            arrays["calibration_typical"] = self.calibration.typical
        if self.preprocessing.encoder is not None:
            document["encoders"], own = self.preprocessing.encoder.to_parts()
            arrays |= own
        write_model(path, document, arrays, overwrite)

    @classmethod
    def load(cls, path: str | Path) -> "Mixture":
        """Read a model file, or the one in a run folder. Raises ModelFileError."""
        document, arrays = read_model(path)
        try:
            mixture = cls._from_parts(document, arrays)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise ModelFileError(
                f"{path} is not a model that fits together: {error}",
                hint="fit the model again, or restore the file from a copy",
            ) from error
        return mixture

    @classmethod
    def _from_parts(cls, document: dict, arrays: dict[str, np.ndarray]) -> "Mixture":
        if document["family"] not in FAMILIES or document["covariance"] not in STRUCTURES:
            raise ValueError("unknown family or covariance")
        floor = arrays["floor"]
        family = make_family(document["family"], document["covariance"], floor)
        components = _components(arrays, family)
        preprocessing = Preprocessing.from_dict(document["preprocessing"])
        clusters = arrays["clusters"].astype(np.int64)
        if "encoders" in document:
            encoder = Chain.from_parts(document["encoders"], arrays)
            preprocessing = EncodedPreprocessing.of(preprocessing, encoder)
        d = preprocessing.n_features
        consistent = (
            components.means.shape == (components.count, d)
            and clusters.shape == (components.count,)
            and floor.shape == (d,)
            and clusters[0] == 0
            and np.isin(np.diff(clusters), (0, 1)).all()
        )
        if not consistent:
            raise ValueError("its arrays do not fit together")
        hierarchy = None
        if "merge" in document:
            tree = MergeTree(arrays["tree_pairs"].astype(np.int64), arrays["tree_costs"])
            relaxed = None
            if "relaxed_means" in arrays:
                relaxed = _components(arrays, family, "relaxed_")
            hierarchy = Hierarchy(document["merge"], tree, relaxed)
            hierarchy.check(components)
        calibration = None
        if "calibration" in document:
            scores, typical = arrays["calibration_scores"], arrays["calibration_typical"]
            calibration = Calibration(scores, typical, document["calibration"])
            calibration.check(len(blocks(preprocessing)))
        noise = _components(arrays, family, "noise_") if "noise_means" in arrays else None
        return cls(
            family,
            components,
            clusters,
            preprocessing,
            document["about"],
            hierarchy,
            calibration,
            noise,
        )


def _arrays(components: Components | None, prefix: str = "") -> dict[str, np.ndarray]:
    """The arrays of a model file that hold components."""
    named = components._asdict() if components else {}
    return {prefix + name: values for name, values in named.items() if values is not None}


def _components(arrays: dict[str, np.ndarray], family: Gaussian, prefix: str = "") -> Components:
    """The components in the arrays of a model file. Raises KeyError, ValueError."""
    components = Components(
        *(arrays[prefix + name] for name in ("weights", "means", "covariances")),
        arrays.get(prefix + "dof"),
    )
    m, d = components.means.shape
    expected = family.structure.from_full(np.zeros((m, d, d))).shape
    consistent = (
        m >= 1
        and components.weights.shape == (m,)
        and components.covariances.shape == expected
        and d == len(family.floor)
        and (family.name != "student" or components.dof.shape == (m,))
    )
    if not consistent:
        raise ValueError("its arrays do not fit together")
    if not all(np.isfinite(part).all() for part in components if part is not None):
        raise ValueError("its parameters are not all finite")
    return components


def canonical_order(sizes: np.ndarray, clusters: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Order of components (m,): by cluster, the largest first, then by weight within it.

    sizes (k,) are the weights of the rows assigned to each cluster, clusters (m,) and weights (m,)
    those of the components.
    """
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return np.lexsort((-weights, rank[clusters]))


def blank(scores: Scores, incomplete: np.ndarray) -> Scores:
    """The scores with nothing said of incomplete rows."""
    scores.cluster[incomplete] = INCOMPLETE
    for values in (scores.probability, scores.log_density, scores.posterior):
        if values is not None:
            values[incomplete] = np.nan
    return scores
