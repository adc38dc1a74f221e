"""The landing directory: which files have landed, who they are, and what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from holdfast.adapters import files, manifests
from holdfast.errors import SourceError
from holdfast.mapping import Format
from holdfast.ports import FileContent, Promise


class LandingDirectory:
    """The Landing port on a folder. A file whose name begins with a dot is still being written and is left alone."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def paths(self) -> list[str]:
        return [path for path in self._files() if not manifests.is_manifest(Path(path).name)]

    def promise(self, path: str) -> Promise | None:
        return manifests.promise(self._root, path)

    def awaited(self) -> list[Promise]:
        files = self._files()
        promises: dict[str, Promise] = {}
        for manifest in (path for path in files if manifests.is_manifest(Path(path).name)):
            with suppress(SourceError):  # told when a file it speaks of is read
                promises |= {one.file: one for one in manifests.promised(self._root, manifest)}
        return [promises[file] for file in sorted(promises.keys() - set(files))]

    def _files(self) -> list[str]:
        found = (path for path in self._root.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self._root).as_posix() for path in found)

    def batch(self, path: str) -> str:
        with (self._root / path).open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files, and folders that are empty then."""
        for path in paths:
            file = self._root / path
            file.unlink(missing_ok=True)
            if not any(file.parent.iterdir()) and file.parent != self._root:
                file.parent.rmdir()

    def read(self, path: str, form: Format) -> FileContent:
        return files.read(self._root / path, form, path)
