"""Mistakes of a user that fairseq answers with an exception of its own, and the sentence for each."""

import os
import re
import sys


def sentence_of(error: BaseException) -> str | None:
    """The sentence that tells the user what to do, or None where the error is no known mistake of a user."""
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        return _missing_file(os.fspath(error.filename))
    text = str(error)
    for kind, pattern, answer in _ANSWERS:
        match = re.match(pattern, text)
        if isinstance(error, kind) and match:
            return match.expand(answer)
    return None


def _missing_file(path: str) -> str | None:
    name, folder = os.path.basename(path), os.path.dirname(path)
    if re.fullmatch(r"dict\.(.+\.)?txt", name):
        if not os.path.isdir(folder):
            return f"{folder}: there is no such data folder; fairseq-preprocess makes one (--destdir)"
        return f"{path}: there is no such dictionary; is this the data folder, and are the languages (-s, -t) its own?"
    # Any other file may be missing by a mistake of ours, unless the user named it.
    given = {os.path.abspath(part) for word in sys.argv[1:] for part in re.split("[=:,]", word)}
    return f"{path}: there is no such file or folder" if os.path.abspath(path) in given else None


# Kind of error, how its text begins, the sentence.
_ANSWERS = (
    (
        FileNotFoundError,
        r"Dataset not found: (\S+) \((.*)\)",
        r"\2: holds no set '\1' for this task and these languages (-s, -t); fairseq-preprocess makes it",
    ),
    (
        Exception,
        r"Could not infer language pair",
        r"the data folder does not tell the two languages: give -s and -t, or the --task that the data is for",
    ),
    (
        Exception,
        r"Size of sample #(\d+) is invalid \(=(.*?)\) since max_positions=(.*?), skip",
        r"sample \1 has \2 tokens, but the model and the task allow \3: raise --max-source-positions and "
        r"--max-target-positions (or --tokens-per-sample), or leave such samples out with "
        r"--skip-invalid-size-inputs-valid-test",
    ),
    (
        Exception,
        r"The dataset is empty",
        r"no sample is left to train on or to validate with: give --required-batch-size-multiple 1, and see above how "
        r"many samples were too long",
    ),
    (OSError, r"Model file not found: (.*)", r"\1: there is no such checkpoint"),
    (AssertionError, r"Must specify batch size", r"give the size of a batch: --max-tokens N or --batch-size N"),
    (ValueError, r"optimizer is required", r"give --optimizer, for example --optimizer adam"),
    (
        ValueError,
        r"--finetune-from-model and --restore-file",
        r"--finetune-from-model contradicts --restore-file: give one of the two",
    ),
    # Sentences already.
    ((ValueError, AssertionError), r"(--[a-z][^\n]*)\Z", r"\1"),
)
