"""Flags of fairseq's language modelling that need single samples, for tasks that read text as one."""

from typing import Any

from fairseq_alone.errors import UserError

_SWITCHES = ("self_target", "past_target", "add_bos_token", "pad_to_fixed_length", "pad_to_fixed_bsz")


def refuse_flags_of_samples(args: Any, task: str) -> None:
    """Raise UserError for a flag that has no meaning where the text is one long stream.

    Args:
        args: of fairseq's language modelling task.
        task: its name, for the sentence.
    """
    for flag in _SWITCHES:
        if getattr(args, flag, False):
            name = f"--{flag.replace('_', '-')}"
            raise UserError(f"{name} does not work with --task {task}, where the text is one long stream")
    if args.sample_break_mode not in (None, "none"):
        raise UserError(
            f"--sample-break-mode {args.sample_break_mode} does not work with --task {task}: a piece goes on where the "
            "one before ended"
        )
    if getattr(args, "shorten_method", "none") != "none":
        raise UserError(f"--shorten-method does not work with --task {task}, which leaves no word out")
