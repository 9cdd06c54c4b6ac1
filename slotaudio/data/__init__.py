"""Data sets of mixtures.

The contract of a data set, which third parties meet without importing anything from here: a
`torch.utils.data.Dataset`, or an `IterableDataset` for training, of items ``(mixture, sources, metadata)``

- ``mixture``: float32 tensor ``channels time``, within -1 to 1;
- ``sources``: float32 tensor ``sources channels time`` of which the mixture is exactly the sum
  (``sources.sum(0)``), unless the data set documents what else it holds: noise that nobody asks for, or the rounding of
  files that were written one by one; sources that are silent, zeros throughout, are normal;
- ``metadata``: a mapping; ``"id"`` names the mixture, ``"speakers"`` and ``"genders"`` have one
  entry per source where they are known, empty for silent ones.

An item depends on the seed, the epoch and the index alone, so that neither the number of workers
nor a restart changes it; ``set_epoch(epoch)`` moves to other mixtures.
"""
