"""Other people's trainers: recorded as they train, or what they wrote down, to be looked at.

`from engine.recording import Recorder, Loss, rebuilds`; `from engine.recording import sb3`. Names are imported on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
