"""``--optimizer adam_muon``: Adam, and Muon for the matrices of ALONE's network."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from fairseq.optim import FairseqOptimizer, register_optimizer
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig
from torch import nn

from fairseq_alone.errors import UserError
from fairseq_alone.optim.joined import JoinedOptimizers

#: What Muon updates has this value of ``param_group``, the attribute by which fairseq tells kinds of parameters.
EMBEDDING_NETWORK = "embedding_network"

logger = logging.getLogger(__name__)


@dataclass
class AdamMuonConfig(FairseqAdamConfig):
    """Adam's flags, which mean the same as with ``--optimizer adam``, and Muon's."""

    muon_lr_scale: float = field(
        default=3.0,
        metadata={"help": "learning rate of Muon in units of --lr; with 1 its updates are of the usual size of Adam's"},
    )
    muon_momentum: float = field(default=0.95, metadata={"help": "Nesterov momentum of Muon"})


@register_optimizer("adam_muon", dataclass=AdamMuonConfig)
class FairseqAdamMuon(FairseqOptimizer):
    """fairseq's Adam, and ``torch.optim.Muon`` for the matrices W1, W2 ... of ALONE's network.

    Muon makes the singular values of an update alike (five Newton-Schulz steps on the momentum). So the directions that
    tell two words apart learn as fast as those that all words share. The root mean square of an update is about
    ``0.2 * lr * muon_lr_scale``, whatever the shape of the matrix. ``--weight-decay`` holds for both.

    A model without such matrices is trained by Adam alone.

    Args:
        cfg: the flags.
        params: trained parameters; those of the network have ``param_group == EMBEDDING_NETWORK``.

    Raises:
        UserError: a flag is outside its range, or torch has no Muon.
    """

    def __init__(self, cfg: AdamMuonConfig, params: Iterable[nn.Parameter]):
        super().__init__(cfg)
        if not 0.0 < cfg.muon_lr_scale < float("inf"):
            raise UserError(f"--muon-lr-scale must be a positive number, got {cfg.muon_lr_scale}")
        if not 0.0 <= cfg.muon_momentum < 1.0:
            raise UserError(f"--muon-momentum must be at least 0 and less than 1, got {cfg.muon_momentum}")
        if not hasattr(torch.optim, "Muon"):
            raise UserError(f"--optimizer adam_muon needs torch 2.9 or later, but this is {torch.__version__}")
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for parameter in params:
            in_network = getattr(parameter, "param_group", None) == EMBEDDING_NETWORK
            (matrices if in_network else others).append(parameter)
        logger.info(f"Muon for {len(matrices)} matrices of the embedding, Adam for {len(others)} other tensors")
        self._adam = FairseqAdam(cfg, others)
        muon = torch.optim.Muon(
            [{"params": matrices}],
            momentum=cfg.muon_momentum,
            weight_decay=cfg.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        self._optimizer = JoinedOptimizers(self._adam.optimizer, muon)
        self.set_lr(self.get_lr())

    @property
    def optimizer_config(self) -> dict:
        """Adam's settings, as fairseq asks for them."""
        return self._adam.optimizer_config

    def set_lr(self, lr: float) -> None:
        """Set Adam's learning rate; Muon's follows."""
        for group in self.optimizer.adam.param_groups:
            group["lr"] = lr
        for group in self.optimizer.other.param_groups:
            group["lr"] = lr * self.cfg.muon_lr_scale

    def load_state_dict(self, state_dict: dict, optimizer_overrides: dict | None = None) -> None:
        """Load a state. ``--optimizer-overrides`` are Adam's; the flags ``--muon-...`` hold as they are given now."""
        self.optimizer.load_state_dict(state_dict)
        for group in self.optimizer.adam.param_groups:
            group.update(optimizer_overrides or {})
        for group in self.optimizer.other.param_groups:
            group["momentum"] = self.cfg.muon_momentum
        self.set_lr(self.get_lr())
