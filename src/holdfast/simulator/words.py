"""What simulated customers write in reviews."""

from __future__ import annotations

from holdfast.simulator.config import LABEL

_BY_STARS = {
    1: (
        "arrived broken and nobody answered",
        "never came, and the care desk had no idea",
        "was not what I ordered",
    ),
    2: ("came late and the box was open", "is flimsy for the price", "had to go back, which took weeks"),
    3: ("is all right, nothing more", "does its job but looks cheap", "took a while to arrive"),
    4: ("is good value", "works well, delivery was quick", "is nearly perfect"),
    5: ("is just what I wanted", "is lovely, I will order again", "came the next day, thank you"),
}


def review(stars: int, category: str, number: float) -> str:
    """A review's text; ``number`` in [0, 1) chooses among the ways to say it."""
    ways = _BY_STARS[stars]
    return f"My {category.lower()} item {ways[int(number * 1_000) % len(ways)]}. ({LABEL} review)"
