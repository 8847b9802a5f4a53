"""Run the commands of ``commands.py`` for fairseq's own models and for every family of embeddings, and compare.

By hand, from the repository root::

    python tests/every_family/compare.py                                    # everything: about an hour
    python tests/every_family/compare.py --only "hub" --family alone_real   # some of it
    python tests/every_family/compare.py --markdown table.md --json table.json

Everything runs with ``--user-dir fairseq_alone``, fairseq's own models too: without it, this fairseq cannot load a
checkpoint with this torch.
"""

import argparse
import json
import random
import re
import shlex
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / folder) for folder in (".", "support"))]

from commands import DATA, ENTRIES, LENGTH, LSTM_LM, TRANSFORMER_LM, TRANSLATION, Entry  # noqa: E402
from fairseq_commands import fairseq, python  # noqa: E402

STOCK = "stock"
TYINGS = ("all", "decoder", "none")
_TEST_SENTENCES = 8

#: Of each family, the kind in the name of its architectures and its flags.
FAMILIES = {
    "alone_binary": ("alone", "--alone-inter-dim 12"),
    "alone_real": ("alone", "--alone-inter-dim 12 --alone-filter real --alone-dropout 0.1"),
    "alone_rows": ("alone", "--alone-inter-dim 12 --alone-free-rows 10,20x3"),
    "alone_share": ("alone", "--alone-share 0.5"),
    "factorized": ("factorized", "--factorized-dim 6"),
    "conventional": ("conventional", ""),
    "tensor_product": ("tensor_product", "--tensor-rank 4 --tensor-normalize"),
    "differentiated": ("differentiated", "--differentiated-blocks 30x10,restx6"),
    "char_cnn": ("char_cnn", "--char-cnn-dim 4 --char-cnn-filters 1x4,2x8 --char-cnn-correction-dim 4"),
}

_ARCHITECTURES = {
    TRANSLATION: ("transformer", "transformer_{}"),
    TRANSFORMER_LM: ("transformer_lm", "transformer_lm_{}"),
    LSTM_LM: ("lstm_lm", "lstm_lm_{}"),
}
_LENGTH_ARCHITECTURES = {
    "alone": "transformer_alone_duc",
    "factorized": "transformer_factorized_duc",
    "conventional": "transformer_length_duc",
    "tensor_product": "transformer_tensor_product_duc",
    "differentiated": "transformer_differentiated_duc",
    "char_cnn": "transformer_char_cnn_duc",
}

_SIDE = "--{0}-embed-dim 16 --{0}-ffn-embed-dim 16 --{0}-layers 1 --{0}-attention-heads 2"
_TRANSFORMER_SIZES = " ".join(_SIDE.format(side) for side in ("encoder", "decoder"))
_LM = "--task language_modeling --tokens-per-sample 16"
_SIZES = {
    TRANSLATION: _TRANSFORMER_SIZES,
    LENGTH: _TRANSFORMER_SIZES,
    TRANSFORMER_LM: f"{_SIDE.format('decoder')} --decoder-input-dim 16 --decoder-output-dim 16 {_LM}",
    LSTM_LM: f"--decoder-embed-dim 16 --decoder-hidden-size 16 --decoder-out-embed-dim 16 --decoder-layers 1 {_LM}",
}
_TRAINING = (
    "--optimizer adam --lr 0.01 --max-tokens 160 --required-batch-size-multiple 1 --cpu --num-workers 0 "
    "--no-progress-bar --log-interval 1 --log-format json --dropout 0.1 --max-update 2"
)
_CRITERION = "--criterion label_smoothed_cross_entropy --label-smoothing 0.1"


@dataclass
class Result:
    """What came of an entry for one family.

    ``status`` is "passes", "refused" (one sentence that names a flag) or "fails"; ``last_line`` is of what failed.
    """

    name: str
    family: str
    tying: str
    status: str
    step: str = ""
    last_line: str = ""
    seconds: float = 0.0


class StepError(Exception):
    """A step did not do what it should: the last line says what."""

    def __init__(self, step: str, last_line: str, refused: bool = False):
        super().__init__(f"{step}: {last_line}")
        self.step, self.last_line, self.refused = step, last_line, refused


