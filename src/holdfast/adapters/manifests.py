"""Manifests in the landing directory: what the sender says of the files it lands.

``sales.csv.manifest.json`` speaks of ``sales.csv`` beside it: ``{"rows": 1200, "sha256": "…"}``. ``manifest.json``
speaks of files in its own folder, by name: ``{"sales.csv": {"rows": 1200, "sha256": "…"}}``. Either figure may be
left out.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from holdfast.errors import SourceError
from holdfast.ports import Promise

FOLDER = "manifest.json"
SUFFIX = ".manifest.json"


def is_manifest(name: str) -> bool:
    """Whether a file of this name is a manifest, not data."""
    return name == FOLDER or name.endswith(SUFFIX)


def promise(root: Path, path: str) -> Promise | None:
    """What a manifest says of the file at ``path``; one of its own counts before the folder's.

    Raises SourceError naming the manifest and what is wrong with it.
    """
    own = f"{path}{SUFFIX}"
    if (root / own).is_file():
        return _promise(path, own, _content(root, own))
    folder = (Path(path).parent / FOLDER).as_posix()
    if not (root / folder).is_file():
        return None
    listed = _content(root, folder)
    name = Path(path).name
    return _promise(path, folder, listed[name]) if name in listed else None


def promised(root: Path, manifest: str) -> list[Promise]:
    """Everything that one manifest promises. Raises SourceError as ``promise`` does."""
    content = _content(root, manifest)
    if Path(manifest).name == FOLDER:
        files = {(Path(manifest).parent / name).as_posix(): entry for name, entry in content.items()}
    else:
        files = {manifest.removesuffix(SUFFIX): content}
    return [_promise(file, manifest, entry) for file, entry in files.items()]


def _content(root: Path, manifest: str) -> dict[str, Any]:
    try:
        content = json.loads((root / manifest).read_bytes())
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{manifest}: not readable as JSON ({error}). Deliver the manifest again.") from error
    if not isinstance(content, dict):
        raise SourceError(f"{manifest}: holds no JSON object. Deliver the manifest again.")
    return content


def _promise(file: str, manifest: str, entry: Any) -> Promise:
    known = {"rows", "sha256"}
    if not isinstance(entry, dict) or not entry.keys() <= known:
        raise SourceError(
            f'{manifest}: {json.dumps(entry)} for {file}. Write {{"rows": …, "sha256": …}}, or only one of them.'
        )
    rows, sha256 = entry.get("rows"), entry.get("sha256")
    if rows is not None and (type(rows) is not int or rows < 0):
        raise SourceError(f"{manifest}: rows {rows!r} for {file} is no number of rows. Correct the manifest.")
    if sha256 is not None and not (isinstance(sha256, str) and re.fullmatch("[0-9a-fA-F]{64}", sha256)):
        raise SourceError(f"{manifest}: sha256 {sha256!r} for {file} is no hexadecimal SHA-256. Correct the manifest.")
    return Promise(file, manifest, rows, sha256.lower() if sha256 else None)
