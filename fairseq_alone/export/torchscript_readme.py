"""The README of a TorchScript export, whose Python runs with PyTorch alone."""

from __future__ import annotations

from fairseq_alone.export.stock_checkpoint import SUBWORD_FILES
from fairseq_alone.export.text_code import example, text_code
from fairseq_alone.inference.trained_model import TrainedModel

_HEAD = """# {network} for TorchScript

`model.torchscript` runs with PyTorch alone, also from C++. A line of a dictionary is a unit and its count; the first
line has the id 4, after `<s>` 0, `<pad>` 1, `</s>` 2 and `<unk>` 3. {split} Compiling for each new length takes longer
than it saves, so it is switched off here. Run the Python in this folder (`pip install {libraries}`).
"""

_IDS = """
```python
import torch
{text_code}

def read_dictionary(path):
    with open(path, encoding="utf-8") as lines:
        return ["<s>", "<pad>", "</s>", "<unk>", *(line.rsplit(" ", 1)[0] for line in lines)]
"""

_SPLIT = "`split` makes units of raw text, as the training did."
_UNITS = "Units go in and come out: the export did not know the subwords."

_TRANSLATION = """
source, target = read_dictionary("dict.{source}.txt"), read_dictionary("dict.{target}.txt")
ids = {{word: number for number, word in enumerate(source)}}
model = torch.jit.load("model.torchscript")
sentences = ["{example}"]
rows = [[ids.get(word, 3) for word in split(sentence)] + [2] for sentence in sentences]
longest = max(map(len, rows))
tokens = torch.tensor([[1] * (longest - len(row)) + row for row in rows])  # (B, T), padded on the left
with torch.no_grad(), torch.jit.optimized_execution(False):
    for hypotheses in model(tokens, beam={beam}, lenpen={lenpen}, max_len_a={max_len_a}, max_len_b={max_len_b}):
        print(join([target[number] for number in hypotheses[0]["tokens"][:-1]]), float(hypotheses[0]["score"]))
```

The score is the log-probability in nats, divided by the length to the power of `lenpen`.
`model.network(tokens, lengths, previous)` gives the logits of the network itself.
"""

_LANGUAGE_MODEL = """
words = read_dictionary("dict.txt")
ids = {{word: number for number, word in enumerate(words)}}
model = torch.jit.load("model.torchscript")
target = [ids.get(word, 3) for word in split("{example}")] + [2]
with torch.no_grad(), torch.jit.optimized_execution(False):
    scores = model(torch.tensor([{start} + target[:-1]]))[0, {begin}:]  # (T, V), log-probabilities in nats
print([float(scores[step, number]) for step, number in enumerate(target)])
```
"""


def readme(trained: TrainedModel) -> str:
    """The text of the README, in Markdown, with an example of frequent words."""
    text = trained.text
    scores = trained.source_dictionary is None
    splitting = text_code(text, SUBWORD_FILES.get(text.subwords), joins=not scores)
    head = _HEAD.format(
        network="Language model" if scores else "Translation model",
        split=_SPLIT if text.subwords == "none" or text.subword_model is not None else _UNITS,
        libraries=" ".join(("torch", *splitting.libraries)),
    )
    head += _IDS.format(text_code=splitting.code)
    if trained.source_dictionary is None:
        start = [0, 2] if trained.config["task"].get("add_bos_token") else [2]
        words = example(trained.target_dictionary.symbols)
        return head + _LANGUAGE_MODEL.format(example=words, start=start, begin=len(start) - 1)
    decoding, task = trained.decoding, trained.config["task"]
    return head + _TRANSLATION.format(
        source=task["source_lang"],
        target=task["target_lang"],
        example=example(trained.source_dictionary.symbols),
        beam=decoding.beam,
        lenpen=float(decoding.lenpen),
        max_len_a=float(decoding.max_len_a),
        max_len_b=decoding.max_len_b,
    )
