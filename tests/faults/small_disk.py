"""A disk of a few megabytes that can be filled to the last byte."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(at: Path, megabytes: int = 24) -> Iterator[SmallDisk]:
    """Mount a disk of its own at this folder while the block runs; skips where that is not allowed."""
    at.mkdir(parents=True)
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small disk that this test fills")
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(at)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here to be filled: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(at)
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


class SmallDisk:
    def __init__(self, root: Path) -> None:
        self.root = root
        self._ballast = root / "ballast"

    def fill(self, leaving: int = 0) -> None:
        """Take all room but so many bytes."""
        with self._ballast.open("wb") as file, suppress(OSError):
            free = os.statvfs(self.root).f_bavail * os.statvfs(self.root).f_frsize - leaving
            for start in range(0, max(free, 0), 1 << 20):
                file.write(b"\0" * min(1 << 20, free - start))
                file.flush()

    def clear(self) -> None:
        self._ballast.unlink()
