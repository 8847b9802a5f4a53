"""Steps that use fairseq from Python: ``python_checks.cli_main`` runs one of them, as a command line asks.

They fail with an AssertionError or with the error that fairseq raises.
"""

import argparse
import copy
import io
import shutil
import sys
from pathlib import Path

import torch
from fairseq import checkpoint_utils, utils
from fairseq.dataclass.configs import EMAConfig
from fairseq.models.ema.ema import EMA
from fairseq.sequence_generator import EnsembleModel, SequenceGenerator

USER_DIR = str(Path(__file__).resolve().parent.parent.parent / "fairseq_alone")
LAST = "checkpoint_last.pt"


def cli_main() -> None:
    """Run the check that the first argument names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("check", choices=sorted(CHECKS))
    parser.add_argument("data")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--desired-length", type=int)
    parser.add_argument("--fp32", action="store_true")
    parser.add_argument("--updates", type=int)
    args = parser.parse_args()
    utils.import_user_module(argparse.Namespace(user_dir=USER_DIR))
    torch.manual_seed(1)
    CHECKS[args.check](args)


def _load(args, name=LAST, **overrides):
    """The model in evaluation mode, and its task."""
    (model,), _, task = checkpoint_utils.load_model_ensemble_and_task([str(args.folder / name)], overrides)
    return model.eval(), task


def _batch(model, task) -> dict:
    """Two sentences as the model's ``forward`` takes them."""
    words = torch.randint(4, len(task.target_dictionary), (2, 6))
    words[:, -1] = task.target_dictionary.eos()
    lengths = torch.full((2,), 6)
    if hasattr(model, "encoder"):
        return {"src_tokens": words, "src_lengths": lengths, "prev_output_tokens": words.roll(1, 1)}
    return {"src_tokens": words, "src_lengths": lengths}


def _saved_and_loaded(scripted):
    file = io.BytesIO()
    torch.jit.save(scripted, file)
    file.seek(0)
    return torch.jit.load(file)


def script_model(args) -> None:
    """A scripted model gives the logits of the model, which stays as it is."""
    model, task = _load(args)
    batch = _batch(model, task)
    kinds = [type(module) for module in model.modules()]
    scripted = _saved_and_loaded(torch.jit.script(model))
    assert [type(module) for module in model.modules()] == kinds
    with torch.no_grad():
        torch.testing.assert_close(scripted(**batch)[0], model(**batch)[0])


def script_ensemble(args) -> None:
    """A scripted ensemble can be saved and loaded."""
    model, _ = _load(args)
    _saved_and_loaded(torch.jit.script(EnsembleModel([model])))


def script_generator(args) -> None:
    """A scripted generator finds what the generator finds."""
    model, task = _load(args)
    batch = {"net_input": {**_batch(model, task)}}
    batch["net_input"].pop("prev_output_tokens", None)
    generator = SequenceGenerator([model], task.target_dictionary, beam_size=2, no_repeat_ngram_size=2, max_len_b=8)
    expected = generator(batch)
    found = _saved_and_loaded(torch.jit.script(generator))(batch)
    for first, second in zip(expected, found, strict=True):
        assert [beam["tokens"].tolist() for beam in first] == [beam["tokens"].tolist() for beam in second]


def moving_average(args) -> None:
    """One step of fairseq's moving average gives the mean that its formula says."""
    model, task = _load(args)
    before = copy.deepcopy(model.state_dict())
    average = EMA(model, EMAConfig(store_ema=True, ema_decay=0.9, ema_fp32=args.fp32))
    average._set_decay(0.9)
    model.train()
    model(**_batch(model, task))[0].float().square().mean().backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    average.step(model)
    after, averaged = model.state_dict(), average.get_model().state_dict()
    assert list(averaged) == list(after)
    changed = 0
    for name, value in averaged.items():
        if value.is_floating_point() and "version" not in name:
            torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * after[name])
            changed += not torch.equal(value, before[name])
    assert changed > 0
    average.reverse(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, averaged[name]), name


def mean(args) -> None:
    """The mean of two checkpoints by this package takes the place of the last one."""
    from fairseq_alone.cli.average import average

    average([str(args.folder / f"checkpoint{epoch}.pt") for epoch in (1, 2)], str(args.folder / "mean.pt"), quiet=True)
    shutil.move(args.folder / "mean.pt", args.folder / LAST)


def mean_of_each_name(args) -> None:
    """The same by the rule of fairseq's own script: the sum under each name, divided by the number."""
    states = [torch.load(args.folder / f"checkpoint{epoch}.pt", weights_only=True) for epoch in (1, 2)]
    first, second = (state["model"] for state in states)
    means = {}
    for name in first:
        total = first[name].clone() + second[name]
        means[name] = total / 2 if total.is_floating_point() else total // 2
    torch.save({**states[1], "model": means}, args.folder / LAST)


def updates(args) -> None:
    """The last checkpoint is one after so many updates."""
    state = checkpoint_utils.load_checkpoint_to_cpu(str(args.folder / LAST))
    assert state["optimizer_history"][-1]["num_updates"] == args.updates


def pruned_layers(args) -> None:
    """A model can be loaded with some of its layers."""
    model, _ = _load(args, encoder_layers_to_keep="0,2", decoder_layers_to_keep="1")
    assert (len(model.encoder.layers), len(model.decoder.layers)) == (2, 1)


def ensemble_and_task(args) -> None:
    """Two models, each with its own settings; the task is that of the first."""
    paths = [str(args.folder / LAST), str(args.folder / "other" / LAST)]
    models, settings, task = checkpoint_utils.load_model_ensemble_and_task(paths)
    assert [model.args.seed for model in models] == [1, 2]
    assert settings.common.seed == 2
    assert task.cfg.data == args.data


def _hub(args):
    model, _ = _load(args)
    return type(model).from_pretrained(
        str(args.folder), LAST, data_name_or_path=args.data, user_dir=USER_DIR, desired_length=args.desired_length
    )


def hub_translation(args) -> None:
    """The hub interface translates, samples, encodes and decodes."""
    hub = _hub(args)
    sentences = ["w1 w2 w3", "w4 w5"]
    assert len(hub.translate(sentences, beam=2, max_len_b=8)) == 2
    assert len(hub.sample(sentences, beam=2, sampling=True, sampling_topk=3, max_len_b=8)) == 2
    assert isinstance(hub.translate("w1 w2 w3", max_len_b=8), str)
    assert hub.decode(hub.encode("w1 w2 w3")) == "w1 w2 w3"
    best = hub.generate([hub.encode(sentence) for sentence in sentences], beam=4, max_len_b=8)
    assert [len(hypotheses) for hypotheses in best] == [4, 4]


def hub_language_model(args) -> None:
    """The hub interface continues a sentence."""
    hub = _hub(args)
    assert len(hub.sample(["w1 w2", "w3"], beam=1, sampling=True, sampling_topk=3, max_len_b=8)) == 2


def hub_scores(args) -> None:
    """The hub interface scores sentences."""
    scores = _hub(args).score(["w1 w2 w3", "w4 w5"])
    assert len(scores) == 2
    assert all(score["positional_scores"].isfinite().all() for score in scores)


CHECKS = {
    check.__name__: check
    for check in (
        *(script_model, script_ensemble, script_generator, moving_average, mean, mean_of_each_name),
        *(updates, pruned_layers, ensemble_and_task, hub_translation, hub_language_model, hub_scores),
    )
}

if __name__ == "__main__":
    sys.exit(cli_main())
