"""Where models lose: the loss on the validation set by the frequency of the target word.

    python benchmarks/convergence/frequency.py WORK RUN [RUN ...] [--epoch N] [--json]

RUN: a folder of WORK/runs. One row for each range of the dictionary, which is sorted by frequency; all words are
in the last row. The loss is in nats, without label smoothing.
"""

import argparse
import json
from pathlib import Path

import torch
from fairseq import checkpoint_utils

import fairseq_alone.models  # noqa: F401 (registers the architectures)
from fairseq_alone.cli.markdown import markdown_table

# Where the ranges end, as shares of the vocabulary.
_ENDS = (0.0625, 0.125, 0.25, 0.5, 0.75, 0.95, 1.0)


@torch.no_grad()
def loss_by_word(data: Path, checkpoint: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """For each word of the target dictionary how often it is a target in the validation set, and its summed loss.

    Returns:
        Two tensors, (V,), in float64; the loss in nats, without label smoothing.
    """
    models, _, task = checkpoint_utils.load_model_ensemble_and_task([str(checkpoint)], {"data": str(data)})
    model = models[0].eval()
    task.load_dataset("valid")
    batches = task.get_batch_iterator(task.dataset("valid"), max_tokens=4000, required_batch_size_multiple=1)
    counts, losses = torch.zeros(2, len(task.target_dictionary), dtype=torch.float64)
    for batch in batches.next_epoch_itr(shuffle=False):
        log_probabilities = model.get_normalized_probs(model(**batch["net_input"]), log_probs=True)
        targets = batch["target"]
        loss = -log_probabilities.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        real = targets != task.target_dictionary.pad()
        counts.index_add_(0, targets[real], torch.ones(int(real.sum()), dtype=torch.float64))
        losses.index_add_(0, targets[real], loss[real].double())
    return counts, losses


def by_range(counts: torch.Tensor, losses: torch.Tensor) -> list[dict]:
    """One entry for each range of words, then one for all of them.

    Returns:
        ``first`` and ``end`` of the range, its ``share`` of the targets, and their mean ``loss``, None without targets.
    """
    ends = [round(end * len(counts)) for end in _ENDS]
    ranges = [*zip([0, *ends[:-1]], ends, strict=True), (0, len(counts))]
    rows = []
    for first, end in ranges:
        number = counts[first:end].sum().item()
        loss = losses[first:end].sum().item() / number if number else None
        rows.append({"first": first, "end": end, "share": number / counts.sum().item(), "loss": loss})
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder that fairseq-alone prepare wrote")
    parser.add_argument("runs", nargs="+", help="names of folders in WORK/runs")
    parser.add_argument("--epoch", type=int, help="the checkpoint after this epoch; default: the last")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    results = {}
    for run in args.runs:
        checkpoint = args.work / f"runs/{run}/checkpoints/checkpoint{args.epoch or '_last'}.pt"
        if not checkpoint.is_file():
            parser.error(f"{checkpoint} is missing")
        results[run] = by_range(*loss_by_word(args.work / "data-bin", checkpoint))
    if args.json:
        print(json.dumps(results, indent=1))
        return
    rows = [["words", "share of the targets", *(f"loss, {run}" for run in results)]]
    for same in zip(*results.values(), strict=True):
        losses = ["-" if row["loss"] is None else f"{row['loss']:.3f}" for row in same]
        rows.append([f"{same[0]['first']:,} to {same[0]['end'] - 1:,}", f"{same[0]['share']:.1%}", *losses])
    print(markdown_table(rows, left_aligned=1))


if __name__ == "__main__":
    main()
