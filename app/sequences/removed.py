"""What the scores that are kept predicted of a removal of sequences."""

from __future__ import annotations

import numpy as np

from app.sequences import loaders
from engine.intervention.plan import Intervention
from engine.kinds.language.influence import LANGUAGE_ESTIMATORS, SequenceScores, read_sequence_influence
from engine.kinds.language.retrain import measured_target, random_sequences
from engine.store.read import Run


def kept_scores(run: Run, plan: Intervention) -> dict[str, SequenceScores]:
    """Estimator -> the scores that are kept for the plan's round and target."""
    snapshot = loaders.load_snapshot(run, plan.round)
    target = measured_target(snapshot, plan)
    found = {name: read_sequence_influence(snapshot, target, name) for name in LANGUAGE_ESTIMATORS}
    return {name: scores for name, scores in found.items() if scores is not None}


def changes(run: Run, scores: SequenceScores, plan: Intervention) -> dict[str, float]:
    """Predicted change of the target without the chosen sequences, and without random ones on average over their draws."""
    snapshot, influence = loaders.load_snapshot(run, plan.round), scores.influence.astype(np.float64)
    draws = [influence[random_sequences(snapshot, plan, order)].sum() for order in range(plan.orders)]
    return {"counterfactual": -float(influence[list(plan.removed)].sum()), "control": -float(np.mean(draws))}
