"""Small models with random tensors, in use."""

from toy_checkpoints import toy_model

from fairseq_alone.inference.fairseq_backend import FairseqBackend
from fairseq_alone.inference.text_pipeline import TextPipeline
from fairseq_alone.inference.trained_model import Decoding, TextSettings, TrainedModel
from fairseq_alone.inference.translator import Translator


def toy_trained(arch, task="translation", **flags):
    """A model as it is read from a file."""
    # Tied tensors at random repeat one word.
    model, args, task = toy_model(arch, task=task, dropout=0.0, tying="none", **flags)
    config = {"model": {"length_encoding": getattr(args, "length_encoding", "none")}, "task": {}}
    dictionaries = task.source_dictionary, task.target_dictionary
    decoding = Decoding(beam=3, max_len_b=12, sentences=4)
    return TrainedModel("toy", "translation", model.eval(), task, config, *dictionaries, TextSettings(), decoding)


def toy_translator(arch, **flags):
    """Of words, with fairseq's search."""
    trained = toy_trained(arch, **flags)
    return Translator(trained.facts, TextPipeline(trained.text, trained.path), FairseqBackend(trained))
