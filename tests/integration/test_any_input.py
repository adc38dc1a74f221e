"""Whatever arrives, every parser gives a result or one clear HoldfastError: never another exception."""

import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from holdfast import contract
from holdfast.adapters import files, manifests
from holdfast.adapters.channels.configured import Channels
from holdfast.adapters.csv_import import read_rows
from holdfast.adapters.yaml_files import load
from holdfast.campaign.definition import Campaign
from holdfast.campaign.links import Links
from holdfast.campaign.signing import is_signed, key_of
from holdfast.contract import RowRule
from holdfast.errors import HoldfastError, SettingsError, SourceError
from holdfast.expressions import ROW, Expression, Operand, evaluate
from holdfast.guessing import mapping_text
from holdfast.language import language_of
from holdfast.mapping import Format
from holdfast.mapping import Mapping as SourceMapping
from holdfast.pipelines.redeem import codes_of, reports_of
from holdfast.public.words import language
from holdfast.rules import Rules
from holdfast.schemas import TABLES
from tests.fakes.hostile import NASTY, changed
from tests.fakes.operations import NOON
from tests.fakes.workbook import moment, number, workbook
from tests.fakes.workbook import text as cell

ZONES = ("UTC", "America/New_York", None)

EXAMPLES = [pytest.param(15, id="some"), pytest.param(600, id="many", marks=pytest.mark.full)]
"""How many inputs each parser is given."""

many = pytest.mark.parametrize("examples", EXAMPLES)


def holds(examples: int, inputs: st.SearchStrategy[Any], parse: Callable[[Any], Any], good: Sequence[Any] = ()) -> None:
    """Parse so many inputs; anything but a result or a HoldfastError fails, and so does a refusal of a ``good`` one."""
    for one_good in good:
        parse(one_good)

    @settings(
        max_examples=examples,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        database=None,
    )
    @given(inputs)
    def one(given_input: Any) -> None:
        try:
            parse(given_input)
        except HoldfastError:
            return

    one()


def damaged(*whole: bytes) -> st.SearchStrategy[bytes]:
    """Any bytes, and these files with pieces cut out, doubled, or replaced."""

    @st.composite
    def cut(draw: st.DrawFn) -> bytes:
        content = bytearray(draw(st.sampled_from(whole)))
        for _ in range(draw(st.integers(0, 4))):
            at = draw(st.integers(0, len(content)))
            end = min(len(content), at + draw(st.integers(0, 12)))
            piece = draw(st.one_of(st.binary(max_size=8), st.sampled_from(NASTY), st.just(bytes(content[at:end]) * 2)))
            content[at:end] = piece
        return bytes(content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 3)) == 0 else content)

    return st.one_of(st.binary(max_size=200), cut())


def a_parquet(**columns: pa.Array) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"id": pa.array(["7", None]), "n": pa.array([1.5, 2.5]), **columns}), out)
    return out.getvalue()


LANDED = {
    "csv": (b'id,amount,at\r\n7,1.50,2017-11-26T12:00:00Z\r\n8,"2,5",\r\n', b"a;b\n\xe9;2\n"),
    "jsonl": (b'{"id": "7", "n": 1.50, "tags": ["a"]}\n{"id": "8", "more": {"a": null}}\n',),
    "parquet": (a_parquet(), a_parquet(tags=pa.array([["a"], None]))),
    "excel": (workbook([[cell("id"), cell("amount"), cell("at")], [cell("7"), number(1.5), moment(43065.5)]]),),
}


@many
@pytest.mark.parametrize("kind", list(LANDED))
def test_landing_files(kind: Any, examples: int, tmp_path: Path) -> None:
    file = tmp_path / "file"

    def parse(content: bytes) -> None:
        file.write_bytes(content)
        read = files.read(file, Format(kind=kind), "orders/file")
        assert read.rows.num_rows or read.broken

    plain, *_ = LANDED[kind]
    holds(examples, damaged(*LANDED[kind]), parse, [plain])


SAMPLES = {
    "csv": LANDED["csv"][0],
    "csv.gz": gzip.compress(LANDED["csv"][0]),
    "jsonl": LANDED["jsonl"][0],
    "parquet": LANDED["parquet"][0],
    "xlsx": LANDED["excel"][0],
}


@many
@pytest.mark.parametrize("ending", list(SAMPLES))
def test_samples_to_guess_a_mapping_from(ending: str, examples: int, tmp_path: Path) -> None:
    file = tmp_path / f"sample.{ending}"

    def parse(content: bytes) -> None:
        file.write_bytes(content)
        mapping_text("shop", [files.sample(file)], "USD")

    wholes = [one for several in LANDED.values() for one in several]
    holds(examples, damaged(SAMPLES[ending], *wholes), parse, [SAMPLES[ending]])


