import numpy as np
import pyarrow as pa
import pytest

from holdfast.features.partition import partition_of


def test_an_id_has_the_same_partition_in_every_process_and_for_ever() -> None:
    ids = pa.array(["00123", "NA", "", "Zoë", "c0000001"])
    assert partition_of(ids, 1_000).tolist() == [962, 918, 0, 995, 621]
    assert partition_of(ids, 65_535).tolist() == [23_682, 51_728, 0, 53_795, 56_856]


def test_the_ids_beside_it_do_not_move_an_id() -> None:
    ids = pa.array(["00123", "NA", "", "Zoë", "c0000001"])
    alone = [partition_of(ids.slice(at, 1), 1_000)[0] for at in range(5)]
    assert alone == partition_of(ids, 1_000).tolist()


@pytest.mark.parametrize("partitions", [1, 3, 64])
def test_ids_that_differ_little_are_spread_evenly(partitions: int) -> None:
    ids = pa.array([f"c{number:07}" for number in range(20_000)])
    counts = np.bincount(partition_of(ids, partitions), minlength=partitions)
    assert counts.min() > 0.8 * len(ids) / partitions
    assert counts.max() < 1.2 * len(ids) / partitions


def test_no_ids_have_no_partitions() -> None:
    assert partition_of(pa.array([], pa.string()), 4).tolist() == []
