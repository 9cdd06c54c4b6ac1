"""What puts the slots of a separator's windows in order where no reference does."""

from slotaudio.compose import build
from slotaudio.model import SlotModel
from slotaudio.separation.continuity import ByContinuity
from slotaudio.separation.framing import Framing
from slotaudio.separation.identity import VoiceMemory
from slotaudio.separation.joining import AsGiven, Automatic, JoiningRule
from slotaudio.separation.orders import MOST_ORDERED
from slotaudio.separation.turns import TurnFollower
from slotaudio.types import Matcher


def blind_rules(
    model: SlotModel, framing: Framing, joining: str, ahead: float, sources: tuple[int, int]
) -> tuple[JoiningRule, TurnFollower | None]:
    """Return what joins windows, and what follows turns in what is joined; see `Separator` for the options."""
    if joining == "given" or model.names:
        return AsGiven(), None
    memory = VoiceMemory(model.sample_rate, fresh=framing.hop / framing.window)
    # in a long window of a model of any length voices may change places, which nothing in its overlaps tells
    lapses = (1e-7 if model.window else 0.05, 0.01)
    rule = ByContinuity(matcher_of(model), memory, model.sample_rate, lapses=lapses)
    return Automatic(rule) if joining == "auto" else rule, _follower(model, ahead, sources)


def matcher_of(model: SlotModel) -> Matcher:
    """Return the matcher that a model was trained with, or an optimal one."""
    return model.matcher if model.matcher is not None else build("matcher", "slotaudio/hungarian")


def _follower(model: SlotModel, ahead: float, sources: tuple[int, int]) -> TurnFollower | None:
    # a model that says of each window which slots hold a voice, and is asked, would say it of the wrong outputs
    counts = sources != (model.slots, model.slots) and getattr(model.bottleneck, "presence", None)
    if model.window is not None or counts or not ahead or not 2 <= model.slots <= MOST_ORDERED:
        return None
    return TurnFollower(matcher_of(model), model.sample_rate, ahead / 4)
