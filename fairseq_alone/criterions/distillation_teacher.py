"""The teacher of a distillation: a trained model that only answers."""

import logging
import os
from typing import Any

import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary
from fairseq.tasks import FairseqTask
from torch import Tensor, nn

from fairseq_alone.errors import UserError

logger = logging.getLogger(__name__)


class DistillationTeacher:
    """A trained model in evaluation mode, read when it is needed first, on the device and in the type of the student.

    It is no module, so that no criterion that has one counts its parameters: they are not trained, averaged over
    workers or saved.

    Args:
        path: its checkpoint, of this package or of stock fairseq.
        task: that of the training; its dictionaries must be the teacher's.
    """

    def __init__(self, path: str, task: FairseqTask):
        self.path, self._task = path, task
        self._model: Any = None

    def read(self) -> None:
        """Read the checkpoint, once.

        Raises:
            UserError: the file is missing or damaged, or the teacher has another vocabulary.
        """
        if self._model is not None:
            return
        state = checkpoint_utils.load_checkpoint_to_cpu(self.path)
        self._require_same_words(state["cfg"].task)
        # The values are replaced at once; drawing them must not change the training.
        with torch.random.fork_rng(devices=[]):
            model = self._task.build_model(state["cfg"].model, from_checkpoint=True)
        try:
            model.load_state_dict(state["model"], strict=True, model_cfg=state["cfg"].model)
        except (RuntimeError, UserError) as error:
            raise UserError(
                f"--distillation-teacher {self.path}: does not fit this data; a teacher has the same vocabulary"
            ) from error
        self._model = model.requires_grad_(False).eval()

    @torch.no_grad()
    def logits(self, student: nn.Module, net_input: dict[str, Any]) -> Tensor:
        """What the teacher says of a batch, (B, T, V).

        A teacher whose state is carried on has one of its own. No checkpoint has it, so a training that goes on in the
        middle of an epoch begins with an empty one, and says so.

        Args:
            student: gives the device and the floating type.
            net_input: of the batch, as for the student.
        """
        self.read()
        own, wanted = next(self._model.parameters()), next(student.parameters())
        if (own.device, own.dtype) != (wanted.device, wanted.dtype):
            self._model.to(device=wanted.device, dtype=wanted.dtype)
        if net_input.get("first_piece") is False and not self._model.decoder.carried_state.has_begun(training=False):
            logger.warning(f"{self.path} begins with an empty state, in the middle of an epoch")
            net_input = {**net_input, "first_piece": True}
        found: Tensor = self._model(**net_input)[0]
        return found

    def _require_same_words(self, saved: Any) -> None:
        """Compare the words where the checkpoint names a folder with dictionaries that is still there."""
        folder = (saved.get("data") or "").split(os.pathsep)[0]
        sides = {"source_lang": self._task.source_dictionary, "target_lang": self._task.target_dictionary}
        for side, dictionary in sides.items():
            lang = saved.get(side)
            path = os.path.join(folder, f"dict.{lang}.txt" if lang else "dict.txt")
            if dictionary is not None and os.path.isfile(path) and Dictionary.load(path) != dictionary:
                raise UserError(
                    f"--distillation-teacher {self.path}: was trained with the words of {path}, which are not those of "
                    "this data; a teacher has the same vocabulary"
                )
