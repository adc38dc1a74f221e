"""A fitted model as files: saved without pickle, fingerprinted, and loaded only when the fingerprint agrees."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

from holdfast.errors import ModelError
from holdfast.model.bgnbd import BgNbdModel
from holdfast.model.blend import Blend
from holdfast.model.boosting import BoostedTrees
from holdfast.model.estimators import Estimator
from holdfast.model.fitted import FittedModel
from holdfast.model.gru import Gru
from holdfast.model.logistic import LogisticModel
from holdfast.model.served import ServedModel

_MANIFEST = "model.json"


class Storable(Protocol):
    """A model that writes itself into an existing directory, without pickle, in a format of its own."""

    format: ClassVar[str]

    def save(self, directory: Path) -> None: ...


def _load(form: str, directory: Path) -> FittedModel:
    return LOADERS[form](directory)


LOADERS: dict[str, Callable[[Path], FittedModel]] = {
    Blend.format: lambda directory: Blend.load(directory, _load),
    BgNbdModel.format: BgNbdModel.load,
    BoostedTrees.format: BoostedTrees.load,
    Estimator.format: Estimator.load,
    Gru.format: Gru.load,
    LogisticModel.format: LogisticModel.load,
    ServedModel.format: lambda directory: ServedModel.load(directory, _load),
}
"""How churn models are loaded, by format."""


def save(model: Storable, directory: Path) -> str:
    """Write the model into a new directory and return its fingerprint."""
    directory.mkdir(parents=True)
    model.save(directory)
    (directory / _MANIFEST).write_text(json.dumps({"format": model.format}), encoding="utf-8")
    return fingerprint(directory)


def load(directory: Path, loaders: Mapping[str, Callable[[Path], Any]] = LOADERS) -> Any:
    """The model in a directory written by ``save``, if it is of one of these formats."""
    try:
        manifest = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
        loader = loaders[manifest["format"]]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{directory} holds no model that this version of Holdfast can load: {error!r}") from error
    return loader(directory)


def load_verified(directory: Path, expected: str, loaders: Mapping[str, Callable[[Path], Any]] = LOADERS) -> Any:
    """The model in ``directory``, after its files proved to be those that were fingerprinted.

    Raises ModelError, before anything is parsed, when a file was changed, added, removed or renamed.
    """
    found = fingerprint(directory)
    if found != expected:
        raise ModelError(
            f"the model files in {directory} have SHA-256 {found}, but {expected} was recorded at registration: "
            "they were changed since. Do not use them; train again, or put the registered files back."
        )
    return load(directory, loaders)


def fingerprint(directory: Path) -> str:
    """SHA-256 over the names and contents of all files below ``directory``."""
    total = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        name = path.relative_to(directory).as_posix()
        total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
