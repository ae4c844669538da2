"""What a run.json says, declared once: as far as a command goes by it. What else it holds is for people.

It is no part of a model, and people change it: so it is checked whenever it is read.
"""

from typing import Any

from divmix.model import checks
from divmix.model.schema import FAR, SETTINGS
from divmix.report.anomalies import RULES
from divmix.report.choice import NAMES as CRITERIA

MOST_CLUSTERS = 1_000_000

_share = checks.number(0, 1)
_number = checks.number(-FAR, FAR)
_count = checks.whole(0, 2**63 - 1)
_clusters = checks.whole(1, MOST_CLUSTERS)
_of_resamples = ("jaccard", "least_found")  # criteria of select --bootstrap alone

INPUT = checks.holding(names=checks.list_of(checks.text), bytes=_count, sha256=checks.text)
MODEL = checks.holding(model=checks.text)
RESULT = checks.holding(
    optional=("gap", "noise", "evaluation", "clusters"),
    converged=checks.truth,
    stop_reason=checks.text,
    iterations=_count,
    gap=checks.null_or(_number),
    noise=checks.null_or(checks.holding(size=_count, share=_share)),
    evaluation=checks.null_or(checks.holding(ari=_number)),
    clusters=checks.list_of(
        checks.holding(
            optional=("mean_probability",),
            cluster=_count,
            size=_count,
            share=_share,
            mean_probability=checks.null_or(_share),
        )
    ),
)
_of_every_run = {
    "divmix": checks.text,
    "settings": SETTINGS,
    "origins": checks.texts,
    "notes": checks.list_of(checks.text),
    "input": INPUT,
}
_of_a_fit = _of_every_run | {"result": RESULT, "match": checks.null_or(MODEL)}
_seldom = ("divmix", "origins", "notes", "input", "match")

DOCUMENT = checks.by_kind(
    "command",
    fit=checks.holding(_seldom, **_of_a_fit),
    update=checks.holding(_seldom, **_of_a_fit, model=checks.text),
    cut=checks.holding(("divmix",), divmix=checks.text, model=checks.text, n_clusters=_clusters),
    detect=checks.holding(
        (*_seldom, "scored"),
        **_of_every_run,
        scored=INPUT,
        rule=checks.holding(name=checks.word(*RULES), level=_number),
        rows=_count,
        flagged=_count,
        calibrated_by=checks.text,
        highest=checks.list_of(
            checks.holding(
                row=_count,
                score=_number,
                p_value=_share,
                flagged=checks.truth,
                because=checks.null_or(checks.text),
            )
        ),
    ),
    select=checks.holding(
        _seldom,
        **_of_every_run,
        clusters=_clusters,
        covariance=checks.text,
        reason=checks.text,
        rows_looked_at=_count,
        rows=checks.list_of(
            checks.holding(
                _of_resamples,
                clusters=_clusters,
                chosen=checks.truth,
                **dict.fromkeys(CRITERIA, checks.null_or(_number)),
            ),
            1,
        ),
        bootstrap=checks.null_or(
            checks.holding(
                resamples=_count,
                found_above=_share,
                clusters=checks.list_of(checks.holding(cluster=_count, found=_share)),
            )
        ),
    ),
)


def check(document: Any) -> None:
    """Raise ValueError where a document is not that of a run."""
    DOCUMENT(document, "run.json")
    clusters = document.get("result", {}).get("clusters", [])
    if [own["cluster"] for own in clusters] != list(range(len(clusters))):
        raise ValueError("its clusters are not counted from 0")
