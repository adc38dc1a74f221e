"""The gate: what a challenger must show before it may take the champion's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from holdfast.model.candidates import CANDIDATES
from holdfast.model.comparison import Difference
from holdfast.model.evaluation import Evaluation
from holdfast.model.fairness import Fairness
from holdfast.model.record import ModelVersion
from holdfast.rules import Gate


@dataclass(frozen=True)
class Check:
    """One condition of the gate: whether it holds, and what was found, in words."""

    name: str
    passed: bool
    found: str


@dataclass(frozen=True)
class Verdict:
    """All conditions, and whether every one of them holds."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def reason(self) -> str:
        """One sentence: what speaks against the challenger, or else what speaks for it."""
        if self.passed:
            return f"Passed: {'; '.join(check.found for check in self.checks)}."
        return f"Not passed: {'; '.join(check.found for check in self.checks if not check.passed)}."


def trusted_cutoffs(test_cutoffs: Sequence[date], trained_to: date) -> tuple[date, ...]:
    """The test cutoffs on which a model whose training labels end at ``trained_to`` (exclusive) may be judged."""
    return tuple(cutoff for cutoff in test_cutoffs if cutoff >= trained_to)


def beats_the_rules(differences: Mapping[str, Difference]) -> Check:
    """The challenger against each simple rule (by name, at least one), on the same customers and test cutoffs.

    It need not be surely better, for a small shop could never show that, and a rule is no champion to keep instead.
    """
    name, difference = min(differences.items(), key=lambda item: item[1].value)
    better = difference.value > 0
    verb = "better than" if better else "no better than"
    doubt = ", which may be chance" if better and difference.interval.low <= 0 else ""
    return Check("simple rules", better, f"{verb} {name} ({_told(difference)}){doubt}")


def deserves_the_place(challenger: ModelVersion, champion: ModelVersion, difference: Difference, gate: Gate) -> Check:
    """The challenger against the champion, on test cutoffs later than anything either has learned from.

    Better is enough. So is not worse (by more than ``gate.margin``) if the challenger is as simple or simpler: between
    equals, who learned from later outcomes is the better bet.
    """
    rival = f"champion version {champion.version}"
    if difference.interval.low > 0:
        return Check("champion", True, f"better than {rival} ({_told(difference)})")
    if difference.interval.low <= -gate.margin:
        return Check("champion", False, f"not shown to be as good as {rival} ({_told(difference)})")
    simpler = _complexity(challenger.candidate) - _complexity(champion.candidate)
    if simpler > 0:
        found = f"not shown to be better than {rival} ({_told(difference)}), and {challenger.candidate} is less simple"
        return Check("champion", False, found)
    merit = "simpler" if simpler < 0 else f"has learned from outcomes up to {challenger.trained_to}"
    return Check("champion", True, f"not worse than {rival} ({_told(difference)}), and {merit}")


def calibrated(evaluation: Evaluation, gate: Gate) -> Check:
    """Whether a probability means what it says, on the mean of the test cutoffs.

    A perfect model has an error too, the greater the fewer customers it is judged on; only what is beyond it counts.
    """
    mean = evaluation.mean
    excess = mean.calibration_error - mean.calibration_error_by_chance
    found = (
        f"calibration error {mean.calibration_error:.3f}, of which {mean.calibration_error_by_chance:.3f} by chance "
        f"(limit {gate.calibration_error:g} beyond it)"
    )
    return Check("calibration", excess <= gate.calibration_error, found)


def fair(fairness: Fairness | None) -> Check:
    """Whether the model serves the groups that the rules name alike (``holdfast.model.fairness``)."""
    if fairness is None:
        return Check("fairness", True, "fairness not judged, as the rules name no groups")
    if fairness.within_limit:
        return Check("fairness", True, f"fair to {len(fairness.groups)} groups")
    return Check("fairness", False, f"not fair: {'; '.join(fairness.breaches)}")


def fast(seconds: float, customers: int, gate: Gate) -> Check:
    """Whether scoring, which took ``seconds`` for so many ``customers``, is fast enough."""
    milliseconds = 1000 * seconds / customers * 1000
    return Check(
        "scoring time",
        milliseconds <= gate.scoring_milliseconds,
        f"{milliseconds:.0f} ms for 1,000 customers (limit {gate.scoring_milliseconds:g})",
    )


def known_data(recorded: Mapping[str, int], present: Mapping[str, int]) -> Check:
    """Whether the data that the model learned from can still be told: lake tables and their versions."""
    gone = [f"{table} v{version}" for table, version in recorded.items() if version > present.get(table, -1)]
    if not recorded or gone:
        lost = f"the lake has no {', '.join(gone)}" if gone else "the run names no lake version"
        return Check("data", False, f"its data are unknown: {lost}")
    return Check("data", True, f"data {', '.join(f'{table} v{version}' for table, version in recorded.items())}")


def _complexity(candidate: str) -> int:
    """The candidate's place from simple to complex; one that is no longer known counts as the most complex."""
    names = list(CANDIDATES)
    return names.index(candidate) if candidate in names else len(names)


def _told(difference: Difference) -> str:
    low, high = difference.interval.low, difference.interval.high
    return f"{difference.metric} {difference.value:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}"
