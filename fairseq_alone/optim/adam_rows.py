"""``--optimizer adam_rows``: Adam, and a rule by rows for tables of words, of which a batch touches few rows."""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.optim import FairseqOptimizer, register_optimizer
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from fairseq_alone.errors import UserError
from fairseq_alone.optim.joined import JoinedOptimizers
from fairseq_alone.optim.row_adagrad import RowAdagrad

#: What is updated by rows has this value of ``param_group``, the attribute by which fairseq tells kinds of parameters.
BY_ROWS = "by_rows"

#: What moves the rows of tables.
RULES = ("adagrad", "sgd")

logger = logging.getLogger(__name__)


@dataclass
class AdamRowsConfig(FairseqAdamConfig):
    """Adam's flags, and those of rows."""

    rows_rule: str = field(
        default="adagrad",
        metadata={
            "help": "what moves the rows of tables: adagrad, with one rate for each row; or sgd on the sum of the "
            "losses of an update, word2vec's, with --lr 0.025 to 0.05"
        },
    )
    rows_clip_norm: float = field(
        default=20.0,
        metadata={
            "help": "with --rows-rule sgd: the greatest norm of a row's gradient, summed over the words of an update, "
            "which keeps frequent words from overshooting where --lr or --max-tokens is large; 0 = no limit"
        },
    )
    rows_lr_scale: float = field(
        default=1.0, metadata={"help": "learning rate of the rows of tables in units of --lr, which is Adam's"}
    )


@register_optimizer("adam_rows", dataclass=AdamRowsConfig)
class FairseqAdamRows(FairseqOptimizer):
    r"""fairseq's Adam, and for tables :class:`~fairseq_alone.optim.row_adagrad.RowAdagrad` or SGD.

    SGD is that of word2vec (Mikolov et al., 2013), :math:`w \leftarrow w - \eta \sum_i \partial \ell_i / \partial w`
    over all words i of an update, on whatever workers. Of the mean over words, which fairseq steps by, a rare row would
    see next to nothing. Where noise words are shared, few and large gradients are most of what Adagrad divides by, and
    the many small ones of the text count little; SGD adds them up.

    word2vec takes one step after another, and each sees what the one before has done. In a sum they do not, so that a
    frequent word, or a noise word that many share, overshoots. ``--rows-clip-norm`` bounds the sum of each row.

    Gradients of look-ups are sparse with it, so an update costs by the words of a batch and not by the vocabulary. A
    model without a table is trained by Adam alone. Several processes exchange the rows that they have touched.

    Args:
        cfg: the flags.
        params: trained parameters; tables have ``param_group == BY_ROWS``.

    Raises:
        UserError: a flag is outside its range.
    """

    def __init__(self, cfg: AdamRowsConfig, params: Iterable[nn.Parameter]):
        super().__init__(cfg)
        if cfg.rows_rule not in RULES:
            raise UserError(f"--rows-rule must be {' or '.join(RULES)}, got '{cfg.rows_rule}'")
        if not 0.0 <= cfg.rows_clip_norm < float("inf"):
            raise UserError(f"--rows-clip-norm must be a number of at least 0, got {cfg.rows_clip_norm}")
        if not 0.0 < cfg.rows_lr_scale < float("inf"):
            raise UserError(f"--rows-lr-scale must be a positive number, got {cfg.rows_lr_scale}")
        self._tables: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for parameter in params:
            by_rows = getattr(parameter, "param_group", None) == BY_ROWS
            (self._tables if by_rows else others).append(parameter)
        logger.info(f"{cfg.rows_rule} by rows for {len(self._tables)} tables, Adam for {len(others)} other tensors")
        # As groups, since there may be no parameter of one kind.
        self._adam = FairseqAdam(cfg, [{"params": others}])
        by_rule: dict[str, Any] = {"adagrad": RowAdagrad, "sgd": torch.optim.SGD}
        rows = by_rule[cfg.rows_rule]([{"params": self._tables}], lr=0.0)
        # What fairseq divides the sum of the losses of an update by.
        self._divisor = 1.0
        self._optimizer = JoinedOptimizers(self._adam.optimizer, rows)
        self.set_lr(self.get_lr())

    @property
    def optimizer_config(self) -> dict:
        """Adam's settings, as fairseq asks for them."""
        return self._adam.optimizer_config

    def set_lr(self, lr: float) -> None:
        """Set Adam's learning rate; that of rows follows."""
        adam, rows = self.optimizer.param_groups
        adam["lr"], rows["lr"] = lr, lr * self.cfg.rows_lr_scale

    def step(self, closure: Any = None, scale: float = 1.0, groups: Any = None) -> None:
        """Update all parameters; see fairseq's own."""
        if self.cfg.rows_rule == "sgd":
            # After --clip-norm, whose limit is in units of the mean as everywhere.
            for table in self._tables:
                if table.grad is not None:
                    _clip_rows(_values(table.grad).mul_(self._divisor), self.cfg.rows_clip_norm)
        super().step(closure, scale, groups)

    def load_state_dict(self, state_dict: dict, optimizer_overrides: dict | None = None) -> None:
        """Load a state. ``--optimizer-overrides`` are Adam's; ``--rows-lr-scale`` holds as it is given now.

        Raises:
            UserError: it is of another ``--rows-rule``.
        """
        # Adagrad's group has the rate alone.
        known, own = (len(found["param_groups"][1]) for found in (state_dict, self.optimizer.state_dict()))
        if known != own:
            raise UserError(
                f"--rows-rule {self.cfg.rows_rule} does not go on with the checkpoint, which has another one"
            )
        self.optimizer.load_state_dict(state_dict)
        self.optimizer.param_groups[0].update(optimizer_overrides or {})
        self.set_lr(self.get_lr())

    def all_reduce_grads(self, module: Any) -> None:
        """Average gradients over workers; of tables, the rows that any of them has touched."""
        sparse = [table for table in self._tables if table.grad is None or table.grad.is_sparse]
        # fairseq's own wrapper; PyTorch's has reduced all of them during the backward pass.
        legacy = hasattr(module, "all_reduce_grads")
        with _set_aside(sparse) as gradients:
            super().all_reduce_grads(module)
        for table, gradient in zip(sparse, gradients, strict=True):
            if legacy and module.world_size > 1:
                own = _no_rows(table) if gradient is None else gradient
                table.grad = mean_of_workers(own.coalesce(), module.process_group, module.world_size)
            else:
                # What follows works on values without asking whether a row stands there twice.
                table.grad = None if gradient is None else gradient.coalesce()

    def multiply_grads(self, c: Any) -> None:
        """Multiply gradients by a constant; fairseq's own way leaves sparse ones as they are."""
        for value in self._gradients():
            value.mul_(c)
        # The gradients are means over the workers already, and c is their number divided by that of all words.
        workers = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        self._divisor = workers / float(c)

    def clip_grad_norm(self, max_norm: float, aggregate_norm_fn: Any = None) -> Tensor:
        """Clip the norm of all gradients together, those of rows among them."""
        values = self._gradients()
        if not values:
            return torch.zeros(())
        norm = torch.nn.utils.get_total_norm(values)
        if aggregate_norm_fn is not None:
            norm = aggregate_norm_fn(norm)
        if max_norm > 0:
            share = (max_norm / (norm + 1e-6)).clamp_(max=1.0)
            for value in values:
                value.mul_(share)
        return norm

    def _gradients(self) -> list[Tensor]:
        """The values of all gradients; those of sparse ones are in place, too."""
        return [_values(parameter.grad) for parameter in self.params if parameter.grad is not None]


