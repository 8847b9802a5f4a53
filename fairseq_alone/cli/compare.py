"""``fairseq-alone compare``: sizes, tying, perplexity, BLEU and time of trained runs in one table."""

import json
import os

from fairseq_alone.cli.markdown import markdown_table
from fairseq_alone.cli.report import describe
from fairseq_alone.cli.training_log import log_of_run, read_training_log, run_names
from fairseq_alone.errors import UserError
from fairseq_alone.files import replaced_on_success, require_apart

HELP = "compare runs of a recipe: parameters, checkpoint size, perplexity, BLEU, time, sample translations"


def add_arguments(parser) -> None:
    """Add the flags of ``compare``."""
    parser.add_argument(
        "run_dirs", nargs="+", metavar="RUN_DIR", help="WORK_DIR/runs/RUN_NAME, as train and evaluate left it"
    )
    parser.add_argument("--examples", type=int, default=0, metavar="N", help="also show N translations; default: 0")
    parser.add_argument("--json", action="store_true", help="print a list with one object for each run")
    parser.add_argument("--output", metavar="FILE.md", help="also write what is printed to this file")


def run(args) -> None:
    """Print the table, or JSON, and write it where ``--output`` says."""
    if args.examples < 0:
        raise UserError(f"--examples must not be negative, got {args.examples}")
    inputs = [path for run_dir in args.run_dirs for path in (log_of_run(run_dir), *_paths(run_dir))]
    require_apart([("--output", args.output)], inputs)
    results = [
        {"run": name, **read_run(run_dir)}
        for name, run_dir in zip(run_names(args.run_dirs), args.run_dirs, strict=True)
    ]
    if args.json:
        text = json.dumps(results, indent=1, ensure_ascii=False)
    else:
        text = comparison_table(results)
        if args.examples:
            text += "\n\n" + markdown_examples(results, args.examples)
    print(text)
    if args.output:
        with replaced_on_success(args.output) as path, open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")


def read_run(run_dir: str) -> dict:
    """What is known about one run, all of it JSON values.

    Returns:
        ``embedding`` (kind), ``tying``, ``embedding_parameters``, ``total_parameters``, ``checkpoint_bytes`` (the
        model without the optimizer's state), ``best_valid_ppl``, ``last_valid_ppl`` (None without validation),
        ``updates``, ``train_seconds``, and from scores.json ``BLEU``, ``chrF``, ``examples`` and, for a language model,
        ``language_model``, which has ``{"perplexity": ..., "tokens": ...}`` for ``valid`` and ``test``. What
        scores.json does not hold, and all of it before evaluate, is None.

    Raises:
        UserError: the log or the checkpoint is missing or unreadable.
    """
    log = read_training_log(log_of_run(run_dir))
    averaged, last, scores_path = _paths(run_dir)
    sizes = describe(averaged if os.path.exists(averaged) else last)
    settings = sizes["settings"]
    details = [settings["filter"], "free rows" if settings["free_rows"] else None]
    details = ", ".join(filter(None, details))
    kind = f"{settings['embedding']} ({details})" if details else settings["embedding"]
    scores = {}
    if os.path.exists(scores_path):
        with open(scores_path, encoding="utf-8") as file:
            try:
                scores = json.load(file)
            except ValueError as error:
                raise UserError(f"{scores_path}: not JSON ({error}); run fairseq-alone evaluate again") from None
    perplexities = [validation.ppl for validation in log.validations]
    return {
        "embedding": kind,
        "tying": settings["tying"],
        "embedding_parameters": sizes["parameters"]["embedding"],
        "total_parameters": sizes["parameters"]["total"],
        # Without averaged.pt there is only a file that holds the optimizer's state as well.
        "checkpoint_bytes": sizes["file_bytes"] if os.path.exists(averaged) else sizes["model_bytes"],
        "best_valid_ppl": min(perplexities, default=None),
        "last_valid_ppl": perplexities[-1] if perplexities else None,
        "updates": log.updates,
        "train_seconds": log.train_seconds,
        "BLEU": scores.get("BLEU"),
        "chrF": scores.get("chrF"),
        "examples": scores.get("examples"),
        "language_model": scores.get("language_model"),
    }


def _paths(run_dir: str) -> list[str]:
    names = ("averaged.pt", os.path.join("checkpoints", "checkpoint_last.pt"), "scores.json")
    return [os.path.join(run_dir, name) for name in names]


_COLUMNS = {
    "run": lambda result: result["run"],
    "embedding": lambda result: result["embedding"],
    "tying": lambda result: result["tying"],
    "embedding parameters": lambda result: f"{result['embedding_parameters']:,}",
    "all parameters": lambda result: f"{result['total_parameters']:,}",
    "checkpoint MB": lambda result: f"{result['checkpoint_bytes'] / 1e6:.2f}",
    "valid ppl best / last": lambda result: (
        "-" if result["best_valid_ppl"] is None else f"{result['best_valid_ppl']:.2f} / {result['last_valid_ppl']:.2f}"
    ),
    "ppl of valid / test": lambda result: (
        "-"
        if result["language_model"] is None
        else " / ".join(f"{result['language_model'][split]['perplexity']:.2f}" for split in ("valid", "test"))
    ),
    "BLEU": lambda result: "-" if result["BLEU"] is None else f"{result['BLEU']['score']:.2f}",
    "chrF": lambda result: "-" if result["chrF"] is None else f"{result['chrF']['score']:.2f}",
    "updates": lambda result: f"{result['updates']:,}",
    "training time": lambda result: duration(result["train_seconds"]),
}
_LEFT_ALIGNED = 3  # the names; numbers stand on the right


def _columns(results: list[dict]) -> dict:
    """The columns that apply: translations have BLEU and chrF, language models the perplexity of whole texts."""
    language_models = [result["language_model"] is not None for result in results]
    columns = dict(_COLUMNS)
    if not any(language_models):
        del columns["ppl of valid / test"]
    if all(language_models):
        del columns["BLEU"], columns["chrF"]
    return columns


def comparison_table(results: list[dict]) -> str:
    """A Markdown table with aligned columns, one row for each run, and the signatures of the scores below it."""
    columns = _columns(results)
    rows = [list(columns)] + [[cell(result) for cell in columns.values()] for result in results]
    lines = [markdown_table(rows, _LEFT_ALIGNED)]
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
