"""``--task headline_generation``: translation from a text to a headline of a desired length."""

from dataclasses import dataclass, field
from typing import Any, Optional

from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from torch import Tensor, nn

from fairseq_alone.errors import UserError


@dataclass
class HeadlineGenerationConfig(TranslationConfig):
    """Flags of fairseq's translation task, and the length."""

    # fairseq makes a flag of Optional[int], not of int | None.
    desired_length: Optional[int] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "write so many target tokens (characters, if the target is split into characters), the end symbol "
            "not counted; 0: as many as the reference; only for models with --length-encoding"
        },
    )


@register_task("headline_generation", dataclass=HeadlineGenerationConfig)
class HeadlineGenerationTask(TranslationTask):
    """fairseq's translation task, which also tells the models how long their output shall be.

    In training the model sees the lengths of the targets, so ``--desired-length`` is for decoding only:
    fairseq-generate, fairseq-interactive, ``--eval-bleu``, and ``from_pretrained(..., desired_length=50)``, where
    ``translate(..., desired_length=30)`` takes precedence.
    """

    #: What a model with a length encoding asks of its task.
    sets_target_lengths = True

    def build_generator(self, models: list[nn.Module], args: Any, *other_args: Any, **kwargs: Any) -> Any:
        """Build fairseq's generator. A ``desired_length`` in ``args`` takes precedence over the flag.

        Raises:
            UserError: the desired length is missing, negative, or does not suit the models or ``--match-source-len``.
        """
        desired_length = getattr(args, "desired_length", None)
        if desired_length is None:
            desired_length = self.cfg.desired_length
        if getattr(args, "score_reference", False):
            _check_scoring(desired_length)
            return super().build_generator(models, args, *other_args, **kwargs)
        _check_models(models, desired_length)
        if desired_length is not None and getattr(args, "match_source_len", False):
            raise UserError("--match-source-len makes every output as long as its source: drop it or --desired-length")
        generator = super().build_generator(models, args, *other_args, **kwargs)
        generator.desired_length = desired_length
        return generator

    def inference_step(
        self,
        generator: Any,
        models: list[nn.Module],
        sample: dict[str, Any],
        prefix_tokens: Tensor | None = None,
        constraints: Tensor | None = None,
    ) -> Any:
        """Decode one batch, with the lengths put into a copy of ``sample``.

        Raises:
            UserError: the length of a reference is asked for where there is none, or the search stops before the
                desired length.
        """
        desired_length = getattr(generator, "desired_length", None)
        if desired_length is not None:
            lengths = self._target_lengths(generator, sample, desired_length)
            sample = {**sample, "net_input": {**sample["net_input"], "target_lengths": lengths}}
        return super().inference_step(generator, models, sample, prefix_tokens, constraints)

    def _target_lengths(self, generator: Any, sample: dict[str, Any], desired_length: int) -> Tensor:
        """Target tokens with the end symbol, (B,)."""
        sources = sample["net_input"]["src_tokens"]  # (B, S)
        if desired_length == 0:
            if sample.get("target") is None:
                raise UserError("--desired-length 0 takes the length of the reference, but here is none: give a length")
            lengths = sample["target"].ne(self.target_dictionary.pad()).sum(dim=1)  # (B, T) -> (B,)
        else:
            lengths = sources.new_full((sources.size(0),), desired_length + 1)
        limit = min(int(generator.max_len_a * sources.size(1) + generator.max_len_b), generator.max_len - 1)
        longest = int(lengths.max()) - 1
        if longest > limit:
            here = "" if desired_length else f", here {longest},"
            raise UserError(
                f"--desired-length {desired_length}{here} is beyond the end of the search at {limit} tokens: "
                "see --max-len-b and the model's --max-target-positions"
            )
        return lengths


def _check_scoring(desired_length: int | None) -> None:
    if desired_length:
        raise UserError(
            f"--score-reference scores every reference at its own length, not at --desired-length {desired_length}"
        )


def _check_models(models: list[nn.Module], desired_length: int | None) -> None:
    if desired_length is not None and desired_length < 0:
        raise UserError(f"--desired-length must be at least 0, got {desired_length}")
    # Models of other kinds, such as fairseq's LSTM, have no cfg.
    encodings = {getattr(getattr(model, "cfg", None), "length_encoding", "none") for model in models}
    if "none" in encodings and len(encodings) > 1:
        raise UserError("--path: some models of the ensemble have a --length-encoding, some have none")
    if desired_length is None and "none" not in encodings:
        raise UserError(
            f"--desired-length is missing: this model was trained with --length-encoding {encodings.pop()}; give a "
            "length, or 0 for that of the reference"
        )
    if desired_length is not None and "none" in encodings:
        raise UserError(f"--desired-length {desired_length} needs a model that was trained with a --length-encoding")
