"""Chance is the same whoever is asked for."""

import numpy as np

from holdfast.simulator.draws import BLOCK, Purpose, uniforms


def test_some_customers_meet_the_chances_that_they_meet_among_all() -> None:
    span = (5, BLOCK + 1_900)
    everybody = uniforms(1, Purpose.ORDERS, 3, span, 4)
    some = np.array([7, 1, BLOCK + 2])
    assert uniforms(1, Purpose.ORDERS, 3, span, 4, at=some).tolist() == everybody[:, some].tolist()
    assert ((everybody > 0) & (everybody < 1)).all()
