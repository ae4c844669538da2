"""Files of this format, written once, are read for ever and say what they said."""

import json
from pathlib import Path

import numpy as np
import pytest

from divmix.model.mixture import Mixture
from tests.ugly import made

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.json"


def scores_of(path):
    scores = Mixture.load(path).score_batch(made.table())
    return {"cluster": scores.cluster.tolist(), "log_density": scores.log_density.tolist()}


@pytest.mark.parametrize("kind", made.KINDS)
def test_a_file_of_this_format_labels_rows_as_it_did(kind):
    expected = json.loads(EXPECTED.read_text())[kind]
    found = scores_of(HERE / f"{kind}.divmix")
    assert found["cluster"] == expected["cluster"]
    np.testing.assert_allclose(found["log_density"], expected["log_density"], rtol=1e-9)


def test_the_page_names_every_entry_and_array():
    page = (HERE.parents[1] / "docs" / "model-format.md").read_text()
    for kind in made.KINDS:
        document, arrays = made.parts((HERE / f"{kind}.divmix").read_bytes())
        names = [*document, *document["about"], *document["preprocessing"]]
        for column in document["preprocessing"]["columns"]:
            names += [column["kind"], *column]
        for name in [*names, *(name.removesuffix(".npy") for name in arrays)]:
            assert f"`{name}`" in page, name


if __name__ == "__main__":  # writes the files anew: for a new format alone
    for kind in made.KINDS:
        made.model(kind).save(HERE / f"{kind}.divmix", overwrite=True)
    EXPECTED.write_text(
        json.dumps({kind: scores_of(HERE / f"{kind}.divmix") for kind in made.KINDS})
    )
