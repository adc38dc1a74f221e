"""Every stage killed by ``kill -9`` at its writes, or run twice at once: a retry ends as an undisturbed run does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.counting_sink import CountingSink, counting_sink
from tests.faults.stages import STAGES, Ended, Home

pytestmark = pytest.mark.full  # each test starts some twenty processes, each with the whole product to load


@dataclass(frozen=True)
class Undisturbed:
    """What the loop left behind in a home where nothing went wrong, and how many boundaries each stage crossed."""

    contents: dict[str, list[str]]
    boundaries: dict[str, int]


@contextmanager
def home(folder: Path, project: Path) -> Iterator[tuple[Home, CountingSink]]:
    """A home with its landing files, and the mail server that its messages go to."""
    with counting_sink(folder.with_name(f"{folder.name}-mail")) as sink:
        made = Home(folder, project, sink.port)
        made.value("land")
        yield made, sink


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Undisturbed:
    boundaries = {}
    with home(tmp_path_factory.mktemp("undisturbed") / "home", project) as (calm, _):
        for stage in STAGES:
            ended = calm.run(stage)
            assert (ended.broken, ended.killed, ended.error) == ([], False, None), ended.error
            boundaries[stage] = ended.boundaries
        contents = calm.value("contents")
    print(f"boundaries: {boundaries}")  # noqa: T201 - what the proof is quoted by
    return Undisturbed(contents, boundaries)


@pytest.mark.parametrize("kills", [1, 12])
def test_a_stage_killed_at_its_writes_ends_on_retry_as_if_nothing_had_been(
    undisturbed: Undisturbed, tmp_path: Path, project: Path, kills: int
) -> None:
    killed = dict.fromkeys(STAGES, 0)
    with home(tmp_path / "home", project) as (hit, sink):
        for number, stage in enumerate(STAGES):
            crossed = undisturbed.boundaries[stage]
            for turn in range(kills):
                # Spread over the stage, and elsewhere within each part from stage to stage. A try that finds most of
                # its work done crosses fewer boundaries, and so may end before it comes to its own.
                share = (turn + (0.5 if kills == 1 else (number * 0.37) % 1)) / kills
                ended = hit.run(stage, die_at=1 + int(share * crossed))
                assert_whole(ended)
                killed[stage] += ended.killed
            assert_whole(hit.run(stage))
        assert same(hit.value("contents"), undisturbed.contents) == []
        assert set(sink.taken.values()) == {1}
    print(f"killed: {killed}")  # noqa: T201 - what the proof is quoted by
    assert min(killed.values()) >= max(1, kills // 3)


def assert_whole(ended: Ended) -> None:
    """Nothing was broken, and no error but that another try, or the other of two, had made its model champion."""
    assert ended.broken == []
    refused = ("there is nothing to compare them on", "came between")
    assert ended.error is None or any(one in ended.error for one in refused), ended.error


def test_a_stage_run_twice_at_once_ends_as_one_run_does(
    undisturbed: Undisturbed, tmp_path: Path, project: Path
) -> None:
    with home(tmp_path / "home", project) as (both, sink):
        for stage in STAGES:
            for ended in [one.end() for one in [both.start(stage), both.start(stage)]]:
                assert not ended.killed
                assert_whole(ended)
        assert same(both.value("contents"), undisturbed.contents) == []
        assert set(sink.taken.values()) == {1}


def same(found: dict[str, list[str]], wanted: dict[str, list[str]]) -> list[str]:
    """The places whose rows differ, each with its first rows that do."""
    return [
        f"{name}: {sorted(set(found.get(name, [])) ^ set(wanted.get(name, [])))[:2]}, "
        f"{len(found.get(name, []))} rows for {len(wanted.get(name, []))}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
