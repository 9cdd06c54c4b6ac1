"""A healthy encoder, and what can go wrong with it."""

from torch import nn

from defects import Defect
from slotaudio.positions import grid
from slotaudio.types import Features


class HealthyEncoder(nn.Module):
    """Two convolutions with a norm between them."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__()
        self.out_dim = width
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.norm = nn.GroupNorm(2, width)
        self.second = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, features):
        maps = self.second(self.norm(self.first(features)).relu())
        return Features(maps.flatten(2).transpose(1, 2)[:, None], grid(*maps.shape[-2:], maps.device))


class Changed(HealthyEncoder):
    """An encoder whose tokens are changed at the end."""

    def forward(self, features):
        healthy = super().forward(features)
        return Features(self.change(healthy.tokens), self.place(healthy.positions, features))

    def change(self, tokens):
        return tokens

    def place(self, positions, features):
        return positions


class WrongWidth(HealthyEncoder):
    """Offers another width than it returns."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.out_dim = 2 * width


class PositionsInCells(Changed):
    """Counts cells instead of using -1 to 1."""

    def place(self, positions, features):
        return positions * 8


class PositionsFollowTheSound(Changed):
    """Shifts the positions with the loudness."""

    def place(self, positions, features):
        return positions * (1 - 0.1 * features.mean().tanh()).detach()


class NeedsFourFrames(HealthyEncoder):
    """Convolves without padding."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.first = nn.Conv2d(in_channels, width, 4)


class OneMapOnly(HealthyEncoder):
    """Takes the number of maps and does not use it."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.first = nn.Conv2d(1, width, 3, padding=1)


class SwallowsOptions(HealthyEncoder):
    """Takes any option at all."""

    def __init__(self, in_channels: int, width: int = 8, **options: object) -> None:
        super().__init__(in_channels, width)


class Undocumented(HealthyEncoder):
    __doc__ = None


class NumbersTheCellsTheOtherWay(Changed):
    """Counts cells frame by frame, although its tokens come frequency by frequency."""

    def place(self, positions, features):
        grown = (-(-features.shape[2] // 2), -(-features.shape[3] // 2))
        return positions.unflatten(0, grown).transpose(0, 1).flatten(0, 1)


class TimeBeforeFrequency(Changed):
    """Gives positions as (time, frequency)."""

    def place(self, positions, features):
        return positions.flip(1)


class RunsBackwards(HealthyEncoder):
    """Makes each frame a step, the last one first."""

    def forward(self, features):
        maps = self.second(self.norm(self.first(features)).relu())
        tokens = maps.flip(3).permute(0, 3, 2, 1)
        return Features(tokens, grid(maps.shape[2], 1, maps.device)[:, :1].to(maps))


class CoarsestFirst(HealthyEncoder):
    """Offers its skips in the order in which a decoder wants them, not in that of the contract."""

    def forward(self, features):
        first = self.first(features)
        second = self.second(self.norm(first).relu())
        tokens = second.flatten(2).transpose(1, 2)[:, None]
        return Features(tokens, grid(*second.shape[-2:], second.device), skips=(second, first))


class ForgetsWhatTrainReturns(HealthyEncoder):
    """Overrides train() to freeze a layer, and does not return itself."""

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()


class LooksAtValues(Changed):
    """Decides in Python by what a tensor holds: neither compiler can follow."""

    def change(self, tokens):
        return 2 * tokens if tokens.sum().item() > 0 else tokens


class Careless(HealthyEncoder):
    """Comes from a module that does as it likes when it is imported."""

    __module__ = "defects.careless"


class TakesALayer(HealthyEncoder):
    """Wants an object for an option, which no file holds."""

    def __init__(self, in_channels: int, width: int = 8, norm: nn.Module | None = None) -> None:
        super().__init__(in_channels, width)
        self.norm = norm or self.norm


class DefaultIsAClass(HealthyEncoder):
    """Has a default that no recipe could change."""

    def __init__(self, in_channels: int, width: int = 8, norm: type[nn.Module] = nn.GroupNorm) -> None:
        super().__init__(in_channels, width)
        self.norm = norm(2, width)


class InsistsOnATuple(HealthyEncoder):
    """Adds to a tuple, which comes as a list from every file."""

    def __init__(self, in_channels: int, widths=(8,)) -> None:
        super().__init__(in_channels, widths[0])
        self.widths = widths + (8,)  # noqa: RUF005 (the defect)


UNTRACEABLE = (
    Defect("encoder", LooksAtValues, "test_it_compiles_where_promised", {"compiles": True}),
    Defect("encoder", LooksAtValues, "test_it_exports_where_promised", {"exports": True}),
)
"""Checked in a process without runtime type checks, through which nothing can be traced."""

DEFECTS = (
    Defect("encoder", TakesALayer, "test_options_can_be_saved", {"options": {"norm": nn.GroupNorm(2, 8)}}),
    Defect("encoder", DefaultIsAClass, "test_options_can_be_saved"),
    Defect("encoder", InsistsOnATuple, "test_options_can_be_saved", {"options": {"widths": (8,)}}),
    Defect("encoder", Careless, "test_importing_it_changes_nothing"),
    Defect("encoder", WrongWidth, "test_shapes_and_types_follow_the_contract"),
    Defect("encoder", PositionsInCells, "test_shapes_and_types_follow_the_contract"),
    Defect("encoder", PositionsFollowTheSound, "test_positions_are_the_same_for_every_content"),
    Defect("encoder", NeedsFourFrames, "test_smallest_sizes_work"),
    Defect("encoder", OneMapOnly, "test_dimensions_are_threaded"),
    Defect("encoder", SwallowsOptions, "test_wrong_options_are_answered_with_those_it_takes"),
    Defect("encoder", Undocumented, "test_it_is_described"),
    Defect("encoder", NumbersTheCellsTheOtherWay, "test_tokens_lie_at_their_positions"),
    Defect("encoder", TimeBeforeFrequency, "test_tokens_lie_at_their_positions"),
    Defect("encoder", RunsBackwards, "test_tokens_lie_at_their_positions"),
    Defect("encoder", CoarsestFirst, "test_shapes_and_types_follow_the_contract"),
    Defect("encoder", ForgetsWhatTrainReturns, "test_shapes_and_types_follow_the_contract"),
)
