"""The README.md in a folder for CTranslate2: how to use it without this package."""

from __future__ import annotations

import json

from fairseq_alone.export.text_code import text_code
from fairseq_alone.inference.ctranslate2_folder import PAD, SETTINGS, CTranslate2Settings
from fairseq_alone.inference.manifest import SUBWORDS

_TRANSLATION = """\
import ctranslate2
{text_code}

translator = ctranslate2.Translator(".", device="cpu")
result = translator.translate_batch(
    [split({example})],
    beam_size={beam},
    length_penalty={lenpen},
    max_decoding_length={longest},
    max_input_length=0,  # longer input is an error, not cut
    suppress_sequences=[["{pad}"]],  # padding is not masked
)
print(join(result[0].hypotheses[0]))
"""

_LANGUAGE_MODEL = """\
import ctranslate2
{text_code}

model = ctranslate2.Generator(".", device="cpu")
tokens = [{start}, *split({example}), "</s>"]
result = model.score_batch([tokens], max_input_length=0)  # longer input is an error, not cut
print(sum(result[0].log_probs[{begin}:]))  # of every unit and of the end, in nats
"""

_SPLIT = "`split` makes units of raw text."
_UNITS = "Units go in and come out: the export did not know the subwords."

_TEXT = """\
# A model for CTranslate2

Exported by fairseq-alone; numbers as {quantization}. The longest input has {units} units.{output}

    {command}

does all from raw text. Without this package, in this folder (`pip install {libraries}`):

```python
{code}```

{split} How the training split text is in `{settings}`: tokeniser "{tokenizer}", subwords "{subwords}".
"""


def readme(settings: CTranslate2Settings, quantization: str, example: str) -> str:
    """The text.

    Args:
        settings: as written beside it.
        quantization: the type of the numbers.
        example: words of the dictionary, as raw text.
    """
    text = settings.text
    splitting = text_code(text, SUBWORDS.get(text.subwords), settings.kind != "language_model")
    scores = settings.kind == "language_model"
    code = (_LANGUAGE_MODEL if scores else _TRANSLATION).format(
        beam=settings.decoding.beam,
        lenpen=settings.decoding.lenpen,
        longest=min(settings.decoding.max_len_b, settings.max_output_length),
        pad=PAD,
        start=", ".join(f'"{symbol}"' for symbol in settings.start),
        begin=len(settings.start) - 1,
        text_code=splitting.code,
        example=json.dumps(example, ensure_ascii=False),
    )
    output = "" if scores else f" The longest output has {settings.max_output_length - 1}."
    return _TEXT.format(
        quantization=quantization,
        units=settings.max_input_length - 1,
        output=output,
        command="fairseq-alone translate FOLDER 'A sentence.'" if not scores else "fairseq_alone.load(FOLDER).score",
        code=code,
        libraries=" ".join(("ctranslate2", *splitting.libraries)),
        split=_SPLIT if text.subwords == "none" or text.subword_model is not None else _UNITS,
        settings=SETTINGS,
        tokenizer=text.tokenizer,
        subwords=text.subwords,
    )
