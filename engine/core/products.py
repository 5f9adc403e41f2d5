"""Inner products with the records' gradients, by term and by layer."""

from __future__ import annotations

import numpy as np

from engine.config import TrainConfig
from engine.core.attribution import Attribution, Term
from engine.core.backends import Direction, inner_products, touches_value
from engine.core.layers import layer_of, layers_of
from engine.core.objective import Batch
from engine.core.policy import Policy
from engine.store.snapshot import Float32s


def products_by_part(
    policy: Policy, batch: Batch, config: TrainConfig, direction: Direction, by_layer: bool = False
) -> Attribution:
    """<direction, grad J_i> in all, by term and, where asked for, by layer."""

    def products(part: Direction, term: Term | None = None) -> Float32s:
        found: Float32s = inner_products(policy, batch, config, part, term=term).detach().numpy()
        return found

    influence = products(direction)
    nothing = np.zeros_like(influence)
    critic = products(direction, "critic") if config.vf_coef and touches_value(policy, direction) else nothing
    entropy = products(direction, "entropy") if config.ent_coef else nothing
    layers: dict[str, Float32s] = {}
    for layer in layers_of(policy) if by_layer else ():
        own = {name: part for name, part in direction.items() if layer_of(name) == layer}
        layers[layer] = products(own) if own else nothing
    terms: dict[Term, Float32s] = {"actor": influence - critic - entropy, "critic": critic, "entropy": entropy}
    return Attribution(influence, terms, layers)