@many
@pytest.mark.parametrize("name", ["manifest.json", "orders.csv.manifest.json"])
def test_manifests(name: str, examples: int, tmp_path: Path) -> None:
    of_folder = b'{"orders.csv": {"rows": 3, "sha256": "%s"}, "more.csv": {"rows": 1}}' % (b"a" * 64)
    of_file = b'{"rows": 3}'

    def parse(content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        manifests.promised(tmp_path, name)
        manifests.promise(tmp_path, "orders.csv")

    holds(examples, damaged(of_folder, of_file), parse, [of_folder if name == manifests.FOLDER else of_file])


SETTINGS_FILES = {
    "rules": ("config/retention.yaml", Rules),
    "campaign": ("campaigns/win_back.yaml", Campaign),
    "mapping": ("sources/complete_journey.yaml", SourceMapping),
    "channels": ("config/channels.yaml", Channels),
}


@many
@pytest.mark.parametrize("what", list(SETTINGS_FILES))
def test_settings_files(what: str, examples: int, project: Path, tmp_path: Path) -> None:
    path, model = SETTINGS_FILES[what]
    file = tmp_path / "settings.yaml"

    def parse(content: bytes) -> None:
        file.write_bytes(content)
        load(file, model)

    whole = (project / path).read_bytes()
    lines = whole.splitlines(keepends=True)
    holds(examples, damaged(whole, b"".join(lines[: len(lines) // 2]), b"a: {b: [1, 2]}\n"), parse, [whole])


@many
@pytest.mark.parametrize("what", list(SETTINGS_FILES))
def test_settings_with_one_value_changed(what: str, examples: int, project: Path, tmp_path: Path) -> None:
    import yaml

    path, model = SETTINGS_FILES[what]
    file = tmp_path / "settings.yaml"

    def parse(content: Any) -> None:
        file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8", errors="replace")
        load(file, model)

    whole = yaml.safe_load((project / path).read_text())
    holds(examples, changed(whole), parse, [whole])


TEXTS = st.text(max_size=30) | st.sampled_from(
    ["", " ", "NaN", "1e999", "-", "0001-01-01T00:00:00+23:59", "99999999999999999999", '{"a":' * 3000, "2017-02-30"]
)
OPERATION: TypeAdapter[Expression] = TypeAdapter(Operand)


@many
def test_expressions_on_any_text(examples: int) -> None:
    whole = [
        {"number": "a", "decimal": ",", "thousands": "."},
        {"time": "a", "format": "%d/%m/%Y %H:%M %z"},
        {"time": "a", "format": "epoch seconds"},
        {"time": "a", "format": "epoch milliseconds"},
        {"json_field": "a", "key": "page"},
        {"split": "a", "separator": ">", "part": 2},
        {"sum": ["a", "b"]},
        {"product": ["a", "b"]},
        {"difference": ["a", "b"]},
        {"digest": ["a", "b"]},
        {"first": ["a", "b"]},
        {"join": ["a", "b"], "separator": "-"},
        {"replace": "a", "table": {"x": "y"}},
        {"row_number": ["a"]},
        {"cases": [{"when": {"of": "a", "equals": "x"}, "then": "b"}], "otherwise": {"value": "z"}},
        {"whole": "a"},
        {"negate": "a"},
        {"absolute": "a"},
    ]

    for operation in whole:
        OPERATION.validate_python(operation)

    def parse(given_input: tuple[Any, list[str]]) -> None:
        operation, texts = given_input
        try:
            expression = OPERATION.validate_python(operation)
        except ValidationError:
            return  # told by the settings file's reader
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        columns = {name: pa.chunked_array([pa.array(clean, pa.string())]) for name in ("a", "b", "page")}
        table = pa.table(columns | {ROW: pa.array(range(2, 2 + len(clean)))})
        if set(expression.sources) <= {"a", "b", "page"}:
            found = evaluate(expression, table)
            assert len(found) == len(texts)
            assert found.null_count == 0

    operations = st.sampled_from(whole) | st.sampled_from(whole).flatmap(changed)
    holds(examples * 3, st.tuples(operations, st.lists(TEXTS, min_size=1, max_size=5)), parse)


@many
@pytest.mark.parametrize("table", list(TABLES))
def test_rows_of_any_text_are_accepted_or_rejected_one_by_one(table: str, examples: int) -> None:
    """Times, consents, numbers and ids of every canonical table."""
    declared = TABLES[table]
    names = [column.name for column in declared.columns]

    def parse(rows: list[list[str]]) -> None:
        clean = [[text.encode("utf-8", "replace").decode() for text in row] for row in rows]
        columns = {name: pa.array([row[i] for row in clean], pa.string()) for i, name in enumerate(names)}
        count = len(rows)
        provenance = {
            "batch": pa.array(["b"] * count),
            "file": pa.array(["f"] * count),
            "row": pa.array(range(2, count + 2), pa.int64()),
            "zone": pa.array([ZONES[len(rows) % len(ZONES)]] * count, pa.string()),
            "latest": pa.array([NOON] * count, pa.timestamp("us", tz="UTC")),
        }
        held = pd.DataFrame(columns=[*declared.names, "batch"])
        known = {column.name: {"7"} for column in declared.columns if column.references}
        found = contract.check(declared, pa.table(columns | provenance), known, held)
        assert len(found.accepted) + found.rejected["row"].nunique() <= count

    row = st.lists(TEXTS, min_size=len(names), max_size=len(names))
    holds(max(10, examples // 3), st.lists(row, min_size=1, max_size=4), parse)


@many
def test_redemptions_and_codes(examples: int, tmp_path: Path) -> None:
    file = tmp_path / "redemptions.csv"
    head = b"redemption_id,code,redeemed_at,basket,discount,order_id\n"
    whole = head + b'r1,ABCD,2017-11-26T17:00:00Z,42.50,5.00,o1\nr2,"E F",2017-11-26T17:00:00+01:00,1,0.5,\n'

    def parse(content: bytes) -> None:
        file.write_bytes(content)
        reports_of(read_rows(file), file.name)

    holds(examples * 2, damaged(whole), parse, [whole])
    holds(examples, st.text(max_size=200), lambda text: codes_of(text, "codes.txt"), ["ABCD\n"])


@many
def test_tokens_signatures_and_languages_are_never_a_fault(examples: int) -> None:
    links = Links("https://shop.example/mail", ("a key for tests",))

    def parse(text: str) -> None:
        assert links.reference(text) is None
        headers = dict.fromkeys(("webhook-id", "webhook-timestamp", "webhook-signature"), text)
        assert not is_signed([b"k" * 32], headers, b"", NOON)
        language(text, None)
        language_of(text)
        with pytest.raises(SettingsError):
            key_of(text)

    holds(examples * 3, st.text(max_size=60), parse)


@pytest.mark.parametrize(
    ("kind", "content", "broken"),
    [
        ("csv", b"id\rx,amount\n7,1\n", {2: RowRule.COLUMNS, 3: RowRule.COLUMNS}),  # a lone return ends the header
        ("jsonl", b'{"id": "\\ud800"}', {1: RowRule.NOT_JSON}),
        ("jsonl", b'{"\\ud800": 1}', {1: RowRule.NOT_JSON}),
    ],
)
def test_rows_that_once_were_a_fault_are_broken(
    kind: Any, content: bytes, broken: dict[int, RowRule], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(content)
    read = files.read(tmp_path / "file", Format(kind=kind), "file")
    assert {row.row: row.rule for row in read.broken} == broken
    assert read.rows.num_rows == 0


def test_a_file_of_a_byte_order_mark_alone_has_no_header(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbf")
    with pytest.raises(SourceError, match=r"^file, line 1: no header \(nothing\)"):
        files.read(tmp_path / "file", Format(kind="csv"), "file")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("first_cutoff: 2017-02-30", "day is out of range"),
        ("? [a]\n: b\n", "a key must be a word"),
        ("a: &a [*a]\n", "recursive node"),
        ("[" * 3000, "nested too deeply"),
    ],
)
def test_settings_that_once_were_a_fault_name_the_file(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(SettingsError, match=rf"rules.yaml.*{told}"):
        load(tmp_path / "rules.yaml", Rules)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("r1,A,0001-01-01T00:00:00+23:59,1,1,", "redeemed_at .* outside the years"),
        ("r1,A,2017-11-26T12:00:00,1,1,", "has no zone"),
        ("r\x001,A,2017-11-26T12:00:00Z,1,1,", "redemption_id"),
        ("r1,A,2017-11-26T12:00:00Z,1,1," + "o" * 201, "order_id"),
        ("r1," + "A" * 200_000 + ",2017-11-26T12:00:00Z,1,1,", "not readable as CSV"),
    ],
)
def test_redemptions_that_once_were_a_fault_name_row_and_field(row: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "used.csv"
    file.write_text(f"redemption_id,code,redeemed_at,basket,discount,order_id\n{row}\n")
    with pytest.raises(HoldfastError, match=rf"used.csv.*{told}"):
        reports_of(read_rows(file), file.name)


def test_the_property_fails_for_a_parser_that_lets_another_exception_out() -> None:
    with pytest.raises(RecursionError):
        holds(50, st.just(b"[" * 100_000), json.loads)
