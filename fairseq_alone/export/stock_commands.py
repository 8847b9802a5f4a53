"""The README of an exported checkpoint: the commands of stock fairseq that use it."""

from __future__ import annotations

from fairseq_alone.export.stock_checkpoint import SUBWORD_FILES
from fairseq_alone.inference.trained_model import TextSettings, TrainedModel

_HEAD = """# {network} for fairseq

`model.pt` is a checkpoint of stock fairseq; the package that trained it is not needed. Its embedding is a plain table.
Run the commands in this folder. DATA_BIN is text that `fairseq-preprocess` has made of these dictionaries.
"""

_TRANSLATION = """
Raw text, a sentence a line; the lines `D-` are the translations:

    {interactive}

Binarised text:

    fairseq-generate DATA_BIN {generation} --required-batch-size-multiple 1
    fairseq-validate DATA_BIN --task translation --path model.pt --batch-size 32 --required-batch-size-multiple 1

The BLEU that fairseq-generate prints is of tokens or subwords; the number to compare is the BLEU of detokenised text,
which `sacrebleu` computes.

In Python:

    from fairseq.models.transformer import TransformerModel
    model = TransformerModel.from_pretrained(".", "model.pt")
    print(model.translate(["..."], beam={beam}, lenpen={lenpen:g}))
"""

_LANGUAGE_MODEL = """
Perplexity of binarised text:

    fairseq-eval-lm DATA_BIN --path model.pt {tokens}--max-tokens 4000
"""

_OLD_NUMPY = """
One sentence a sample (`eos`) needs a numpy that still has `numpy.compat`, which fairseq asks for.
"""


def readme(trained: TrainedModel) -> str:
    """The text of the README, in Markdown."""
    if trained.kind == "language_model":
        by_sentence = trained.config["task"].get("sample_break_mode") == "eos"
        body = _LANGUAGE_MODEL.format(tokens=_tokens(trained)) + (_OLD_NUMPY if by_sentence else "")
        return _HEAD.format(network="Language model") + body
    decoding = trained.decoding
    task = trained.config["task"]
    generation = f"--path model.pt -s {task['source_lang']} -t {task['target_lang']} --beam {decoding.beam}"
    generation += f" --lenpen {decoding.lenpen:g} --batch-size {decoding.sentences}"
    split = _splitting(trained.text)
    interactive = f"fairseq-interactive . {generation} --buffer-size {decoding.sentences}{split} < TEXT"
    body = _TRANSLATION.format(
        interactive=interactive, generation=generation, beam=decoding.beam, lenpen=decoding.lenpen
    )
    return _HEAD.format(network="Translation model") + _notes(trained.text) + body


def _tokens(trained: TrainedModel) -> str:
    task = trained.config["task"]
    mode = task.get("sample_break_mode")
    flags = f"--sample-break-mode {mode} " if mode else ""
    return f"{flags}--tokens-per-sample {task.get('tokens_per_sample', 512)} "


def _splitting(text: TextSettings) -> str:
    flags = ""
    if text.tokenizer == "moses":
        flags += " --tokenizer moses --moses-no-dash-splits"
    if text.subwords == "subword-nmt" and text.target_units != "characters":
        flags += f" --bpe subword_nmt --bpe-codes {SUBWORD_FILES[text.subwords]}"
    if text.subwords == "sentencepiece":
        flags += f" --bpe sentencepiece --sentencepiece-model {SUBWORD_FILES[text.subwords]}"
    return flags


def _notes(text: TextSettings) -> str:
    """What stock fairseq cannot do to raw text."""
    notes = []
    if text.lowercase:
        notes.append("Lower-case the text first.")
    if text.target_units == "characters":
        notes.append(
            f"Split the text by `subword-nmt apply-bpe -c {SUBWORD_FILES['subword-nmt']}` first; the output is one "
            "token a character, `▁` for the space."
        )
    if text.whole:
        notes.append(f"Words that are never split: {' '.join(text.whole)}; stock fairseq would split them.")
    return "".join(f"\n{note}\n" for note in notes)
