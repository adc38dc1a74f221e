"""The guide to source mappings says what is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast import expressions
from holdfast.mapping import Mapping


@pytest.fixture
def guide(project: Path) -> str:
    return (project / "docs" / "sources.md").read_text(encoding="utf-8")


def test_the_example_mapping_loads(guide: str) -> None:
    block: Any = re.search(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert set(Mapping.model_validate(yaml.safe_load(block[1])).inputs) == {"sales"}


def test_every_operation_has_its_line(guide: str) -> None:
    table = guide.split("### Operations")[1].split("### Conditions", maxsplit=1)[0]
    heads = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {name for head in heads for name in re.findall(r"`(\w+)`", head)} == set(expressions._OPERATIONS) - {
        "column"
    }
