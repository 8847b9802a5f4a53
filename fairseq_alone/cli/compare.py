"""``fairseq-alone compare``: sizes, tying, perplexity, BLEU and time of trained runs in one table."""

import argparse
import json
import shutil
import sys
from collections.abc import Callable

from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.cli.product_bytes import MEGABYTES, megabytes
from fairseq_alone.cli.report import describe
from fairseq_alone.cli.trained_run import RUN_HELP, TrainedRun, find_run, finished, read_history, run_names
from fairseq_alone.cli.training_log import TrainingHistory
from fairseq_alone.errors import UserError
from fairseq_alone.files import require_apart
from fairseq_alone.text_files import write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``compare``."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--examples", type=int, default=0, metavar="N", help="also show N translations; default: 0")
    parser.add_argument("--json", action="store_true", help="print a list with one object for each run")
    parser.add_argument("--output", metavar="FILE.md", help="also write what is printed to this file")


def run(args: argparse.Namespace) -> None:
    """Print the table, or JSON, and write it where ``--output`` says."""
    if args.examples < 0:
        raise UserError(f"--examples must not be negative, got {args.examples}")
    runs = list(zip(run_names(args.runs), map(find_run, args.runs), strict=True))
    require_apart([("--output", args.output)], [path for _, run in runs for path in run.files])
    results = [{"run": name, **_facts(run, history)} for name, run, history in finished(runs)]
    if args.json:
        shown = text = json.dumps(results, indent=1, ensure_ascii=False)
    else:
        examples = "\n\n" + markdown_examples(results, args.examples) if args.examples else ""
        text = comparison_table(results) + examples
        shown = comparison_table(results, screen_width()) + examples
    print(shown)
    if args.output:
        write_text(args.output, text + "\n")


