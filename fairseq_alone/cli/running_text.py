"""Whether a reference is running text, as scores need it, or still split into tokens or subwords."""

import re
import sys

from fairseq_alone.errors import UserError

# How subwords are marked, by what joins them. A text may hold one such sign by chance.
_MARKS = {"subword-nmt": re.compile("@@( |$)"), "sentencepiece": re.compile("▁")}
_BY_CHANCE = 0.1
# No language that has these two writes a space before them; French, for example, does before others.
_TOKEN = re.compile(r" [.,]( |$)")


def require_running_text(path: str, lines: list[str], detokenized: bool, strict: bool) -> None:
    """Refuse a reference in subwords; warn of one in tokens where the hypotheses are detokenised.

    Args:
        path: the reference.
        lines: what it holds.
        detokenized: whether hypotheses are.
        strict: refuse tokens as well.

    Raises:
        UserError: more than a tenth of the lines are split into subwords; or, with ``strict``, most into tokens.
    """
    for name, mark in _MARKS.items():
        split = [number for number, line in enumerate(lines, start=1) if mark.search(line)]
        if len(split) > _BY_CHANCE * len(lines):
            raise UserError(
                f"{path}, line {split[0]}: is split into subwords, as {name} does; give the text before that (of a "
                "recipe's folder, that in clean/)"
            )
    if detokenized and 2 * sum(bool(_TOKEN.search(line)) for line in lines) > len(lines):
        problem = f"{path} looks tokenised (' .' or ' ,' in most lines), but the hypotheses are detokenised"
        if strict:
            raise UserError(f"{problem}; give the text before that (--strict)")
        print(f"warning: {problem}; give the text before that, or --no-detokenize", file=sys.stderr)
