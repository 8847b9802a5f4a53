"""``from_pretrained`` of the registered models, which says when text would not be split as the model needs it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from fairseq_alone.errors import UserError

if TYPE_CHECKING:
    from fairseq.data import Dictionary

_logger = logging.getLogger(__name__)

# For each splitter of fairseq its setting, and the names of files that fairseq finds in the folder of a checkpoint.
_CODES = {
    "subword_nmt": ("bpe_codes", ("code", "bpecodes")),
    "sentencepiece": ("sentencepiece_model", ("sentencepiece.bpe.model",)),
}
# A table of words has a few such symbols by chance.
_BY_CHANCE = 0.1


class FromPretrained(nn.Module):
    """Mixin, before a fairseq model."""

    @classmethod
    def from_pretrained(
        cls, model_name_or_path: str, checkpoint_file: str = "model.pt", data_name_or_path: str = ".", **kwargs: Any
    ) -> Any:
        """fairseq's ``from_pretrained``. A model of subwords that is given whole words gets a warning in the log.

        Args:
            model_name_or_path: the folder of the checkpoint.
            checkpoint_file: its name.
            data_name_or_path: the folder of the binarised data.
            kwargs: fairseq's settings, for example ``tokenizer="moses"``, ``bpe="subword_nmt"``, ``bpe_codes=FILE``.

        Returns:
            fairseq's ``GeneratorHubInterface``.

        Raises:
            UserError: ``bpe`` is given, but its codes are not.
        """
        setting, names = _CODES.get(kwargs.get("bpe", ""), (None, ()))
        if (
            setting
            and kwargs.get(setting) is None
            and not any(Path(model_name_or_path, name).exists() for name in names)
        ):
            raise UserError(
                f"from_pretrained: bpe={kwargs['bpe']!r} needs {setting}=FILE, what the text was split with"
            )
        # fairseq's model, behind this class, has it.
        hub = super().from_pretrained(model_name_or_path, checkpoint_file, data_name_or_path, **kwargs)  # type: ignore[misc]
        kind = subwords_of(hub.src_dict)
        if hub.bpe is None and kind is not None:
            _logger.warning(
                "%s was trained on subwords, but will be given whole words: give bpe=%r and %s=FILE, or use "
                "fairseq_alone.load",
                model_name_or_path,
                kind,
                _CODES[kind][0],
            )
        return hub


def subwords_of(dictionary: Dictionary) -> str | None:
    """``"subword_nmt"`` or ``"sentencepiece"`` when more than a tenth of the words look like its pieces, else None."""
    words = dictionary.symbols[dictionary.nspecial :]
    if sum(word.endswith("@@") for word in words) > _BY_CHANCE * len(words):
        return "subword_nmt"
    # The symbol alone is the space of text that is split into characters.
    if sum(word.startswith("▁") and len(word) > 1 for word in words) > _BY_CHANCE * len(words):
        return "sentencepiece"
    return None
