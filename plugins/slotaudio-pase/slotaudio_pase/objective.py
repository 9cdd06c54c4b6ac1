"""PASE's objective: an encoder is good if every worker can answer its question from the tokens."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio import UserError
from slotaudio.types import Batch
from slotaudio_pase.contamination import contamination as contaminated
from slotaudio_pase.heads import regression
from slotaudio_pase.targets import TARGETS
from slotaudio_pase.trunk import HOP
from slotaudio_pase.workers import Discriminator, Regression, global_pairs, local_pairs, order_pairs, swapped

Worker = Literal[
    "waveform",
    "lps",
    "mfcc",
    "prosody",
    "lim",
    "gim",
    "spc",
    "fbank",
    "gammatone",
    "lps_long",
    "fbank_long",
    "gammatone_long",
    "mfcc_long",
]
PASE: tuple[Worker, ...] = ("waveform", "lps", "mfcc", "prosody", "lim", "gim", "spc")


class PaseWorkers(nn.Module):
    """Train an encoder by self-supervised workers (PASE, arXiv 1904.03416, section 2.2; PASE+, arXiv 2001.09239).

    Two chunks are cut from every source; the encoder reads each source by itself. Regression workers predict the first
    chunk's wave (mean absolute error), log power spectrum, cepstrum and prosody (mean squared errors) after these
    were standardised (`slotaudio_pase.standardise`). LIM and GIM tell whether two chunks, frame by frame or on average,
    belong to one utterance; the other utterance is the next source of the mixture, or, where mixtures have one
    source, that of the next one. SPC tells five frames that follow an anchor from five that precede it. The loss is
    the sum of all.

    Chunks, anchor and gap are the same for a whole batch. In training they come from torch's global generator, which
    `slotaudio train` seeds at every step; in evaluation always from `seed`.

    Args:
        in_dim: width of the encoder's tokens (offered by the recipe).
        sample_rate: in hertz (offered by the recipe).
        workers: by name; the default is PASE's. PASE+ has no ``spc`` and adds ``fbank``,
            ``gammatone`` and the ``_long`` ones.
        chunk: seconds of a chunk.
        hidden: width of each worker's hidden layer; 256 in the paper.
        spc_frames: frames of SPC's sequences.
        spc_gap: seconds from the anchor to the nearest frame of either sequence, least and largest. The authors'
            code has 0.16, just beyond the encoder's reach, and no upper limit but the chunk; descriptions of the
            paper differ, and mention up to 0.5.
        spc_anchors: anchors of one chunk, of which SPC learns; the authors' code has 1, more learn faster.
        deltas: add first and second differences to the targets, but not to the wave (PASE+).
        context: frames of a target that are predicted from each token; 7 in PASE+.
        fit_frames: frames on which the targets' means and deviations are fitted when training starts.
        swaps: of ``"lim"`` and ``"gim"`` those who see each pair the other way round as well; GIM in PASE+.
        contamination: options of `slotaudio_pase.contamination.Contamination`; an empty table is PASE+'s. In training
            the encoder then hears the first chunk spoiled, while the workers' targets are those of the clean one.
            The second chunk stays clean, as in the authors' code.
        seed: decides the chunks in evaluation.

    Raises:
        UserError: an unknown worker or none, SPC's sequences do not fit into a chunk, or what is wrong with the
            contamination.
    """

    def __init__(
        self,
        in_dim: int,
        sample_rate: int = 16000,
        workers: tuple[Worker, ...] = PASE,
        chunk: float = 1.0,
        hidden: int = 256,
        spc_frames: int = 5,
        spc_gap: tuple[float, float] = (0.16, 1.0),
        spc_anchors: int = 1,
        deltas: bool = False,
        context: int = 1,
        fit_frames: int = 200_000,
        swaps: tuple[Literal["lim", "gim"], ...] = (),
        contamination: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if spc_anchors < 1:
            raise UserError(f"pase: spc_anchors = {spc_anchors}; spc needs at least 1")
        pairs = {"lim": 2 * in_dim, "gim": 2 * in_dim, "spc": (1 + spc_frames) * in_dim}
        unknown = [worker for worker in workers if worker not in TARGETS and worker not in pairs]
        if unknown or not workers:
            raise UserError(
                f"pase: no worker {', '.join(unknown) or 'given'}; choose from {', '.join([*TARGETS, *pairs])}"
            )
        self.workers, self.swaps, self.seed = tuple(workers), swaps, seed
        self.contamination = None if contamination is None else contaminated(contamination, sample_rate)
        self.frames = round(chunk * sample_rate) // HOP
        self.spc_frames, self.spc_anchors = spc_frames, spc_anchors
        nearest, farthest = (round(seconds * sample_rate / HOP) for seconds in spc_gap)
        # both sequences must fit around one anchor
        self.spc_gap = (nearest, min(farthest, (self.frames + 1) // 2 - spc_frames))
        if "spc" in workers and not 0 < nearest <= self.spc_gap[1]:
            raise UserError(
                f"pase: in chunks of {self.frames} frames of 10 ms, spc can leave gaps of 1 to "
                f"{(self.frames + 1) // 2 - spc_frames} frames around an anchor; spc_gap = {spc_gap} asks for at "
                f"least {nearest} and at most {farthest}"
            )
        self.heads = nn.ModuleDict()
        for worker in self.workers:
            self.heads[worker] = (
                Discriminator(pairs[worker], hidden)
                if worker in pairs
                else regression(worker, in_dim, sample_rate, hidden, fit_frames, deltas, context)
            )

    def forward(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss``, each worker's loss by its name and, for those that tell pairs apart, ``<name>_accuracy``.

        Raises:
            UserError: sources shorter than a chunk, no second utterance in the batch, or an encoder that does not give
                one token per 160 samples.
        """
        generator = None if self.training else torch.Generator().manual_seed(self.seed)
        first, second = self._chunks(batch.sources, generator)
        heard = self._heard(first)
        waves = rearrange([heard, second], "two batch sources channels time -> (two batch sources) channels time")
        tokens = self._encode(model, waves)
        shape = {"two": 2, "batch": len(first)}
        anchor, same = rearrange(tokens, "(two batch sources) dim frames -> two batch sources dim frames", **shape)
        other = same.roll(1, dims=1 if same.shape[1] > 1 else 0)
        anchor, same, other = (part.flatten(0, 1) for part in (anchor, same, other))
        return self._losses(anchor, same, other, first.flatten(0, 1)[:, 0], generator)

    def _losses(
        self,
        anchor: Float[Tensor, "utterances dim frames"],
        same: Float[Tensor, "utterances dim frames"],
        other: Float[Tensor, "utterances dim frames"],
        wave: Float[Tensor, "utterances time"],
        generator: torch.Generator | None,
    ) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        accuracies: dict[str, Tensor] = {}
        for worker, head in self.heads.items():
            if isinstance(head, Regression):
                losses[worker] = head(anchor, wave)
                continue
            if worker == "spc":
                pairs = order_pairs(anchor, *self._order(generator), self.spc_frames)
            else:
                pairs = (local_pairs if worker == "lim" else global_pairs)(anchor, same, other)
                pairs = swapped(*pairs) if worker in self.swaps else pairs
            losses[worker], accuracies[f"{worker}_accuracy"] = head(*pairs)
        return {"loss": torch.stack(list(losses.values())).sum(), **losses, **accuracies}

    def _heard(
        self, chunks: Float[Tensor, "batch sources channels time"]
    ) -> Float[Tensor, "batch sources channels time"]:
        """Return the chunks as the encoder hears them."""
        if self.contamination is None or not self.training:
            return chunks
        return self.contamination(chunks.flatten(0, 2)).reshape(chunks.shape)

    def _chunks(
        self, sources: Float[Tensor, "batch sources channels time"], generator: torch.Generator | None
    ) -> tuple[Float[Tensor, "batch sources channels chunk"], Float[Tensor, "batch sources channels chunk"]]:
        """Cut two chunks at random places."""
        length, spare = self.frames * HOP, sources.shape[-1] - self.frames * HOP
        if spare < 0:
            raise UserError(
                f"pase: chunks of {length} samples do not fit into sources of {sources.shape[-1]}; give the data set "
                "longer ones (seconds) or the objective shorter chunks (chunk)"
            )
        if {"lim", "gim"} & set(self.workers) and sources.shape[0] * sources.shape[1] < 2:
            raise UserError(
                "pase: workers lim and gim compare two utterances, and the batch holds one; use mixtures of two "
                "sources, or leave these workers out"
            )
        starts = torch.randint(spare + 1, (2,), generator=generator).tolist()
        first, second = (sources[..., start : start + length] for start in starts)
        return first, second

    def _order(self, generator: torch.Generator | None) -> tuple[list[int], int]:
        """Draw SPC's gap, and anchors that leave room for both sequences."""
        gap = int(torch.randint(self.spc_gap[0], self.spc_gap[1] + 1, (1,), generator=generator))
        earliest = gap + self.spc_frames - 1
        latest = self.frames - gap - self.spc_frames
        return torch.randint(earliest, latest + 1, (self.spc_anchors,), generator=generator).tolist(), gap

    def _encode(self, model: Any, waves: Float[Tensor, "rows channels time"]) -> Float[Tensor, "rows dim frames"]:
        tokens = model.encode(waves).tokens
        if tokens.shape[1:3] != (1, self.frames):
            raise UserError(
                f"pase: {waves.shape[-1]} samples must give 1 step of {self.frames} tokens, one per {HOP} samples; the "
                f"encoder gave {tokens.shape[1]} of {tokens.shape[2]}. Choose encoder 'pase' or 'pase_plus'"
            )
        tokens = tokens.to(torch.promote_types(tokens.dtype, torch.float32))
        return rearrange(tokens, "rows 1 frames dim -> rows dim frames")
