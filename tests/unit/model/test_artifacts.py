"""Models as files that are verified before they are read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from holdfast.errors import ModelError
from holdfast.model import artifacts
from holdfast.model.candidates import candidate

ROWS = pd.DataFrame({"days_since_order": [1.0, 5.0, 30.0, 50.0], "order_count": [9.0, 3.0, 2.0, 1.0]})
CHURNED = np.array([0.0, 0.0, 1.0, 1.0])


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    artifacts.save(candidate("recency_rule").fit(ROWS, CHURNED, 7), tmp_path / "model")
    return tmp_path / "model"


def test_untouched_files_load(stored: Path) -> None:
    model = artifacts.load_verified(stored, artifacts.fingerprint(stored))
    assert model.probabilities(ROWS).argmax() == 3


def test_one_flipped_bit_is_refused(stored: Path) -> None:
    expected = artifacts.fingerprint(stored)
    file = stored / "logistic.json"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=f"{expected} was recorded at registration"):
        artifacts.load_verified(stored, expected)


def test_an_added_file_is_refused(stored: Path) -> None:
    expected = artifacts.fingerprint(stored)
    (stored / "lightgbm.txt").write_text("tree")
    with pytest.raises(ModelError, match="were changed since"):
        artifacts.load_verified(stored, expected)


def test_a_format_that_nothing_here_can_read_is_a_clear_error(stored: Path) -> None:
    (stored / "model.json").write_text('{"format": "pickle"}')
    with pytest.raises(ModelError, match="no model that this version of Holdfast can load"):
        artifacts.load(stored)