def _values(gradient: Tensor) -> Tensor:
    return gradient._values() if gradient.is_sparse else gradient


def _clip_rows(values: Tensor, limit: float) -> None:
    """Shorten the rows (R, D) whose norm is above the limit; 0 is none."""
    if limit > 0.0:
        norms = torch.linalg.vector_norm(values, dim=1, keepdim=True)
        values.mul_(limit / norms.clamp_(min=limit))


@contextlib.contextmanager
def _set_aside(tables: list[nn.Parameter]) -> Iterator[list[Tensor | None]]:
    """Hide tables from fairseq's wrapper, which would make dense gradients of theirs; gives the gradients."""
    gradients = [table.grad for table in tables]
    for table in tables:
        table.grad = None
        table.requires_grad_(False)
    try:
        yield gradients
    finally:
        for table, gradient in zip(tables, gradients, strict=True):
            table.requires_grad_(True)
            table.grad = gradient


def _no_rows(table: Tensor) -> Tensor:
    return torch.sparse_coo_tensor(
        torch.zeros(1, 0, dtype=torch.int64, device=table.device), table.new_zeros(0, table.size(1)), table.shape
    )


def mean_of_workers(gradient: Tensor, group: ProcessGroup, workers: int) -> Tensor:
    """The mean of all workers' sparse gradients.

    Args:
        gradient: (V, D), coalesced.
        group: of the workers.
        workers: how many.
    """
    rows, values = gradient.indices()[0], gradient.values()
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(workers)]
    torch.distributed.all_gather(counts, torch.tensor([len(rows)], device=rows.device), group=group)
    most = int(max(counts))
    # Tensors of one shape: rows beyond a worker's own are cut off again.
    padded_rows, padded_values = rows.new_zeros(most), values.new_zeros(most, values.size(1))
    padded_rows[: len(rows)], padded_values[: len(rows)] = rows, values
    all_rows = [torch.empty_like(padded_rows) for _ in range(workers)]
    all_values = [torch.empty_like(padded_values) for _ in range(workers)]
    torch.distributed.all_gather(all_rows, padded_rows, group=group)
    torch.distributed.all_gather(all_values, padded_values, group=group)
    kept = [slice(int(count)) for count in counts]
    indices = torch.cat([found[part] for found, part in zip(all_rows, kept, strict=True)])
    summed = torch.cat([found[part] for found, part in zip(all_values, kept, strict=True)])
    return torch.sparse_coo_tensor(indices.unsqueeze(0), summed / workers, gradient.shape).coalesce()
