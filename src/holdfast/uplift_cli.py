"""The `holdfast uplift` commands: whom campaigns move, which learner tells, and what more budget would bring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from holdfast import terminal

if TYPE_CHECKING:
    from holdfast.effect.policy_value import Gain
    from holdfast.pipelines.compare_uplift import ComparedUplift

app = typer.Typer(no_args_is_help=True, help="Whom campaigns move: learners, the decision, the value of more budget.")
_command = terminal.commands_of(app)


@_command("compare")
def compare(  # noqa: PLR0917 - its options
    campaign: Annotated[str, typer.Argument(help="A campaign run, such as win_back@2017-11-26, or an imported one.")],
    outcome: Annotated[str, typer.Option(help="retained, visited, orders, revenue, margin or net.")] = "retained",
    arm: Annotated[str | None, typer.Option(help="Look at this arm and the control only.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days of outcomes. Default: the label's horizon.")] = None,
    covariates: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            exists=True,
            dir_okay=False,
            help="What was known of customers before, instead of the features.",
        ),
    ] = None,
    columns: Annotated[str | None, typer.Option(metavar="NAMES", help="The columns of that file, with commas.")] = None,
    learners: Annotated[str | None, typer.Option(metavar="NAMES", help="With commas; by default the rules'.")] = None,
    scores: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Also write whom the best would treat, by pseudonym.")
    ] = None,
    result: Annotated[Path | None, typer.Option("--json", help="Also write all figures to this file.")] = None,
) -> None:
    """Compare uplift learners on a finished randomised campaign, and say whether one may decide. Registers nothing.

    Every customer is predicted by learners fitted without them. A gain is what the learner's policy brings beyond
    treating as many at random, a thousand customers; its 95 % interval holds for all learners at once.
    """
    from holdfast import wiring
    from holdfast.effect.uplift_gate import told

    wiring.prepare()
    names = wiring.rules().uplift.learners if learners is None else [one.strip() for one in learners.split(",")]
    found = wiring.compare_uplift(
        campaign, outcome=outcome, arm=arm, days=days, covariates=covariates, columns=columns, learners=names
    )
    terminal.show(_table(found))
    terminal.say(f"Treating as many at random brings {_told(found.assessment.random)} per 1,000 customers.")
    for name, limit in zip(found.on.arms, found.harmed_below, strict=True):
        if limit is not None:
            terminal.say(f"{name} surely harms those with a predicted effect of {limit:.4f} or less.")
    terminal.say(told(found.assessment.verdict))
    if scores is not None:
        wiring.export(scores, found.chosen(wiring.uplift_terms()))
        terminal.say(f"Whom {found.assessment.best.learner.name} would treat is in {scores}")
    if result is not None:
        result.write_text(json.dumps(_as_json(found), indent=2) + "\n", encoding="utf-8")
        terminal.say(f"All figures are in {result}")


@_command("show")
def show(campaign: Annotated[str, typer.Argument(help="A file of campaigns/, without .yaml.")]) -> None:
    """Show which uplift model chooses for a campaign, what the gate said, and the arms' learned shares."""
    from holdfast import wiring

    wiring.prepare()
    known = wiring.uplift_standing(campaign)
    models = Table("alias", "version", "learner", "learned up to", box=None)
    for alias, version in known.models.items():
        models.add_row(f"@{alias}", version.version, version.candidate, str(version.trained_to))
    terminal.show(models if known.models else f"No uplift model of {campaign} was registered yet. Run the learn DAG.")
    for alias, version in known.models.items():
        terminal.say(f"@{alias}: {version.verdict or 'No verdict yet.'}")
    if known.until is not None and "champion" not in known.models:
        terminal.say(f"Until one is champion, customers are chosen by {known.until}.")
    if known.predicted:
        terminal.say(f"Of {known.predicted:,} customers predicted, every arm surely harms {known.spared:,}.")
    if len(known.shares):
        shares = Table("segment", "arm", "share", "brought a customer", "customers", title="arms' shares", box=None)
        for row in known.shares.to_dict("records"):
            brought = f"{row['effect']:+,.2f} ±{1.96 * row['error']:,.2f}"
            names = escape(str(row["segment"])), escape(str(row["arm"]))
            shares.add_row(*names, f"{row['share']:.1%}", brought, f"{row['customers']:,}")
        terminal.show(shares)


@_command("budget")
def budget(
    campaign: Annotated[str, typer.Argument(help="A file of campaigns/, without .yaml.")],
    cutoff: Annotated[
        str | None, typer.Option(metavar="DATE", help="The scores. Default: the latest possible.")
    ] = None,
) -> None:
    """What more or less money would bring a campaign, by its champion's predictions, and what one unit more would."""
    from holdfast import wiring

    wiring.prepare()
    found = wiring.uplift_budget(campaign, cutoff or wiring.latest_cutoff().isoformat())
    table = Table("budget", "expected net value", "one unit more brings", box=None)
    for column in table.columns:
        column.justify = "right"
    for point in found.points:
        table.add_row(f"{point.money:,.2f}", f"{point.value:,.2f}", f"{point.marginal:,.3f}")
    terminal.show(table)
    terminal.say(f"Drawn in {found.picture}")


def _table(found: ComparedUplift) -> Table:
    table = Table("learner", *(f"Qini, {arm}" for arm in found.on.arms), "gain over random", "treated", box=None)
    for one in found.assessment.learners:
        name = f"[bold]{one.learner.name}[/]" if one is found.assessment.best else one.learner.name
        qini = [
            f"{ranking.qini:.3f} ({ranking.intervals['qini'].low:.3f} to {ranking.intervals['qini'].high:.3f})"
            for ranking in one.rankings.values()
        ]
        table.add_row(name, *qini, _told(one.over_random), f"{one.treated:.0%}")
    return table


def _told(gain: Gain) -> str:
    return f"{1000 * gain.value:+,.1f} ({1000 * gain.interval.low:+,.1f} to {1000 * gain.interval.high:+,.1f})"


def _as_json(found: ComparedUplift) -> dict[str, Any]:
    from holdfast.effect.uplift_gate import told

    def per_1000(gain: Gain) -> list[float]:
        return [round(1000 * value, 3) for value in (gain.value, gain.interval.low, gain.interval.high)]

    return {
        "customers": len(found.on),
        "decision": told(found.assessment.verdict),
        "random_per_1000": per_1000(found.assessment.random),
        "harmed_below": dict(zip(found.on.arms, found.harmed_below, strict=True)),
        "learners": {
            one.learner.name: {
                "qini": {arm: round(ranking.qini, 4) for arm, ranking in one.rankings.items()},
                "auuc": {arm: round(ranking.auuc, 5) for arm, ranking in one.rankings.items()},
                "over_random_per_1000": per_1000(one.over_random),
                "treated": round(one.treated, 4),
            }
            for one in found.assessment.learners
        },
    }
