"""What a validation will take is known from one replay."""

from __future__ import annotations

from engine import executors
from engine.core.faithfulness import cost
from engine.core.faithfulness.cost import replaying_seconds, validation_seconds
from engine.core.faithfulness.measure import Measurement
from engine.store.snapshot import Snapshot


def test_time_is_estimated_from_one_replay(snapshot: Snapshot) -> None:
    alone = executors.Pool(workers=1)
    few, many = (
        validation_seconds(snapshot, Measurement(subsets=subsets, orders=16), pool=alone) for subsets in (10, 1000)
    )
    assert 0 < few < many
    controls, pool = cost.CONTROL_REPLAYS, executors.POOL_SECONDS
    assert replaying_seconds(2.0, 100, executors.Pool(workers=4)) == pool + 2 * 100 / 4 + 2 * controls
    assert replaying_seconds(2.0, 100, executors.INLINE) == 2 * 100 + 2 * controls
