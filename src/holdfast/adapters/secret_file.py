"""A secret that is made on first use and kept in a file that only this user can read."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

_BYTES = 32


def kept_secret(path: Path) -> str:
    """The secret in the file; of two processes that make it at once, both get the same one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        made.touch(mode=0o600)
        made.write_text(secrets.token_urlsafe(_BYTES), encoding="ascii")
        with suppress(FileExistsError):
            os.link(made, path)  # all or nothing, and never over one that is there
        made.unlink()
    return path.read_text(encoding="ascii")
