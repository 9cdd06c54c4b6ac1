"""What models make of recordings over time, as arrays for use elsewhere: slots, tokens, features."""

from slotaudio.representation.embedding import Embedder, Embedding, joined
from slotaudio.representation.files import embed_file, read_embedding, write_embedding
from slotaudio.representation.naming import embedder

__all__ = ["Embedder", "Embedding", "embed_file", "embedder", "joined", "read_embedding", "write_embedding"]
