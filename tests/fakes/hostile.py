"""Input that parsers have stumbled over."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

NASTY = [
    b"\x00",
    b"\xff\xfe",
    b'"',
    b"\r",
    b"\\ud800",
    b"1e999999999",
    b"NaN",
    b"-0",
    b"9" * 5000,
    b"[" * 3000,
    b'{"a":' * 3000,
    b"- " * 3000,
    b"2017-02-30",
    b"0001-01-01T00:00:00+23:59",
    b"9999-12-31T23:59:59-23:59",
    b"? [a]\n: b\n",
    b"&a [*a]",
    b"!!python/none ",
    b"<<: 1\n",
    b"0b_",
    b"1:60",
    b".inf",
    "é".encode("utf-16"),
]
"""Pieces of bytes."""

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["2017-02-30", "0001-01-01T00:00:00+23:59", "%Y%q", "(", "a" * 300]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def changed(whole: Any) -> st.SearchStrategy[Any]:
    """The value with one part of it replaced by any other JSON value, or taken out."""

    @st.composite
    def change(draw: st.DrawFn) -> Any:
        content = json.loads(json.dumps(whole, default=str))
        node = content
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
            if not keys:
                return draw(JSON)
            key = draw(st.sampled_from(keys))
            if isinstance(node[key], dict | list) and node[key] and draw(st.integers(0, 2)):
                node = node[key]
                continue
            if draw(st.booleans()):
                node[key] = draw(JSON)
            else:
                del node[key]
            return content

    return change()
