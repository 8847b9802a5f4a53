"""The README.md in a folder for CTranslate2: how to use it without this package."""

from __future__ import annotations

from fairseq_alone.inference.ctranslate2_folder import PAD, SETTINGS, CTranslate2Settings

_TRANSLATION = """\
import ctranslate2

translator = ctranslate2.Translator(".", device="cpu")
units = ["UNITS"]  # as this model's subwords split a sentence
result = translator.translate_batch(
    [units],
    beam_size={beam},
    length_penalty={lenpen},
    max_decoding_length={longest},
    max_input_length=0,  # longer input is an error, not cut
    suppress_sequences=[["{pad}"]],  # padding is not masked
)
print(" ".join(result[0].hypotheses[0]))
"""

_LANGUAGE_MODEL = """\
import ctranslate2

model = ctranslate2.Generator(".", device="cpu")
units = ["UNITS"]  # as this model's dictionary splits a text
tokens = [{start}, *units, "</s>"]
result = model.score_batch([tokens], max_input_length=0)  # longer input is an error, not cut
print(sum(result[0].log_probs[{begin}:]))  # of every unit and of the end, in nats
"""

_TEXT = """\
# A model for CTranslate2

Exported by fairseq-alone; numbers as {quantization}. The longest input has {units} units.{output}

    {command}

does all from raw text. Without this package, in this folder:

```python
{code}```

Units go in and come out. How text becomes units is in `{settings}`: tokeniser "{tokenizer}", subwords "{subwords}".
"""


def readme(settings: CTranslate2Settings, quantization: str, example: str) -> str:
    """The text.

    Args:
        settings: as written beside it.
        quantization: the type of the numbers.
        example: a unit of the dictionary.
    """
    scores = settings.kind == "language_model"
    code = (_LANGUAGE_MODEL if scores else _TRANSLATION).format(
        beam=settings.decoding.beam,
        lenpen=settings.decoding.lenpen,
        longest=min(settings.decoding.max_len_b, settings.max_output_length),
        pad=PAD,
        start=", ".join(f'"{symbol}"' for symbol in settings.start),
        begin=len(settings.start) - 1,
    )
    output = "" if scores else f" The longest output has {settings.max_output_length - 1}."
    return _TEXT.format(
        quantization=quantization,
        units=settings.max_input_length - 1,
        output=output,
        command="fairseq-alone translate FOLDER 'A sentence.'" if not scores else "fairseq_alone.load(FOLDER).score",
        code=code.replace('"UNITS"', repr(example)),
        settings=SETTINGS,
        tokenizer=settings.text.tokenizer,
        subwords=settings.text.subwords,
    )
