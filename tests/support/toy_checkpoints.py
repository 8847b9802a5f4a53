"""Small real fairseq models, and checkpoints of them as fairseq's trainer writes them."""

import argparse

import torch
from fairseq import utils
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY
from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY, FairseqTask
from small_models import dictionary

import fairseq_alone.models  # noqa: F401 (registers the architectures)

TYING = {
    "three-way": {"share_all_embeddings": True},
    "two-way": {"share_decoder_input_output_embed": True},
    "none": {},
}
SHAPE = {
    "encoder_embed_dim": 8,
    "encoder_ffn_embed_dim": 16,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_embed_dim": 8,
    "decoder_ffn_embed_dim": 16,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "max_source_positions": 32,
    "max_target_positions": 32,
}
COMPUTED = {
    "transformer_alone": {"alone_inter_dim": 12},
    "transformer_factorized": {"factorized_dim": 3},
    "transformer_alone_duc": {"alone_inter_dim": 12},
    "transformer_factorized_duc": {"factorized_dim": 3},
}


def toy_task(source_size: int, target_size: int | None = None, task: str = "translation") -> FairseqTask:
    """A task with dictionaries of the given sizes, special symbols included."""
    source = dictionary(source_size)
    target = source if target_size is None else dictionary(target_size)
    config = TASK_DATACLASS_REGISTRY[task](data="unused", source_lang="en", target_lang="de")
    return TASK_REGISTRY[task](config, source, target)


def toy_model(
    arch="transformer", tying="three-way", vocabulary=20, target_vocabulary=None, seed=1, task="translation", **flags
):
    """A model with random tensors, its flags and its task. ``flags`` override the shape."""
    args = argparse.Namespace(arch=arch, task=task, **{**SHAPE, **TYING[tying], **COMPUTED.get(arch, {}), **flags})
    ARCH_CONFIG_REGISTRY[arch](args)
    task = toy_task(vocabulary, target_vocabulary, task)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ARCH_MODEL_REGISTRY[arch].build_model(args, task)
    return model, args, task


def write_checkpoint(path, updates=10, fp16_run=False, change=None, **model_flags):
    """Write a checkpoint with an optimizer's state; returns its path as a string.

    Args:
        path: file to write.
        updates: number of updates it claims.
        fp16_run: as after training in fp16: fairseq writes float32, with a copy for each tied name.
        change: a function that edits the checkpoint dictionary before it is written.
        model_flags: see :func:`toy_model`.
    """
    model, args, task = toy_model(**model_flags)
    state = model.state_dict()
    if fp16_run:
        state = {
            name: tensor.half().clone() if tensor.is_floating_point() else tensor for name, tensor in state.items()
        }
    averages = [torch.zeros_like(parameter) for parameter in model.parameters()]
    checkpoint = {
        "args": None,
        "cfg": {
            "_name": None,
            "common": {"seed": 1},
            "model": args,
            "task": {"_name": args.task, "data": "unused"},
        },
        "model": state,
        "criterion": None,
        "optimizer_history": [
            {
                "criterion_name": "CrossEntropyCriterion",
                "optimizer_name": "FairseqAdam",
                "lr_scheduler_state": {"best": None},
                "num_updates": updates,
            }
        ],
        "task_state": {},
        "extra_state": {
            "train_iterator": {"epoch": 2, "iterations_in_epoch": 0},
            "val_loss": 3.0,
            "best": 3.0,
            "metrics": [],
        },
        "last_optimizer_state": {"state": dict(enumerate(averages)), "param_groups": []},
    }
    checkpoint = utils.move_to_cpu(checkpoint)
    if change:
        change(checkpoint)
    torch.save(checkpoint, path)
    return str(path)
