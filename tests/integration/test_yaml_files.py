from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.adapters.yaml_files import load
from holdfast.campaign.definition import Campaign
from holdfast.errors import SettingsError
from holdfast.mapping import Mapping
from holdfast.rules import Rules

PROJECT = Path(__file__).parents[2]
RULES = (PROJECT / "config" / "retention.yaml").read_text(encoding="utf-8")


def load_rules(tmp_path: Path, text: str) -> Rules:
    path = tmp_path / "retention.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, Rules)


def test_the_committed_files_are_valid() -> None:
    assert load(PROJECT / "config" / "retention.yaml", Rules).label.horizon_days == 28
    for source in (PROJECT / "sources").rglob("*.yaml"):
        assert load(source, Mapping).inputs
    for rules in (PROJECT / "config" / name for name in ("retention.yaml", "online_retail.yaml")):
        shop = load(rules, Rules).shop
        assert load(PROJECT / "sources" / f"{shop.source}.yaml", Mapping).currency in (None, shop.currency)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("horizon_days:", "horizon_dais:", r"label\.horizon_dais: unknown key; did you mean 'horizon_days'\?"),
        ("medium: 0.25", "medum: 0.25", r"tiers\.threshold\.medum: unknown key; did you mean 'medium'\?"),
        ("horizon_days: 28", "horizon_days: 0", r"label\.horizon_days: 0: .*greater than or equal to 1"),
        ("America/New_York", "Amerika/New_York", r"shop\.timezone: 'Amerika/New_York': .*no IANA time zone"),
        ("  horizon_days: 28", "  other: 1", r"label\.horizon_days: missing"),
        ("  medium: 0.25", "  medium: 0.75", r"must lie below high"),
        ("  seed: 7", "  seed: 7\n  seed: 8", r"'seed' is written twice"),
        ("label:", "label: [", r"not valid YAML.*"),
        ("shop:", "shop: !!python/object:os.system", r"not valid YAML"),
    ],
)
def test_a_fault_is_named_by_file_key_value_and_remedy(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in RULES
    with pytest.raises(SettingsError, match=rf"(?s)retention\.yaml.*{message}"):
        load_rules(tmp_path, RULES.replace(old, new))


def test_every_fault_is_listed_at_once(tmp_path: Path) -> None:
    text = RULES.replace("horizon_days: 28", "horizon_days: 0").replace("shards: 4", "shards: 0")
    with pytest.raises(SettingsError) as caught:
        load_rules(tmp_path, text)
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.yaml does not exist"):
        load(tmp_path / "absent.yaml", Rules)
    (tmp_path / "latin.yaml").write_bytes(b"shop: Caf\xe9")
    with pytest.raises(SettingsError, match=r"latin\.yaml, byte 9: not UTF-8"):
        load(tmp_path / "latin.yaml", Rules)


def test_an_unknown_key_deep_in_an_expression_is_told_its_neighbours(tmp_path: Path) -> None:
    text = (PROJECT / "sources" / "online_retail.yaml").read_text(encoding="utf-8")
    path = tmp_path / "shop.yaml"
    path.write_text(text.replace("{absolute: Quantity}, UnitPrice", "{absolut: Quantity}, UnitPrice"), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"order_lines\.columns\.amount\.product\.0\.absolut: .*'absolute'"):
        load(path, Mapping)
    path.write_text(text.replace("below: 0}", "belov: 0}"), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"exclude\.1\.when\.all\.0\.belov: .*'below'"):
        load(path, Mapping)


def test_an_unknown_key_deep_in_a_mapping_is_told_its_neighbours(tmp_path: Path) -> None:
    text = (PROJECT / "sources" / "complete_journey.yaml").read_text(encoding="utf-8")
    path = tmp_path / "shop.yaml"
    path.write_text(text.replace("keep: distinct", "keeps: distinct"), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"inputs\.transactions\.tables\.orders\.keeps: .*'keep'"):
        load(path, Mapping)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: win_back\nsmtp_password: hunter2", "smtp_password"),
        ("arms:\n  - message: {api_key: abc123}", "arms.0.message.api_key"),
        ("name: https://anna:hunter2@shop.example/", "name"),
        ("name: whsec_a2V5a2V5a2V5", "name"),
    ],
)
def test_a_secret_written_literally_is_refused_by_its_place_and_never_repeated(
    tmp_path: Path, text: str, place: str
) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=rf"{place}: a secret is written literally") as caught:
        load(file, Campaign)
    assert not any(secret in str(caught.value) for secret in ("hunter2", "abc123", "a2V5"))