class Runner:
    """Runs entries; data and trainings that several entries need are made once.

    Args:
        folder: where everything goes.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._trained: dict[tuple, tuple[Path, str] | StepError] = {}
        self._count = 0
        (folder / "corpus").mkdir(parents=True)
        _write_corpus(folder / "corpus")
        (folder / "experts").mkdir()
        (folder / "experts/__init__.py").write_text(
            "from fairseq.examples.translation_moe import translation_moe_src\n"
            "from fairseq_alone import plugin\n\nplugin.register()\n"
        )

    def run(self, entry: Entry, family: str, tying: str = "all") -> Result:
        """Run an entry for one family of ``FAMILIES``, or for ``STOCK``."""
        tying = entry.tying or tying
        start = time.monotonic()
        result = Result(entry.name, family, tying, "passes")
        try:
            self._run(entry, family, tying)
            if entry.error:
                result.status, result.last_line = "fails", f"no error like: {entry.error}"
        except StepError as failure:
            result.step, result.last_line = failure.step, failure.last_line
            if not (entry.error and re.search(entry.error, failure.last_line)):
                result.status = "refused" if failure.refused else "fails"
        result.seconds = round(time.monotonic() - start, 1)
        return result

    def _run(self, entry: Entry, family: str, tying: str) -> None:
        trained, log = self._train(entry, family, tying)
        if entry.same_as:
            (other,) = (other for other in ENTRIES if other.name == entry.same_as)
            expected = _losses(self._train(other, family, tying)[1])
            if _losses(log) != expected:
                raise StepError("train", f"the losses are {_losses(log)}, those of {entry.same_as} {expected}")
        self._count += 1
        folder = self.folder / f"steps{self._count}"
        shutil.copytree(trained, folder)
        try:
            for step in entry.then:
                self._step(step, entry, family, tying, folder)
        finally:
            shutil.rmtree(folder)

    def _train(self, entry: Entry, family: str, tying: str) -> tuple[Path, str]:
        key = (entry.network, entry.data, entry.train, family, tying)
        if key not in self._trained:
            folder = self.folder / f"trained{len(self._trained)}"
            folder.mkdir()
            try:
                self._trained[key] = folder, self._step("train", entry, family, tying, folder)
            except StepError as failure:
                self._trained[key] = failure
        if isinstance(self._trained[key], StepError):
            raise self._trained[key]
        return self._trained[key]

    def _step(self, step: str, entry: Entry, family: str, tying: str, folder: Path) -> str:
        """Run one command; returns what it printed. Raises StepError."""
        tool, *given = shlex.split(step)
        flags = shlex.split(flags_of(tool, entry, family, tying, step)) + given
        replaced = {"FOLDER": str(folder), "DATA": str(self._data(entry.data)), "VECTORS": f"{self.folder}/vectors.txt"}
        replaced["EXPERTS"] = str(self.folder / "experts")
        flags = [_replace(flag, replaced) for flag in flags]
        standard_input = "w1 w2 w3\nw4 w5\nw6\n"
        if "--constraints" in flags:
            standard_input = "w1 w2 w3\tw7\nw4 w5\tw8\tw9\n"
        if tool in _TOOLS:
            done = fairseq(tool, *flags, standard_input=standard_input if tool == "interactive" else "", check=False)
        else:
            done = python(_CHECK, tool, *flags, fairseq_imported=True)
        if done.returncode != 0:
            lines = [line for line in done.stderr.strip().splitlines() if line.strip()] or ["nothing"]
            sentence = re.match(r"\S+: error: (.*)", lines[-1])
            refused = bool(sentence) and "Traceback" not in done.stderr
            raise StepError(step, sentence[1] if sentence else lines[-1], refused)
        problem = _problem(tool, flags, done.stdout + done.stderr, folder, entry.network)
        if problem:
            raise StepError(step, problem)
        return done.stdout + done.stderr

    def _data(self, name: str) -> Path:
        folder = self.folder / f"data-{name.replace(' ', '-')}"
        if not folder.exists():
            corpus = self.folder / "corpus"
            prefixes = " ".join(f"--{split}pref {corpus / split}" for split in ("train", "valid", "test"))
            flags = f"{prefixes} --destdir {folder} --workers 1 {DATA[name]}"
            done = fairseq("preprocess", *shlex.split(flags), check=False)
            if done.returncode != 0:
                shutil.rmtree(folder, ignore_errors=True)
                raise StepError("preprocess", done.stderr.strip().splitlines()[-1])
            # fairseq-preprocess names the files of a single language otherwise than the task wants them.
            for file in folder.glob("*.en-None.en*"):
                file.rename(folder / file.name.replace(".en-None.en", ""))
            if (folder / "dict.en.txt").exists() and DATA[name].startswith("--only-source"):
                (folder / "dict.en.txt").rename(folder / "dict.txt")
        return folder


# With these, fairseq-generate does not print a hypothesis for each sentence.
_WITHOUT_SOME = {
    *("--quiet", "--skip-invalid-size-inputs-valid-test", "--num-shards", "--gen-subset", "--results-path"),
    "--score-reference",
}
_TOOLS = ("train", "generate", "interactive", "validate", "eval_lm")
_CHECK = f"import sys; sys.path.insert(0, {str(HERE)!r}); import python_checks; python_checks.cli_main()"


def flags_of(tool: str, entry: Entry, family: str, tying: str, step: str) -> str:
    """The flags of a command before those that an entry gives."""
    network = entry.network
    kind, own = FAMILIES.get(family, (None, ""))
    length = network == LENGTH and kind is not None
    task = {TRANSLATION: "--task translation", LENGTH: "--task translation"}.get(network, _LM)
    if length:
        task = "--task headline_generation"
    asked = "--desired-length 4" if length and "--score-reference" not in step else ""
    if tool not in _TOOLS:
        return f"DATA FOLDER {asked}"
    if tool == "train":
        arch = _architecture(network, kind)
        criterion = _CRITERION if network in (TRANSLATION, LENGTH) and "--criterion" not in entry.train else ""
        ties = _ties(network, kind, tying)
        return (
            f"DATA --user-dir fairseq_alone --arch {arch} --save-dir FOLDER {_SIZES[network]} {_TRAINING} {criterion} "
            f"{own} {ties} {task} {entry.train}"
        )
    start = (
        "DATA --user-dir fairseq_alone --path FOLDER/checkpoint_last.pt --cpu --num-workers 0 "
        "--required-batch-size-multiple 1"
    )
    if tool == "eval_lm":
        return f"{start} --tokens-per-sample 16"
    start = f"{start} {task}"
    if tool == "validate":
        return f"{start} --max-tokens 120"
    search = f"{asked} --max-len-a 0 --max-len-b 8"
    if tool == "interactive":
        languages = "-s en -t de" if network in (TRANSLATION, LENGTH) else ""
        return f"{start} {search} {languages}"
    sentences = "" if network in (TRANSLATION, LENGTH) else "--sample-break-mode eos"
    return f"{start} {search} {sentences}"


def _architecture(network: str, kind: str | None) -> str:
    if network == LENGTH:
        return _LENGTH_ARCHITECTURES[kind] if kind else "transformer"
    stock, ours = _ARCHITECTURES[network]
    return ours.format(kind) if kind else stock


def _ties(network: str, kind: str | None, tying: str) -> str:
    if kind is not None:
        return f"--tie-embeddings {tying}"
    if tying == "none":
        return ""
    if tying == "all" and network in (TRANSLATION, LENGTH):
        return "--share-all-embeddings"
    return "--share-decoder-input-output-embed"


def _replace(flag: str, replaced: dict[str, str]) -> str:
    for name, value in replaced.items():
        flag = re.sub(rf"\b{name}\b", value, flag)
    return flag


def _losses(log: str) -> list[str]:
    return re.findall(r'train_inner \| .*?"loss": "([^"]*)"', log)


def _problem(tool: str, flags: list[str], output: str, folder: Path, network: str) -> str:
    """What is wrong with the output of a command that ended well; empty if nothing."""
    if tool == "train":
        losses = _losses(output)
        if not losses or any(not re.fullmatch(r"[0-9.]+", loss) for loss in losses):
            simple = re.findall(r"loss=([0-9.]+)", output)
            return "" if simple else f"the losses are {losses}"
        return "" if list(folder.rglob("*.pt")) else "no checkpoint was written"
    if tool == "eval_lm":
        found = re.search(r"Perplexity: ([0-9.]+)", output)
        return "" if found and float(found[1]) > 1 else "no perplexity above 1"
    if tool == "generate" and network in (TRANSLATION, LENGTH) and not _WITHOUT_SOME & set(flags):
        found = len(set(re.findall(r"^H-(\d+)\t", output, re.MULTILINE)))
        if found != _TEST_SENTENCES:
            return f"{found} hypotheses for {_TEST_SENTENCES} sentences"
    if tool == "interactive" and not re.search(r"^H-\d+\t", output, re.MULTILINE):
        return "no hypothesis"
    return ""


def _write_corpus(folder: Path) -> None:
    """Sentences of made-up words and pieces of words, their translation (backwards) and its alignment."""
    generator = random.Random(1)
    words = [f"w{number}" for number in range(110)] + [f"p{number}@@" for number in range(10)]
    for split, size in (("train", 60), ("valid", 5), ("test", _TEST_SENTENCES)):
        # Every word stands in the training text, so that the dictionary has one size.
        sentences = [words[2 * row : 2 * row + 2] + generator.choices(words, k=row % 5) + ["w0"] for row in range(size)]
        (folder / f"{split}.en").write_text("".join(" ".join(s) + "\n" for s in sentences))
        (folder / f"{split}.de").write_text("".join(" ".join(reversed(s)) + "\n" for s in sentences))
        pairs = [" ".join(f"{i}-{len(s) - 1 - i}" for i in range(len(s))) for s in sentences]
        (folder / f"{split}.align").write_text("".join(line + "\n" for line in pairs))
    vectors = [f"{word} {' '.join(['0.1'] * 16)}\n" for word in words]
    (folder.parent / "vectors.txt").write_text(f"{len(words)} 16\n{''.join(vectors)}")


def rotated_tying(entry: Entry, family: str) -> str:
    """The tying of an entry and a family, so that each family meets each tying in a third of the entries."""
    order = [STOCK, *FAMILIES].index(family)
    return TYINGS[(ENTRIES.index(entry) + order) % len(TYINGS)]


def chosen(pattern: str | None) -> list[Entry]:
    """The entries whose name has a match of the pattern."""
    return [entry for entry in ENTRIES if not pattern or re.search(pattern, entry.name)]


def verdict(entry: Entry, result: Result, stock: Result) -> str:
    """What a result means beside that of fairseq's own model: "ok", "refused", "both fail" or "BUG"."""
    if result.status == "passes":
        return "ok"
    if entry.refused and result.status == "refused" and re.search(entry.refused, result.last_line):
        return "refused"
    return "both fail" if stock.status != "passes" else "BUG"


