"""What models make of recordings over time, as arrays for use elsewhere: slots, tokens, features.

Names load on first use (PEP 562), so that listing embedders imports no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "Embedder": "embedding",
    "Embedding": "embedding",
    "joined": "embedding",
    "embed_file": "files",
    "read_embedding": "files",
    "write_embedding": "files",
    "embedder": "naming",
}

__all__ = ["Embedder", "Embedding", "embed_file", "embedder", "joined", "read_embedding", "write_embedding"]

if TYPE_CHECKING:
    from slotaudio.representation.embedding import Embedder, Embedding, joined
    from slotaudio.representation.files import embed_file, read_embedding, write_embedding
    from slotaudio.representation.naming import embedder


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
