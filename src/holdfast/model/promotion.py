"""The gate: whether a challenger may take the champion's place, decided from figures on the same later cutoffs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from holdfast.model.evaluation import Evaluation


@dataclass(frozen=True)
class Incumbent:
    """The champion's stored model, scored on test cutoffs that it cannot have seen.

    ``trained_to`` is the end (exclusive) of the last label window it was fitted on. ``evaluation`` covers the test
    cutoffs on or after that day, and is None when there are none. ``unserved`` says why it cannot score any more, if
    so: then there is no evaluation, and nothing to defend.
    """

    version: str
    trained_to: date
    evaluation: Evaluation | None
    unserved: str | None = None


@dataclass(frozen=True)
class Comparison:
    """The challenger against one rival: both means of the deciding metric, over the same cutoffs."""

    rival: str
    cutoffs: tuple[date, ...]
    challenger_value: float
    rival_value: float

    @property
    def won(self) -> bool:
        return self.challenger_value > self.rival_value

    def tell(self, metric: str) -> str:
        verb = "beats" if self.won else "does not beat"
        return (
            f"{verb} {self.rival} ({metric} {self.challenger_value:.4f} against {self.rival_value:.4f}, "
            f"{len(self.cutoffs)} cutoffs from {self.cutoffs[0]} to {self.cutoffs[-1]})"
        )


@dataclass(frozen=True)
class Verdict:
    """Whether to promote, why in one sentence, and the figures behind it (``metric``'s means)."""

    promote: bool
    reason: str
    metric: str
    comparisons: tuple[Comparison, ...]


def trusted_cutoffs(test_cutoffs: tuple[date, ...], trained_to: date) -> tuple[date, ...]:
    """The test cutoffs on which a model whose training labels end at ``trained_to`` (exclusive) may be judged."""
    return tuple(cutoff for cutoff in test_cutoffs if cutoff >= trained_to)


def decide(
    metric: str,
    challenger: Evaluation,
    rules: Mapping[str, Evaluation],
    incumbent: Incumbent | None,
) -> Verdict:
    """Promote only a challenger that beats the best rule and, where there is one, the champion.

    ``challenger`` and ``rules`` (baseline name → evaluation, at least one) cover the same test cutoffs, each predicted
    by a model fitted before it. The champion is met only on the later of them (``Incumbent``), so that neither side has
    seen the answers. Ties go to the present state; a champion that cannot score any more gives way.
    """
    best = max(rules, key=lambda name: _value(rules[name], metric))
    against_rule = _compare(metric, challenger, best, rules[best])
    told = against_rule.tell(metric)
    if not against_rule.won:
        return Verdict(False, f"Not promoted: the challenger {told}.", metric, (against_rule,))
    if incumbent is None:
        return Verdict(True, f"Promoted as the first champion: the challenger {told}.", metric, (against_rule,))
    champion = f"champion version {incumbent.version}"
    if incumbent.unserved is not None:
        reason = f"Promoted: the challenger {told}, and the champion cannot score any more: {incumbent.unserved}."
        return Verdict(True, reason, metric, (against_rule,))
    if incumbent.evaluation is None:
        reason = (
            f"The {champion} stays: its training labels end on {incumbent.trained_to} and the last test cutoff is "
            f"{challenger.cutoffs[-1]}, so no test cutoff is later than what it has seen."
        )
        return Verdict(False, reason, metric, (against_rule,))
    later = challenger.on(incumbent.evaluation.cutoffs)
    against_champion = _compare(metric, later, champion, incumbent.evaluation)
    outcome = "Promoted" if against_champion.won else f"The {champion} stays"
    reason = f"{outcome}: the challenger {told} and {against_champion.tell(metric)}."
    return Verdict(against_champion.won, reason, metric, (against_rule, against_champion))


def _compare(metric: str, challenger: Evaluation, rival: str, evaluation: Evaluation) -> Comparison:
    return Comparison(rival, challenger.cutoffs, _value(challenger, metric), _value(evaluation, metric))


def _value(evaluation: Evaluation, metric: str) -> float:
    return evaluation.mean.as_dict()[metric]
