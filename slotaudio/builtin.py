"""The components that come with slotaudio, offered through the same hooks as everybody else's."""

from collections.abc import Callable, Mapping
from typing import Any

from slotaudio import hookimpl


@hookimpl
def slotaudio_frontends() -> Mapping[str, str]:
    return {
        "stft": "slotaudio.frontends.stft:STFT",
        "waveform": "slotaudio.frontends.waveform:Waveform",
    }


@hookimpl
def slotaudio_encoders() -> Mapping[str, str]:
    return {
        "resnet": "slotaudio.encoders.resnet:ResNet",
        "band_split": "slotaudio.encoders.band_split:BandSplit",
    }


@hookimpl
def slotaudio_bottlenecks() -> Mapping[str, str]:
    return {
        "transformer": "slotaudio.bottlenecks.transformer:TransformerBottleneck",
        "slot_attention": "slotaudio.bottlenecks.slot_attention:SlotAttention",
        "carry_over": "slotaudio.bottlenecks.carry_over:CarryOver",
    }


@hookimpl
def slotaudio_decoders() -> Mapping[str, str]:
    return {
        "spatial_broadcast": "slotaudio.decoders.spatial_broadcast:SpatialBroadcast",
        "mask": "slotaudio.decoders.mask:Mask",
    }


@hookimpl
def slotaudio_matchers() -> Mapping[str, str]:
    return {
        "hungarian": "slotaudio.matchers.hungarian:Hungarian",
        "exhaustive": "slotaudio.matchers.exhaustive:Exhaustive",
        "fixed": "slotaudio.matchers.fixed:Fixed",
    }


@hookimpl
def slotaudio_objectives() -> Mapping[str, str]:
    return {
        "local": "slotaudio.objectives.local:Local",
        "mixit": "slotaudio.objectives.mixit:MixIT",
        "remix": "slotaudio.objectives.remix:Remix",
        "semi_supervised": "slotaudio.objectives.semi_supervised:SemiSupervised",
        "speaker_labels": "slotaudio.objectives.speaker_labels:SpeakerLabels",
        "supervised": "slotaudio.objectives.supervised:Supervised",
        "autoencoder": "slotaudio.objectives.autoencoder:Autoencoder",
    }


@hookimpl
def slotaudio_datasets() -> Mapping[str, str]:
    return {
        "folder": "slotaudio.data.folder:FolderMixtures",
        "librimix": "slotaudio.data.librimix:LibriMix",
        "synthetic": "slotaudio.data.synthetic:SyntheticMixtures",
        "blend": "slotaudio.data.blend:Blend",
        "conversations": "slotaudio.data.conversations:Conversations",
    }


@hookimpl
def slotaudio_recipes() -> Mapping[str, str]:
    return {
        "audioslots": "slotaudio:recipes/audioslots.toml",
        "audioslots-small": "slotaudio:recipes/audioslots-small.toml",
        "band-split": "slotaudio:recipes/band-split.toml",
        "band-split-carry": "slotaudio:recipes/band-split-carry.toml",
        "band-split-noisy": "slotaudio:recipes/band-split-noisy.toml",
        "band-split-three": "slotaudio:recipes/band-split-three.toml",
        "band-split-talks": "slotaudio:recipes/band-split-talks.toml",
        "mixit-small": "slotaudio:recipes/mixit-small.toml",
        "remix-small": "slotaudio:recipes/remix-small.toml",
    }


@hookimpl
def slotaudio_embedders() -> Mapping[str, str]:
    return {
        "slots": "slotaudio.representation.slots:SlotEmbedder",
        "tokens": "slotaudio.representation.tokens:TokenEmbedder",
        "mfcc": "slotaudio.representation.spectral:Mfcc",
        "log_mel": "slotaudio.representation.spectral:LogMel",
    }


@hookimpl(trylast=True)
def slotaudio_build(factory: Callable[..., Any], options: dict[str, Any]) -> Any:
    return factory(**options)
