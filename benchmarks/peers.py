"""Separators against training time, on one thread each.

    python benchmarks/peers.py --train path/to/speech/train --dev path/to/speech/dev --minutes 10

Every contestant trains on the same seeded two-speaker mixtures for the same processor time (see contest.py), by its
own recipe: optimiser, rate, objective and clipping of its authors, the precision that is faster for it. It is measured
on mixtures of speakers that none of them heard. Finished runs are lines of OUTPUT/runs.jsonl and are not made again.
peers_speed.py measures separating, peers_report.py makes tables and figures. Peers: ConvTasNet of torchaudio, DPRNN and
SuDoRM-RF of asteroid, SepFormer of SpeechBrain; one whose package is not installed fails, and is left out.
"""

from dataclasses import replace

import torch
from contest import RATE, Contestant, contest
from torch import Tensor, nn

from slotaudio import Spec, preset
from slotaudio.recipe import load_recipe


def conv_tasnet(kernel: int, features: int, bottleneck: int, hidden: int, layers: int, stacks: int) -> nn.Module:
    """Return torchaudio's ConvTasNet for two speakers, sizes in the paper's order: L, N, B, H, X, R."""
    from torchaudio.models import ConvTasNet

    return ConvTasNet(2, kernel, features, 3, bottleneck, hidden, layers, stacks, "relu")


def asteroid(name: str, **options: int) -> nn.Module:
    """Return a model of asteroid, its own defaults where nothing else is said, for two speakers."""
    import asteroid.models

    return getattr(asteroid.models, name)(2, sample_rate=RATE, **options)


class SepFormer(nn.Module):
    """SpeechBrain's encoder, dual-path transformer and decoder, joined as in its recipe, small.

    Args:
        dim: of everything.
        kernel: of encoder and decoder, in samples.
        chunk: frames of a chunk.
        layers: of each of the two transformers.
    """

    def __init__(self, dim: int = 64, kernel: int = 32, chunk: int = 100, layers: int = 2) -> None:
        from speechbrain.lobes.models.dual_path import Decoder, Dual_Path_Model, Encoder, SBTransformerBlock

        super().__init__()
        options = {"num_layers": layers, "d_model": dim, "nhead": 4, "d_ffn": 4 * dim}
        paths = [SBTransformerBlock(**options, use_positional_encoding=True, norm_before=True) for _ in range(2)]
        self.encoder = Encoder(kernel, dim, 1)
        self.masks = Dual_Path_Model(dim, dim, *paths, num_layers=1, norm="ln", K=chunk, num_spks=2)
        self.decoder = Decoder(dim, 1, kernel, stride=kernel // 2, bias=False)

    def forward(self, mixture: Tensor) -> Tensor:
        """Return the sources "batch sources time" of a mixture "batch 1 time"."""
        spectrum, time = self.encoder(mixture[:, 0]), mixture.shape[-1]
        waves = torch.stack([self.decoder(spectrum * mask) for mask in self.masks(spectrum)], dim=1)
        return nn.functional.pad(waves, (0, time - waves.shape[-1]))


BAND_SPLIT = Contestant(
    "band-split", lambda: preset("band-split"), rate=2e-3, warmup=50, optimizer="muon", bf16=True, lesson=0.5,
    objective=Spec("supervised", cost="snr", assignment="clip"),
)  # fmt: skip
SMALL = (64, 256, 96, 192, 7, 2)
NARROW = [
    "encoder.dim=64", "encoder.hidden=64", "encoder.blocks=1", "decoder.hidden=64", "decoder.blocks=1",
    "bottleneck.slot_dim=64", "bottleneck.qkv_dim=64", "bottleneck.mlp_dim=128",
]  # fmt: skip
CONTESTANTS = {
    "band-split": BAND_SPLIT,
    "band-split-small": replace(
        BAND_SPLIT, title="band-split, small", build=lambda: load_recipe("band-split", NARROW).model()
    ),
    "conv-tasnet-small": Contestant("ConvTasNet, equal speed", lambda: conv_tasnet(*SMALL)),
    "dprnn-small": Contestant(
        "DPRNN, equal speed",
        lambda: asteroid("DPRNNTasNet", kernel_size=64, stride=32, n_repeats=3, chunk_size=50),
    ),
    "audioslots-small": Contestant(
        "AudioSlots, small", lambda: preset("audioslots-small"), clip=0.05, bf16=True, objective=Spec("supervised")
    ),
    "conv-tasnet-small-lesson": Contestant(
        "ConvTasNet, equal speed, with the lesson", lambda: conv_tasnet(*SMALL), lesson=0.5
    ),
    "conv-tasnet": Contestant("ConvTasNet, paper's size", lambda: conv_tasnet(32, 512, 128, 512, 8, 3)),
    "sepformer-small": Contestant("SepFormer, small", SepFormer, rate=1.5e-4),
    "dprnn": Contestant("DPRNN, asteroid's size", lambda: asteroid("DPRNNTasNet")),
    "sudormrf": Contestant("SuDoRM-RF, asteroid's size", lambda: asteroid("SuDORMRFNet")),
}

if __name__ == "__main__":
    contest(CONTESTANTS, __doc__, "runs/peers")
