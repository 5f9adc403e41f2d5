"""Which experiences made an RL agent behave the way it does, and what would have happened without them?

>>> import engine
>>> config = engine.preset("FrozenLake-v1", rounds=3, n_steps=512)  # settings of a run
>>> run = engine.train(config, "runs/lake")                         # train, record, read back verified
>>> snapshot = run.snapshot(2)                                      # a round between collect and update
>>> scores = engine.influence(snapshot, "return")                   # attribute
>>> replayed = engine.replay(snapshot, drop=[17])                   # the update again, without record 17
>>> here = {"executor": "inline"}                                   # in this process, not in one a core
>>> found = engine.validate(run, round=2, subsets=8, orders=2, **here)  # does influence predict what removal does?
>>> common = engine.diagnose(run, round=2, rollouts=4, **here).in_common  # of the bottom records
>>> outcome = engine.retrain(run, 2, [17, 40], "runs/lake-without")  # against original and control
>>> outcome.records, outcome.removed, outcome.verdict
(512, [17, 40], 'within noise')

Names are imported on first use, so that `import engine` costs nothing; `__init__.pyi` says where each is found.
"""

from __future__ import annotations

import lazy_loader

from engine import analysis as analysis  # which make themselves known
from engine import demos as demos
from engine import kinds as kinds

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
