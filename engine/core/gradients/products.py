"""Inner products with the records' gradients, by term and by layer."""

from __future__ import annotations

import numpy as np

from engine.config import TrainConfig
from engine.core.gradients.attribution import Attribution, Term
from engine.core.gradients.inner_products import Backend, Direction, by_record, inner_products, touches_value
from engine.core.gradients.layers import layer_of, layers_of
from engine.core.objective import Batch, ObjectiveFunction
from engine.core.policy import Policy
from engine.store.snapshot import Float32s


def products_by_part(
    policy: Policy,
    batch: Batch,
    objective: TrainConfig | ObjectiveFunction,
    direction: Direction,
    by_layer: bool = False,
    backend: Backend | None = None,
) -> Attribution:
    """<direction, grad J_i> in all, by term and, where asked for, by layer; summed over the tokens of a record."""

    def products(part: Direction, term: Term | None = None) -> Float32s:
        return by_record(inner_products(policy, batch, objective, part, backend, term))

    influence = products(direction)
    nothing = np.zeros_like(influence)
    vf_coef, ent_coef = (objective.vf_coef, objective.ent_coef) if isinstance(objective, TrainConfig) else (1, 1)
    critic = products(direction, "critic") if vf_coef and touches_value(policy, direction) else nothing
    entropy = products(direction, "entropy") if ent_coef else nothing
    layers: dict[str, Float32s] = {}
    for layer in layers_of(policy) if by_layer else ():
        own = {name: part for name, part in direction.items() if layer_of(name) == layer}
        layers[layer] = products(own) if own else nothing
    terms: dict[Term, Float32s] = {"actor": influence - critic - entropy, "critic": critic, "entropy": entropy}
    return Attribution(influence, terms, layers)
