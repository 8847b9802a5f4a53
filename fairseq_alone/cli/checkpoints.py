"""What ``average`` and ``report`` both read out of a checkpoint: updates, and which names are one tensor."""

from fairseq_alone.checkpoints import same_bits
from fairseq_alone.errors import UserError
from fairseq_alone.model_settings import model_settings, tying

ENCODER_INPUT = "encoder.embed_tokens"
DECODER_INPUT = "decoder.embed_tokens"
# A conventional or tied output layer, the embedding of an untied computed one, and the layer of fairseq's own LSTMs.
OUTPUTS = ("decoder.output_projection", "decoder.output_embedding", "decoder.fc_out")


def tied_modules(settings: dict) -> tuple[str, ...]:
    """The modules whose tensors the settings make one, the one that is stored first; empty without tying."""
    return {
        "three-way": (ENCODER_INPUT, DECODER_INPUT, *OUTPUTS),
        "two-way": (DECODER_INPUT, *OUTPUTS),
        "none": (),
    }[tying(settings)]


def num_updates(checkpoint: dict) -> int:
    """Optimizer updates before the checkpoint was written; 0 when it does not say."""
    history = checkpoint.get("optimizer_history") or [{}]
    return int(history[-1].get("num_updates") or 0)


def split_name(name: str) -> tuple[str | None, str]:
    """Split ``encoder.embed_tokens.w1`` into its module and ``w1``; outside of embeddings ``(None, name)``."""
    for module in (ENCODER_INPUT, DECODER_INPUT, *OUTPUTS):
        if name.startswith(module + "."):
            return module, name[len(module) + 1 :]
    return None, name


def tie_groups(path: str, checkpoint: dict) -> list[list[str]]:
    """All names of the model's tensors, in groups: the names in one group are one tensor.

    Names are one tensor when they share memory, or when the settings tie them: checkpoints of runs on a GPU or
    in fp16 hold a copy for each name.

    Raises:
        UserError: the settings tie two names, but their values differ.
    """
    model = checkpoint["model"]
    settings = model_settings(checkpoint)
    modules = tied_modules(settings)
    groups: dict[tuple, list[str]] = {}
    for name, tensor in model.items():
        module, tensor_name = split_name(name)
        key: tuple
        if module in modules:
            key = ("tied", tensor_name)
        elif tensor.numel() == 0:
            key = ("empty", name)  # empty tensors have no address to tell them apart
        else:
            key = ("memory", tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        groups.setdefault(key, []).append(name)
    for key, names in groups.items():
        for name in names[1:]:
            if key[0] == "tied" and not same_bits(model[names[0]], model[name]):
                raise UserError(
                    f"{path}: the settings tie {names[0]} and {name} ({tying(settings)}), but their values differ; "
                    "the checkpoint is damaged"
                )
    return list(groups.values())
