"""The `holdfast backtest` command: candidates side by side, out of time."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from holdfast import terminal

if TYPE_CHECKING:
    from holdfast.pipelines.compare import Compared

_SHOWN = {
    "auc": "AUC",
    "average_precision": "avg. precision",
    "brier": "Brier",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "lift_top_tenth": "lift, top tenth",
    "precision_at_recall_90": "precision at recall 0.9",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "expected_maximum_profit": "expected maximum profit",
    "lead_days": "lead, days",
}


def backtest(
    candidates: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Candidates with commas; by default those of the rules, or all.")
    ] = None,
    cutoff: Annotated[
        str | None, typer.Option(metavar="DATE", help="Pretend that it is this day; by default the latest possible.")
    ] = None,
    blend: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Members of the blend, with commas; by default as in the rules.")
    ] = None,
    result: Annotated[Path | None, typer.Option("--json", help="Also write all figures to this file.")] = None,
) -> None:
    """Backtest candidates over rolling cutoffs, without training or registering anything; needs the features DAG.

    Each test cutoff is predicted by a model fitted only on labels that had matured by then. Figures are means over the
    test cutoffs; after ± is half of the 95 % interval over customers drawn again.
    """
    from holdfast import wiring

    wiring.prepare()
    rules, day = wiring.rules(), date.fromisoformat(cutoff) if cutoff else wiring.latest_cutoff()
    names = _names(candidates, rules.training.candidates)
    members = None if blend is None else _names(blend, [])
    found: list[Compared] = []
    for one in wiring.compare(names, day, members):
        found.append(one)
        terminal.say(f"{one.candidate}: AUC {one.evaluation.mean.auc:.4f}. {one.treatment.calibration.reason}")
    terminal.show(_table(found))
    for line in beside(found):
        terminal.say(line)
    if result is not None:
        result.write_text(json.dumps([as_json(one) for one in found], indent=2) + "\n", encoding="utf-8")
        terminal.say(f"All figures are in {result}")


def _names(given: str | None, configured: list[str]) -> list[str]:
    from holdfast.model.candidates import CANDIDATES, candidate

    if given is None:
        return configured
    if given != "all":
        return [candidate(one.strip()).name for one in given.split(",")]
    for one in CANDIDATES.values():
        if not one.installed:
            terminal.say(f"{one.name} is left out: it needs {one.requires}, which is not installed.")
    return [one.name for one in CANDIDATES.values() if one.installed]


def _table(found: list[Compared]) -> Table:
    shown = list(found)
    table = Table("", *(one.candidate for one in shown), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, label in _SHOWN.items():
        table.add_row(label, *(_cell(one, name) for one in shown))
    return table


def _cell(one: Compared, name: str) -> str:
    value, interval = one.evaluation.mean.as_dict().get(name), one.evaluation.mean_intervals.get(name)
    if value is None:
        return "–"
    return f"{value:.3f}" if interval is None else f"{value:.3f} ±{(interval.high - interval.low) / 2:.3f}"


def beside(found: list[Compared]) -> list[str]:
    """What the table's figures must be read against."""
    mean, cutoffs = found[-1].evaluation.mean, found[-1].evaluation.cutoffs
    best = max(found, key=lambda one: one.evaluation.mean.auc)
    groups = "; ".join(
        f"{group.label} orders: {group.auc:.3f} of {group.rows:,}" for group in best.groups if group.auc is not None
    )
    return [
        f"Test cutoffs {', '.join(map(str, cutoffs))}; {mean.rows:,.0f} customers each on average, of whom "
        f"{mean.base_rate:.3f} churned. Calling everyone what most are has an accuracy of "
        f"{mean.majority_accuracy:.3f}; a perfect model of this size would still have a calibration error of "
        f"{mean.calibration_error_by_chance:.3f}.",
        f"AUC of {best.candidate} by past orders: {groups}.",
    ]


def as_json(one: Compared) -> dict[str, Any]:
    """Every figure of a candidate, fit for JSON."""
    evaluation = one.evaluation
    return {
        "candidate": one.candidate,
        "baseline": one.baseline,
        "features": one.features,
        "mean": _rounded(evaluation.mean.as_dict()),
        "intervals": {name: [round(of.low, 4), round(of.high, 4)] for name, of in evaluation.mean_intervals.items()},
        "by_cutoff": {str(day): _rounded(of.as_dict()) for day, of in evaluation.by_cutoff.items()},
        **({} if one.baseline else {"treatment": _treatment(one)}),
        "by_orders": {
            group.label: {
                "rows": group.rows,
                "base_rate": round(group.base_rate, 4),
                "auc": None if group.auc is None else round(group.auc, 4),
            }
            for group in one.groups
        },
    }


def _treatment(one: Compared) -> dict[str, Any]:
    chosen = one.treatment.calibration
    trials = {
        trial.method: _rounded({"brier": trial.brier, "calibration_error": trial.calibration_error})
        for trial in chosen.trials
    }
    return {
        "calibration": chosen.method,
        "calibration_reason": chosen.reason,
        "trials": trials,
        "single_buyers": one.treatment.single_buyers.reason,
    }


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}
