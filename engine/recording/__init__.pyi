"""The public names of `engine.recording`, and where each is found."""

from .recorder import Loss as Loss
from .recorder import Recorder as Recorder
from .recorder import rebuilds as rebuilds
