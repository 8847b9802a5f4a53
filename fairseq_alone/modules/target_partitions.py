"""Target sampling (Jean et al., ACL 2015, section 3): each part of the training data has its own part of the words."""

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_alone.errors import SettingError


def partition(targets: Iterable[np.ndarray], num_words: int, size: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Group consecutive batches, as many as have at most ``size`` different targets together.

    Args:
        targets: those of each batch, integers in [0, V), in any number and order.
        num_words: V.
        size: of a group's words, at least 1.

    Returns:
        The group of each batch, (batches,), int64, from 0 upwards; and the words of each group, sorted, int64.

    Raises:
        SettingError: one batch alone has more different targets.
    """
    groups: list[int] = []
    words: list[np.ndarray] = []
    seen = np.zeros(num_words, bool)
    count = 0
    for of_batch in targets:
        distinct = np.unique(of_batch)
        if len(distinct) > size:
            raise SettingError("size", f"{size} is less than the {len(distinct)} different targets of one batch")
        new = int((~seen[distinct]).sum())
        if count + new > size:
            words.append(np.flatnonzero(seen))
            seen[:] = False
            count, new = 0, len(distinct)
        seen[distinct] = True
        count += new
        groups.append(len(words))
    words.append(np.flatnonzero(seen))
    return np.array(groups, dtype=np.int64), words


def cross_entropy_within(features: Tensor, targets: Tensor, words: Tensor, vectors: Tensor) -> Tensor:
    """Cross-entropy of a softmax over some words only.

    It is importance sampling with a uniform proposal over these words, whose correction is the same for each and
    cancels (section 3.2).

    Args:
        features: (N, D).
        targets: (N,), int64, each of them among the words.
        words: (S,), int64, sorted, no word twice.
        vectors: of these words, (S, D).

    Returns:
        (N,), float32 at least.
    """
    scores = F.linear(features, vectors)  # (N, S)
    places = torch.searchsorted(words, targets)
    return F.cross_entropy(scores.to(torch.promote_types(scores.dtype, torch.float32)), places, reduction="none")
