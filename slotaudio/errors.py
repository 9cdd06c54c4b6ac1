"""What slotaudio raises: every message says what was asked, what was found and what is possible."""


class SlotaudioError(Exception):
    """Any failure that slotaudio explains in one sentence (exit code 1 on the command line)."""

    exit_code = 1


class UserError(SlotaudioError, ValueError):
    """Something in the request can be put right by whoever made it (exit code 2)."""

    exit_code = 2


class UnknownComponent(UserError, LookupError):
    """No plug-in offers a component of that name."""


class AmbiguousComponent(UserError, LookupError):
    """Several plug-ins offer a component of that name."""


class WrongOptions(UserError, TypeError):
    """A component was given options that its constructor does not take."""


class IncompatibleStages(WrongOptions):
    """A stage needs what the stages before it do not offer."""


class AudioFileError(UserError):
    """An audio file cannot be read, written or used."""


class PretrainedError(UserError):
    """A saved model cannot be loaded: missing, of another version, plug-in or shape."""


class DataError(UserError):
    """A data set cannot be used: wrong folder, too few speakers, wrong rate."""
