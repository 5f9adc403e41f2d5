"""The few errors a user can cause; each message says in one line what is wrong and what would be right."""


class EngineError(Exception):
    """Base of every error that the engine raises on purpose."""


class BadInputError(EngineError, ValueError):
    """A value that the user gave can't be used: an unknown environment, a round that is not there, ..."""


class UnfitSpaceError(BadInputError):
    """Observations or actions that no network of the engine takes."""


class ZeroGradientError(BadInputError):
    """The target does not depend on the parameters here, so that every influence would be 0."""


class BadNumberError(EngineError):
    """Training met NaN or infinity: in a reward, an observation, or the parameters after an update."""


class NotARunError(BadInputError):
    """The folder is not a run."""


class DamagedRunError(EngineError):
    """Bytes on disk are not the bytes that were committed; the message names the file."""


class TooLargeError(DamagedRunError):
    """A file decodes to more than it declares, or to more than the stated limit; it was not decoded."""


class LockedRunError(EngineError):
    """Another process is writing this run."""


class StorageError(EngineError):
    """The disk refused an operation (full, read-only, failed fsync); earlier rounds stay readable."""


class CancelledError(EngineError):
    """The user cancelled the work."""
