"""The source of what criterions draw: the same in a resumed training, and on any number of workers."""

from typing import Any

import numpy as np
import torch


def batch_generator(seed: int, num_updates: int, sample: dict[str, Any]) -> torch.Generator:
    """A generator on the CPU that depends on the arguments alone.

    Args:
        seed: of the training, at least 0.
        num_updates: how many updates were made.
        sample: fairseq's batch; its first sentence counts.
    """
    first = int(sample["id"][0]) if len(sample.get("id", ())) else 0
    mixed = np.random.SeedSequence([seed, num_updates, first]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed[0]))
