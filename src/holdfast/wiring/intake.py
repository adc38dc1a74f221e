"""What comes in: landing files, simulated ones among them, their mappings, quarantine, quality; the lake's upkeep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from holdfast import guessing
from holdfast.adapters import files, queries, sample, simulated_files
from holdfast.adapters.atomic import write_bytes
from holdfast.adapters.quality import GreatExpectations
from holdfast.adapters.quality import write_suites as write_quality_suites
from holdfast.adapters.sources import LandingDirectory
from holdfast.adapters.yaml_files import load
from holdfast.errors import SettingsError
from holdfast.mapping import Mapping as SourceMapping
from holdfast.pipelines.identities import hold_to_pseudonyms
from holdfast.pipelines.ingest import Ingest
from holdfast.pipelines.preview import Preview
from holdfast.pipelines.preview import preview as _preview
from holdfast.pipelines.quarantine import row_values, standing
from holdfast.pipelines.retry import Retry
from holdfast.rules import Shop
from holdfast.simulator.config import ShopConfig
from holdfast.simulator.shop import SimulatedShop
from holdfast.wiring.stores import identities, lake, now, pseudonyms, rules, settings, vault


def source_mapping(shop: Shop, name: str | None = None) -> SourceMapping:
    """The shop's source mapping, held to the shop's currency; one of another ``name`` is held to its own."""
    path = settings().sources_dir / f"{name or shop.source}.yaml"
    source = load(path, SourceMapping)
    if name not in (None, shop.source):
        return source
    if source.currency not in (None, shop.currency):
        raise SettingsError(
            f"{path}: currency {source.currency}, but the rules of {shop.name} say {shop.currency}. Make them agree."
        )
    return source.model_copy(update={"currency": shop.currency})


def ingest() -> Ingest:
    """Raises SettingsError where the lake knows customers by other names than ingestion would give them."""
    hold_to_pseudonyms(lake(), vault(), pseudonyms())
    return arrivals()


def arrivals() -> Ingest:
    """What has landed, to be asked about: nothing is read from the vault."""
    here, own = settings(), rules()
    shop = own.shop
    return Ingest(
        landing=LandingDirectory(here.landing),
        source=source_mapping(shop),
        zone=shop.zone,
        lake=lake(),
        vault=vault(),
        quality=quality(),
        now=now(),
        rules=own.ingest,
        calendar=shop.calendar,
        identities=identities(),
    )


def latest_cutoff() -> date:
    """The latest day up to which the lake is complete."""
    return arrivals().complete_to()


def compact(least_files: int | None = None) -> list[dict[str, Any]]:
    """Compact every table of the lake that has many small files; returns those that changed, with their file counts.

    ``least_files`` is from how many files on a table is compacted; the lake's own default if left out.
    """
    store = lake()
    done = [store.compact(table, *([] if least_files is None else [least_files])) for table in store.tables()]
    return [asdict(one) for one in done if one.after < one.before]


def preview(file: Path, source: str | None, at: datetime, show: int) -> Preview:
    """What the mapping (default: the shop's) makes of a file, as if it landed ``at``."""
    shop = rules().shop
    landing = LandingDirectory(Path(file.resolve().anchor))
    path = str(file.resolve().relative_to(file.resolve().anchor))
    today = at.astimezone(shop.zone).date()
    return _preview(source_mapping(shop, source), landing, path, zone=shop.zone, today=today, show=show)


def guess_source(name: str, samples: Sequence[Path], currency: str) -> Path:
    """Write ``sources/<name>.yaml`` guessed from samples. Raises SettingsError where there is one already."""
    target = settings().sources_dir / f"{name}.yaml"
    if target.exists():
        raise SettingsError(f"{target} exists and is not overwritten. Choose another name, or move it away.")
    write_bytes(target, guessing.mapping_text(name, [files.sample(path) for path in samples], currency).encode())
    return target


def pull(day: date, source: str | None) -> dict[str, queries.Pulled]:
    """Land the day's rows of every query of the mapping (default: the shop's), by input."""
    here, shop = settings(), rules().shop
    return {
        name: queries.pull(one, here.landing, day, shop.zone, here.source_urls)
        for name, one in source_mapping(shop, source).inputs.items()
        if one.query is not None
    }


def quarantine() -> pd.DataFrame:
    """Everything ever quarantined, with what settled it (``pipelines.quarantine.standing``)."""
    return standing(lake())


def quarantined_row(file: str, number: int, personal: bool) -> dict[str, dict[str, str]]:
    """What the mapping makes of one row of a landing file, masked unless ``personal``."""
    shop = rules().shop
    landing = LandingDirectory(settings().landing)
    return row_values(landing, source_mapping(shop), shop.zone, file=file, number=number, personal=personal)


def retry(now: datetime) -> Retry:
    here, shop = settings(), rules().shop
    return Retry(
        ingest(),
        landing=LandingDirectory(here.landing),
        source=source_mapping(shop),
        zone=shop.zone,
        lake=lake(),
        vault=vault(),
        quality=quality(),
        now=now,
        identities=identities(),
    )


def quality() -> GreatExpectations:
    return GreatExpectations(settings().quality_dir, settings().quality_output)


def write_suites() -> list[Path]:
    """Write the Great Expectations suites anew from the data contract."""
    return write_quality_suites(settings().quality_dir)


def write_reference(pages: Mapping[str, str]) -> list[Path]:
    """Write reference pages, given by file name, into ``docs/``."""
    paths = [settings().project / "docs" / name for name in pages]
    for path, text in zip(paths, pages.values(), strict=True):
        write_bytes(path, text.encode())
    return paths


def land_sample(until: date, share: float) -> sample.Landed:
    """Land the Complete Journey's history up to ``until`` for this share of its customers."""
    return sample.land(settings().landing, until=until, customers_share=share)


def shop_config(path: Path | None = None) -> ShopConfig:
    """What the simulated shop is like, by default as ``config/simulator.yaml`` says."""
    return load(path or settings().project / "config" / "simulator.yaml", ShopConfig)


def simulate(
    out: Path, *, config: Path | None, customers: int, days: int, seed: int, truth_days: int
) -> simulated_files.Simulated:
    """Simulate a shop into ``out``. Raises SettingsError when the folder holds anything already."""
    if out.exists() and any(out.iterdir()):
        raise SettingsError(f"{out} is not empty, and simulated files must not mix with others. Name a new folder.")
    shop = SimulatedShop(shop_config(config), customers, seed)
    return simulated_files.simulate(shop, days, out, truth_days)
