"""A checkpoint in the middle of an epoch knows what each worker's streams were in the middle of.

fairseq writes what the first worker knows, and gives a task nothing of a checkpoint back. The states of all workers are
collected where all of them meet before a checkpoint is written, and stand beside the position of the iterator.
"""

import functools
from typing import Any

from fairseq.trainer import Trainer

from fairseq_alone.tasks.truncated_bptt_lm import gather_from

_NAME = "carried_states"


def install() -> None:
    """Write and read the states of tasks that have ``states_to_save``."""
    consolidate_optimizer, state_dict, load_checkpoint = (
        Trainer.consolidate_optimizer,
        Trainer.state_dict,
        Trainer.load_checkpoint,
    )

    @functools.wraps(consolidate_optimizer)
    def collect(self: Trainer) -> None:
        consolidate_optimizer(self)
        if hasattr(self.task, "states_to_save"):
            gather = gather_from(self.data_parallel_process_group, self.data_parallel_world_size)
            self._carried_states = self.task.states_to_save(self.get_model(), gather)

    @functools.wraps(state_dict)
    def with_states(self: Trainer) -> dict[str, Any]:
        state = state_dict(self)
        if getattr(self, "_carried_states", None) is not None:
            state["extra_state"][_NAME] = self._carried_states
        return state

    @functools.wraps(load_checkpoint)
    def resume(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        extra_state = load_checkpoint(self, *args, **kwargs)
        states = (extra_state or {}).get(_NAME)
        if states is not None and _is_within_an_epoch(extra_state) and not self.cfg.checkpoint.reset_dataloader:
            place = self.data_parallel_rank, self.data_parallel_world_size
            self.task.resume_states(self.get_model(), states, *place)
        return extra_state

    Trainer.consolidate_optimizer, Trainer.state_dict, Trainer.load_checkpoint = collect, with_states, resume


def _is_within_an_epoch(extra_state: dict[str, Any]) -> bool:
    return extra_state["train_iterator"].get("iterations_in_epoch", 0) > 0
