"""Objects sent between the processes of one job."""

from typing import Any

import torch.distributed
from fairseq.distributed import utils


def install() -> None:
    """Send objects by torch's own means."""

    # fairseq sends objects between the processes of one job through torch.load, whose safe default refuses a
    # DictConfig. The sender is a process of this job, not a file, so a pickle is as safe as the job itself.
    def broadcast_object_slow(obj: Any, src_rank: int, group: Any, dist_device: torch.device) -> Any:
        objects = [obj]
        source = torch.distributed.get_global_rank(group, src_rank) if group is not None else src_rank
        torch.distributed.broadcast_object_list(objects, src=source, group=group, device=dist_device)
        return objects[0]

    utils._broadcast_object_slow = broadcast_object_slow
