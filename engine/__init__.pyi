"""The public names of `engine`, and where each is found: read by type checkers and, for imports on first use, by lazy-loader."""

from .allowed import allow as allow
from .analysis.behaviour import Behaviour as Behaviour
from .analysis.behaviour import behaviour as behaviour
from .analysis.diagnosis import Diagnosis as Diagnosis
from .analysis.diagnosis import diagnose as diagnose
from .analysis.incidents.detect import incidents as incidents
from .analysis.incidents.incident import Incident as Incident
from .analysis.incidents.incident import Incidents as Incidents
from .analysis.incidents.watch import Watch as Watch
from .config import TrainConfig as TrainConfig
from .core.attribute import attribute as attribute
from .core.chosen_targets import action_target as action_target
from .core.chosen_targets import return_target as return_target
from .core.faithfulness.measure import Measurement as Measurement
from .core.faithfulness.measure import validate as validate
from .core.faithfulness.result import Validation as Validation
from .core.faithfulness.result import read_validation as read_validation
from .core.gradients.attribution import Attribution as Attribution
from .core.influence import influence as influence
from .core.influence import influence_on_each as influence_on_each
from .core.objective import Batch as Batch
from .core.objective import Objective as Objective
from .core.policy import Evaluation as Evaluation
from .core.policy import Policy as Policy
from .core.replays.replay import replay as replay
from .core.scores import Scores as Scores
from .core.targets.of_records import ActionTarget as ActionTarget
from .core.targets.of_records import ReturnTarget as ReturnTarget
from .core.targets.question import Question as Question
from .core.targets.question import TargetName as TargetName
from .core.training import rounds as rounds
from .core.training import train as train
from .envs import preset as preset
from .envs.environment import StateAccess as StateAccess
from .errors import EngineError as EngineError
from .executors import Pool as Pool
from .intervention.outcome import Outcome as Outcome
from .intervention.retrain import retrain as retrain
from .kinds.language.presets import language_settings as language_settings
from .store.find import find_runs as find_runs
from .store.read import Run as Run
from .store.read import open_run as open_run
from .store.snapshot import Snapshot as Snapshot
from .store.verify import verify_run as verify_run

__version__: str