def screen_width() -> int | None:
    """Columns of the terminal that standard output is, None for a file or another program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def read_run(path: str) -> dict:
    """What is known about one run, all of it JSON values, and None for what is not known.

    Args:
        path: a log, a checkpoint, or a folder with such files; see :func:`~fairseq_alone.cli.trained_run.find_run`.

    Returns:
        ``embedding`` (kind, the bits that it was trained for, and an output layer of another kind), ``tying``,
        ``embedding_parameters``, ``total_parameters``, ``checkpoint_bytes`` (the model without the optimizer's state),
        ``product_bytes`` (what
        the model needs as a file of each type, see
        :func:`~fairseq_alone.cli.product_bytes.product_bytes`), ``best_valid_ppl``, ``last_valid_ppl`` (None without
        validation), ``updates``, ``train_seconds``, and from scores.json ``BLEU``, ``chrF``, ``examples`` and, for a
        language model, ``language_model``, which has ``{"perplexity": ..., "tokens": ...}`` for ``valid`` and ``test``,
        and for word vectors ``word_vectors``, a row of ``similarity`` for the input, and one for the output.

    Raises:
        UserError: there is no run, or a file of it is unreadable.
    """
    run = find_run(path)
    return _facts(run, read_history(run))


def _facts(run: TrainedRun, history: TrainingHistory) -> dict:
    scores = _read_scores(run.scores)
    perplexities = [validation.ppl for validation in history.validations if validation.ppl is not None]
    return {
        **_sizes(run, history.parameters),
        "best_valid_ppl": min(perplexities, default=None),
        "last_valid_ppl": perplexities[-1] if perplexities else None,
        "updates": history.updates,
        "train_seconds": history.train_seconds,
        "BLEU": scores.get("BLEU"),
        "chrF": scores.get("chrF"),
        "examples": scores.get("examples"),
        "language_model": scores.get("language_model"),
        "word_vectors": scores.get("word_vectors"),
    }


def _sizes(run: TrainedRun, parameters: int | None) -> dict:
    """What the checkpoint says of the model; without one, how many parameters the log counted."""
    if run.averaged is None and not run.checkpoints:
        names = ("embedding", "tying", "embedding_parameters", "total_parameters", "checkpoint_bytes", "product_bytes")
        return {**dict.fromkeys(names), "total_parameters": parameters}
    sizes = describe(run.averaged or run.checkpoints[0])
    settings = sizes["settings"]
    kind = f"{settings['embedding']} ({settings['variant']})" if settings["variant"] else settings["embedding"]
    bits, output = settings["embedding_bits"], settings["output_layer"]
    return {
        "embedding": ", ".join(part for part in (kind, bits and f"{bits} bits", output and f"output {output}") if part),
        "tying": settings["tying"],
        "embedding_parameters": sizes["parameters"]["embedding"],
        "total_parameters": sizes["parameters"]["total"],
        # Without averaged.pt there is only a file that holds the optimizer's state as well.
        "checkpoint_bytes": sizes["file_bytes"] if run.averaged else sizes["model_bytes"],
        "product_bytes": sizes["product_bytes"],
    }


def _read_scores(path: str | None) -> dict:
    if path is None:
        return {}
    with open(path, encoding="utf-8-sig") as file:
        try:
            return json.load(file)
        except ValueError as error:
            raise UserError(f"{path}: not JSON ({error}); run fairseq-alone evaluate again") from None


def _known(name: str, form: Callable[..., str]) -> Callable[[dict], str]:
    """A column that shows one value of a run, or ``-`` for what is not known."""
    return lambda result: "-" if result[name] is None else form(result[name])


_COLUMNS = {
    "run": _known("run", str),
    "embedding": _known("embedding", str),
    "tying": _known("tying", str),
    "embedding parameters": _known("embedding_parameters", "{:,}".format),
    "all parameters": _known("total_parameters", "{:,}".format),
    "checkpoint MB": _known("checkpoint_bytes", lambda size: f"{size / 1e6:.2f}"),
    f"embedding {MEGABYTES}": _known("product_bytes", lambda sizes: megabytes(sizes, "embedding")),
    f"model {MEGABYTES}": _known("product_bytes", lambda sizes: megabytes(sizes, "model")),
    "valid ppl best / last": lambda result: (
        "-" if result["best_valid_ppl"] is None else f"{result['best_valid_ppl']:.2f} / {result['last_valid_ppl']:.2f}"
    ),
    "ppl of valid / test": _known(
        "language_model",
        lambda scores: " / ".join(f"{scores[split]['perplexity']:.2f}" for split in ("valid", "test")),
    ),
    "BLEU": _known("BLEU", lambda score: f"{score['score']:.2f}"),
    "chrF": _known("chrF", lambda score: f"{score['score']:.2f}"),
    "updates": _known("updates", "{:,}".format),
    "training time": _known("train_seconds", lambda seconds: duration(seconds)),
}
_LEFT_ALIGNED = 3  # the names; numbers stand on the right


def _columns(results: list[dict]) -> dict:
    """The columns that apply: translations have BLEU and chrF, language models the perplexity of whole texts, and word
    vectors Spearman's rho on each set of pairs that all of them were measured on.
    """
    language_models = [result["language_model"] is not None for result in results]
    columns = dict(_COLUMNS)
    if all(result["word_vectors"] is not None for result in results):
        for name in ("valid ppl best / last", "ppl of valid / test", "BLEU", "chrF"):
            del columns[name]
        sets = [[one["name"] for one in result["word_vectors"][0]["pairs"]] for result in results]
        shared = [name for name in sets[0] if all(name in names for names in sets)]
        return columns | {f"{name} input / output": _rho_column(name) for name in shared}
    if not any(language_models):
        del columns["ppl of valid / test"]
    if all(language_models):
        del columns["BLEU"], columns["chrF"]
    return columns


def _rho_column(name: str) -> Callable[[dict], str]:
    """Spearman's rho of the input vectors and, where there are others, of the output's."""

    def column(result: dict) -> str:
        pairs = [one for row in result["word_vectors"] for one in row["pairs"] if one["name"] == name]
        return " / ".join("-" if one["rho"] is None else f"{one['rho']:.3f}" for one in pairs)

    return column


def comparison_table(results: list[dict], width: int | None = None) -> str:
    """A Markdown table with aligned columns, one row for each run, and the signatures of the scores below it.

    Args:
        results: of :func:`read_run`, with the name of each as ``run``.
        width: where the table is wider, it has one column for each run.
    """
    columns = _columns(results)
    rows = [list(columns)] + [[cell(result) for cell in columns.values()] for result in results]
    table = markdown_table(rows, _LEFT_ALIGNED)
    if width is not None and table.index("\n") > width:
        table = markdown_table([list(row) for row in zip(*rows, strict=True)], left_aligned=1)
    lines = [table]
    for metric in ("BLEU", "chrF"):
        by_signature: dict[str, list[str]] = {}
        for result in results:
            if result[metric] is not None:
                by_signature.setdefault(result[metric]["signature"], []).append(result["run"])
        for signature, names in by_signature.items():
            of_whom = f" of {', '.join(names)}" if len(by_signature) > 1 else ""
            lines += ["", f"{metric}{of_whom}: {signature}"]
    return "\n".join(lines)


def markdown_examples(results: list[dict], count: int) -> str:
    """Source, reference and each run's translation of ``count`` sentences of the test set.

    Raises:
        UserError: a run has no scores, was scored on another test set, or holds fewer examples.
    """
    for result in results:
        if result["examples"] is None:
            raise UserError(f"--examples: {result['run']} has no scores.json; run fairseq-alone evaluate first")
        if len(result["examples"]) < count:
            raise UserError(f"--examples {count}: {result['run']} has only {len(result['examples'])} examples")
    first = results[0]
    total = len(first["examples"])
    label_width = max(len(text) for text in ("reference", *(result["run"] for result in results)))
    blocks = []
    for position in (i * total // count for i in range(count)):
        example = first["examples"][position]
        texts = [("source", example["source"])] if example["source"] is not None else []
        texts.append(("reference", example["reference"]))
        for result in results:
            other = result["examples"][position] if position < len(result["examples"]) else {}
            if [other.get(key) for key in ("sentence", "reference")] != [example["sentence"], example["reference"]]:
                raise UserError(f"--examples: {first['run']} and {result['run']} were scored on different test sets")
            texts.append((result["run"], other["hypothesis"]))
        lines = [f"{label.ljust(label_width)}  {text}" for label, text in texts]
        blocks.append("\n".join([f"Test sentence {example['sentence']}:", "", *("    " + line for line in lines)]))
    return "\n\n".join(blocks)


def duration(seconds: float) -> str:
    """``"45 s"``, ``"3 min 20 s"`` or ``"2 h 05 min"``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