def markdown(rows: list[tuple[Entry, list[Result]]], families: list[str]) -> str:
    """A table with a row for each entry, then what failed and how."""
    lines = [f"| entry | {' | '.join([STOCK, *families])} |", "|---" * (len(families) + 2) + "|"]
    notes = []
    for entry, (stock, *others) in rows:
        cells = ["ok" if stock.status == "passes" else "fails", *(verdict(entry, other, stock) for other in others)]
        lines.append(f"| {entry.name} | {' | '.join(cells)} |")
        said = {}
        for result in (stock, *others):
            if result.status != "passes":
                said.setdefault((result.status, result.step, result.last_line), []).append(
                    f"{result.family} ({result.tying})"
                )
        notes += [f"- {entry.name}: {status} at `{step}` for {', '.join(who)}: {line}"
                  for (status, step, line), who in said.items()]  # fmt: skip
    return "\n".join([*lines, "", *notes]) + "\n"


def main() -> int:
    """Run what is asked for; the exit status is 1 when a family fails where fairseq's own model passes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", action="append", choices=list(FAMILIES), help="only this one; may be repeated")
    parser.add_argument("--only", metavar="PATTERN", help="only entries whose name has a match of the pattern")
    parser.add_argument("--tying", choices=TYINGS, help="which embeddings are one; default: each in turn")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each result")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table here as well")
    args = parser.parse_args()
    families = args.family or list(FAMILIES)
    rows, bugs = [], 0
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(Path(folder) / "work")
        for entry in chosen(args.only):
            results = [
                runner.run(entry, family, args.tying or rotated_tying(entry, family)) for family in (STOCK, *families)
            ]
            rows.append((entry, results))
            for result in results:
                found = result.status if result.family == STOCK else verdict(entry, result, results[0])
                bugs += found == "BUG"
                if args.json:
                    print(json.dumps({**asdict(result), "verdict": found}), flush=True)
                else:
                    seen = "" if result.status == "passes" else f"  {result.step}: {result.last_line}"
                    print(f"{entry.name:40} {result.family:14} {result.tying:8} {found}{seen}", flush=True)
            if args.markdown:
                args.markdown.write_text(markdown(rows, families))
    print(f"{len(rows)} entries, {len(families)} families: {bugs} fail where fairseq's own pass", file=sys.stderr)
    return int(bugs > 0)


if __name__ == "__main__":
    sys.exit(main())
