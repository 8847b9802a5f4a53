"""Commands of fairseq that must work for every family of embeddings if they work for fairseq's own models.

Each entry trains a small model and goes on from there. What is combined with what follows fairseq's own tests of its
commands, generator, moving average, export and checkpoints; nothing here depends on a family.
"""

from dataclasses import dataclass

TRANSLATION, LENGTH, TRANSFORMER_LM, LSTM_LM = "translation", "length", "transformer_lm", "lstm_lm"


@dataclass(frozen=True)
class Entry:
    """A training, and what is done with its checkpoints.

    In flags and steps, ``FOLDER`` is the folder of the checkpoints and ``DATA`` that of the data; a later flag wins.

    Args:
        name: unique in the list.
        network: one of the four.
        train: flags of fairseq-train.
        then: further commands, each as ``generate --beam 5``: a tool of fairseq, or a function of ``python_checks.py``.
        data: one of ``DATA``.
        error: what the last command must fail with, for every model: a regular expression.
        refused: what models with an embedding of this package may refuse the training with: a regular expression.
        same_as: name of an entry whose training must have the same losses.
        tying: which embeddings are one, where the entry needs it so; else the runner chooses.
    """

    name: str
    network: str
    train: str = ""
    then: tuple[str, ...] = ()
    data: str = "joined"
    error: str | None = None
    refused: str | None = None
    same_as: str | None = None
    tying: str | None = None


#: Flags of fairseq-preprocess, by the name of the data; those of a language model have one language.
DATA = {
    "joined": "-s en -t de --joined-dictionary",
    "separate": "-s en -t de --nwordssrc 100",
    "raw": "-s en -t de --joined-dictionary --dataset-impl raw",
    "lazy": "-s en -t de --joined-dictionary --dataset-impl lazy",
    "cached": "-s en -t de --joined-dictionary --dataset-impl cached",
    "mmap": "-s en -t de --joined-dictionary --dataset-impl mmap",
    "aligned": "-s en -t de --joined-dictionary --align-suffix align",
    "text": "--only-source -s en",
    "raw text": "--only-source -s en --dataset-impl raw",
}


def _generation() -> list[Entry]:
    """One training, and all ways to decode it."""
    flags = {
        "beam": "--beam 5",
        "beam of 1": "--beam 1",
        "n best": "--beam 4 --nbest 3",
        "sampling": "--sampling --temperature 2 --beam 2 --nbest 2",
        "sampling top k": "--sampling --sampling-topk 3 --beam 2 --nbest 2",
        "sampling top p": "--sampling --sampling-topp 0.2 --beam 2 --nbest 2",
        "diverse siblings": "--diversity-rate 0.5 --beam 6",
        "diverse groups": "--diverse-beam-groups 2 --diverse-beam-strength 0.3 --beam 4",
        "prefix": "--prefix-size 2",
        "dropout kept": "--retain-dropout --beam 2",
        "dropout kept in some modules": "--retain-dropout --retain-dropout-modules TransformerDecoderLayer --beam 2",
        "short length penalty": "--lenpen 0.6 --beam 2",
        "long length penalty": "--lenpen 5 --beam 2",
        "not normalised": "--unnormalized --beam 2",
        "shortest and longest": "--min-len 2 --max-len-a 0.5 --max-len-b 3 --beam 2",
        "matched source length": "--match-source-len --beam 2",
        "no repeated n-grams": "--no-repeat-ngram-size 2 --beam 2",
        "print alignment": "--print-alignment --beam 2",
        "print soft alignment": "--print-alignment soft --beam 2",
        "no early stop": "--no-early-stop --beam 2",
        "quiet": "--quiet --beam 2",
        "pieces joined": "--remove-bpe --beam 2",
        "sacrebleu": "--remove-bpe --scoring sacrebleu --beam 2",
        "chrf": "--scoring chrf --beam 2",
        "score reference": "--score-reference",
        "no beamable multi-head attention": "--no-beamable-mm --beam 2",
        "several batches": "--batch-size 3 --beam 2",
        "other subset": "--gen-subset valid --beam 2",
        "shards": "--num-shards 2 --shard-id 1 --beam 2",
        "results in a folder": "--results-path FOLDER/results --beam 2",
        "settings changed": "--model-overrides \"{'dropout': 0.3}\" --beam 2",
        "ensemble": "--path FOLDER/checkpoint_last.pt:FOLDER/checkpoint_best.pt --beam 2",
        "sources on the left": "--left-pad-source --beam 2",
        "truncated source": "--truncate-source --max-source-positions 4 --beam 2",
        "long sentences skipped": "--max-source-positions 5 --skip-invalid-size-inputs-valid-test --beam 2",
        "decoded in half precision": "--fp16 --beam 2",
    }
    return [
        *(Entry(f"generate: {name}", TRANSLATION, then=(f"generate {given}",)) for name, given in flags.items()),
        Entry(
            "generate: groups and matched length",
            TRANSLATION,
            then=("generate --diverse-beam-groups 4 --match-source-len",),
            error="Multiple decoding|mutually exclusive|cannot|contradicts|ValueError",
        ),
    ]


def _translation() -> list[Entry]:
    decode = ("generate --beam 2",)
    trainings = {
        "update frequency": "--update-freq 3",
        "update frequency by epoch": "--update-freq 1,2 --max-epoch 3 --max-update 4",
        "normalised before": "--encoder-normalize-before --decoder-normalize-before",
        "layer norm of the embedding": "--layernorm-embedding",
        "no scaled embedding": "--no-scale-embedding",
        "learned positions": "--encoder-learned-pos --decoder-learned-pos",
        "no positions": "--no-token-positional-embeddings",
        "gelu": "--activation-fn gelu --activation-dropout 0.1 --attention-dropout 0.1",
        "linear": "--activation-fn linear",
        "cross and self attention": "--no-cross-attention --cross-self-attention",
        "no decoder final norm": "--decoder-normalize-before --no-decoder-final-norm",
        "layer drop": "--encoder-layerdrop 0.1 --decoder-layerdrop 0.1",
        "sides padded otherwise": "--left-pad-source --left-pad-target",
        "legacy backend": "--ddp-backend legacy_ddp",
        "no_c10d backend": "--ddp-backend no_c10d",
        "slowmo backend": "--ddp-backend slowmo",
        "batches of sentences": "--batch-size 4 --max-tokens-valid 60 --batch-size-valid 3",
        "sentence average": "--sentence-avg --clip-norm 0.1",
        "gradients not clipped": "--clip-norm 0 --weight-decay 0.01",
        "other seed": "--seed 7",
        "group by length off": "--train-subset train --valid-subset valid,test",
        "valid subsets combined": "--combine-valid-subsets --ignore-unused-valid-subsets",
        "curriculum": "--curriculum 2 --max-epoch 2 --max-update 8",
        "two data workers": "--num-workers 2 --data-buffer-size 2",
        "patience": "--patience 1 --max-epoch 3 --max-update 9",
        "validation by updates": "--validate-interval-updates 1 --validate-interval 2",
        "fixed validation seed": "--fixed-validation-seed 3",
        "simple log": "--log-format simple --log-interval 1",
        "r-drop": "--criterion label_smoothed_cross_entropy_with_rdrop --rdrop-alpha 0.5",
        "ordinary cross entropy": "--criterion cross_entropy",
        "ignored prefix": "--ignore-prefix-size 1",
        "accuracy reported": "--report-accuracy",
        "adamax": "--optimizer adamax",
        "adafactor": "--optimizer adafactor --lr 0.01",
        "nag": "--optimizer nag --lr 0.1",
        "adagrad": "--optimizer adagrad",
        "sgd": "--optimizer sgd --momentum 0.9",
        "adadelta": "--optimizer adadelta",
        "inverse square root": "--lr-scheduler inverse_sqrt --warmup-updates 2",
        "cosine": "--lr-scheduler cosine --warmup-updates 1 --max-update 4",
        "triangular": "--lr-scheduler triangular --max-lr 0.02 --lr-period-updates 4",
        "polynomial": "--lr-scheduler polynomial_decay --total-num-update 4",
        "plateau": "--lr-scheduler reduce_lr_on_plateau --lr-shrink 0.5 --lr-patience 1",
        "tri-stage": "--lr-scheduler tri_stage --phase-ratio [0.3,0.3,0.4] --max-update 4",
        "half precision": "--fp16 --fp16-no-flatten-grads --fp16-init-scale 2",
        "memory-efficient half precision": "--memory-efficient-fp16 --fp16-no-flatten-grads --fp16-init-scale 2",
        "automatic mixed precision": "--amp",
        "bfloat16": "--bf16",
        "shared decoder width": "--decoder-output-dim 16",
        "layers per side": "--encoder-layers 3 --decoder-layers 1",
        "minimum of parameters to wrap": "--checkpoint-activations --min-params-to-wrap 1",
        "moving average": "--store-ema --ema-decay 0.9",
        "moving average in float32": "--store-ema --ema-decay 0.9 --ema-fp32",
        "late moving average": "--store-ema --ema-decay 0.9 --ema-start-update 1 --ema-update-freq 2",
        "block momentum": "--use-bmuf --global-sync-iter 1 --warmup-iterations 1",
        "load on all ranks": "--load-checkpoint-on-all-dp-ranks",
        "batches in buckets": "--num-batch-buckets 2",
        "skipped remainder": "--skip-remainder-batch",
        "profiled": "--empty-cache-freq 1 --suppress-crashes",
    }
    quantised = "--quant-noise-{} does not work with this --arch"
    return [
        *(Entry(name, TRANSLATION, flags, decode) for name, flags in trainings.items()),
        Entry(
            "truncated source",
            TRANSLATION,
            "--truncate-source --max-source-positions 6",
            ("generate --truncate-source --max-source-positions 6",),
        ),
        Entry(
            "unknown words replaced",
            TRANSLATION,
            RAW,
            (f"generate {RAW} --replace-unk VECTORS --unkpen 1",),
            data="raw",
        ),
        Entry("plain", TRANSLATION, then=("generate --beam 2", "validate --log-format json")),
        Entry("activations computed again", TRANSLATION, "--checkpoint-activations", same_as="plain"),
        Entry("activations offloaded", TRANSLATION, "--offload-activations", same_as="plain"),
        Entry("raw text", TRANSLATION, "--dataset-impl raw", ("generate --dataset-impl raw",), data="raw"),
        Entry("lazy data", TRANSLATION, "--dataset-impl lazy", ("generate --dataset-impl lazy",), data="lazy"),
        Entry("cached data", TRANSLATION, "--dataset-impl cached", ("generate --dataset-impl cached",), data="cached"),
        Entry("mapped data", TRANSLATION, "--dataset-impl mmap", ("generate --dataset-impl mmap",), data="mmap"),
        Entry(
            "aligned data",
            TRANSLATION,
            "--load-alignments --criterion label_smoothed_cross_entropy_with_alignment",
            decode,
            data="aligned",
        ),
        Entry(
            "too long",
            TRANSLATION,
            "--max-target-positions 4",
            error="skip this example with --skip-invalid-size-inputs-valid-test",
        ),
        Entry(
            "too long, skipped",
            TRANSLATION,
            "--max-target-positions 4 --skip-invalid-size-inputs-valid-test",
            ("generate --skip-invalid-size-inputs-valid-test",),
        ),
        Entry(
            "bleu in training",
            TRANSLATION,
            "--eval-bleu --eval-bleu-print-samples --eval-bleu-remove-bpe --eval-bleu-detok space "
            '--eval-bleu-args \'{"beam": 4, "min_len": 3, "max_len_b": 8}\' '
            "--best-checkpoint-metric bleu --maximize-best-checkpoint-metric --keep-best-checkpoints 1",
            ("train --max-update 4", "generate --path FOLDER/checkpoint_best.pt"),
        ),
        Entry(
            "layers kept",
            TRANSLATION,
            "--encoder-layers 3 --decoder-layers 3 --encoder-layerdrop 0.01 --decoder-layerdrop 0.01",
            (
                "generate --beam 2 --model-overrides \"{'encoder_layers_to_keep':'0,2','decoder_layers_to_keep':'1'}\"",
                "pruned_layers",
            ),
        ),
        Entry("layers kept in training", TRANSLATION, "--encoder-layers 3 --encoder-layers-to-keep 0,2", decode),
        *(
            Entry(
                f"quantisation noise {method}",
                TRANSLATION,
                f"--quant-noise-{method} 0.1",
                decode,
                refused=quantised.format(method),
            )
            for method in ("pq", "scalar")
        ),
        Entry(
            "adaptive softmax",
            TRANSLATION,
            "--criterion adaptive_loss --adaptive-softmax-cutoff 10,20 --ddp-backend legacy_ddp",
            decode,
            refused="--adaptive-softmax-cutoff does not work with this --arch",
        ),
        Entry("base layers", TRANSLATION, "--base-layers 1", decode, refused="--base-layers does not work"),
        Entry(
            "vectors from a file",
            TRANSLATION,
            "--encoder-embed-path VECTORS --decoder-embed-path VECTORS",
            decode,
            refused="--encoder-embed-path does not work with this --arch",
        ),
        Entry(
            "interactive",
            TRANSLATION,
            then=("interactive --beam 2", "interactive --beam 2 --buffer-size 4 --max-tokens 60"),
        ),
        Entry("interactive with constraints", TRANSLATION, then=("interactive --constraints --beam 4",)),
        *(
            Entry(f"several languages: {name}", TRANSLATION, f"{MULTILINGUAL} {flags}", (f"generate {one} {flags}",))
            for name, one, flags in (
                ("no tokens", MULTILINGUAL_DECODING, ""),
                ("tokens on both sides", MULTILINGUAL_DECODING, "--encoder-langtok src --decoder-langtok"),
                ("token of the target", MULTILINGUAL_DECODING, "--encoder-langtok tgt"),
            )
        ),
        Entry(
            "several languages: virtual epochs",
            TRANSLATION,
            f"{MULTILINGUAL} --sampling-method temperature --sampling-temperature 1.5 --virtual-epoch-size 30",
            (f"generate {MULTILINGUAL_DECODING}",),
        ),
        Entry(
            "experts",
            TRANSLATION,
            f"{EXPERTS} --criterion cross_entropy --ddp-backend legacy_ddp",
            (f"generate {EXPERTS} --gen-expert 0",),
        ),
        *_checkpoints(),
        Entry("hub", TRANSLATION, then=("hub_translation",)),
        Entry("hub: scores", TRANSLATION, then=("hub_scores",)),
        *(
            Entry(f"separate dictionaries, tied: {tying}", TRANSLATION, then=decode, data="separate", tying=tying)
            for tying in ("none", "decoder")
        ),
        Entry("TorchScript", TRANSLATION, then=("script_model", "script_ensemble", "script_generator")),
        Entry(
            "TorchScript without positions",
            TRANSLATION,
            "--no-token-positional-embeddings",
            ("script_model", "script_generator"),
        ),
        Entry(
            "TorchScript of a pre-norm model",
            TRANSLATION,
            "--encoder-normalize-before --decoder-normalize-before --layernorm-embedding --encoder-learned-pos",
            ("script_model", "script_generator"),
        ),
        Entry("moving average by hand", TRANSLATION, then=("moving_average", "moving_average --fp32")),
    ]


RAW = "--dataset-impl raw"
MULTILINGUAL = "--task translation_multi_simple_epoch --lang-pairs en-de"
MULTILINGUAL_DECODING = f"{MULTILINGUAL} -s en -t de"
EXPERTS = "--user-dir EXPERTS --task translation_moe --method hMoElp --mean-pool-gating-network --num-experts 2"


def _checkpoints() -> list[Entry]:
    """Saving, resuming, and starting from other checkpoints."""
    resume = "train --max-update 4"
    steps = {
        "resume": ("", (resume, "updates --updates 4")),
        "resume in another folder": (
            "",
            ("train --max-update 4 --save-dir FOLDER/on --restore-file FOLDER/checkpoint_last.pt",),
        ),
        "resume without optimizer": ("", (f"{resume} --reset-optimizer",)),
        "resume without the rest": (
            "",
            (
                "train --max-update 4 --save-dir FOLDER/on --restore-file FOLDER/checkpoint_last.pt --reset-optimizer "
                "--reset-lr-scheduler --reset-meters --reset-dataloader",
            ),
        ),
        "finetune": (
            "",
            ("train --max-update 4 --save-dir FOLDER/on --finetune-from-model FOLDER/checkpoint_last.pt",),
        ),
        "optimizer overridden": ("", (f"{resume} --optimizer-overrides \"{{'lr': 0.001}}\"",)),
        "resume a moving average": ("--store-ema --ema-decay 0.9", (resume,)),
        "start from a moving average": (
            "--store-ema --ema-decay 0.9",
            ("train --max-update 4 --save-dir FOLDER/on --store-ema --ema-seed-model FOLDER/checkpoint_last.pt",),
        ),
        "best ones": ("--keep-best-checkpoints 2 --max-epoch 3 --max-update 20", ()),
        "by updates": (
            "--save-interval-updates 1 --keep-interval-updates 1 --keep-interval-updates-pattern 2 --max-update 3",
            (),
        ),
        "few epochs kept": ("--keep-last-epochs 1 --max-epoch 3 --max-update 20", ()),
        "no epochs": ("--no-epoch-checkpoints", ()),
        "only the last": ("--no-epoch-checkpoints --no-save-optimizer-state", ()),
        "no last": ("--no-last-checkpoints --max-epoch 1 --max-update 20", ("generate --path FOLDER/checkpoint1.pt",)),
        "suffix": ("--checkpoint-suffix .x", ("generate --path FOLDER/checkpoint_last.x.pt",)),
        "mean by this package": ("--max-epoch 2 --max-update 20", ("mean",)),
        "mean by fairseq's rule": ("--max-epoch 2 --max-update 20", ("mean_of_each_name",)),
        "two seeds in one ensemble": (
            "",
            (
                "train --seed 2 --save-dir FOLDER/other",
                "ensemble_and_task",
                "generate --path FOLDER/checkpoint_last.pt:FOLDER/other/checkpoint_last.pt",
            ),
        ),
    }
    entries = []
    for name, (flags, then) in steps.items():
        if not any(step.startswith("generate") for step in then):
            elsewhere = any("--save-dir FOLDER/on" in step for step in then)
            then += (f"generate --beam 2 --path FOLDER/{'on/' if elsewhere else ''}checkpoint_last.pt",)
        entries.append(Entry(f"checkpoints: {name}", TRANSLATION, flags, then))
    return entries


def _lengths() -> list[Entry]:
    """The length-controlled Transformer; fairseq's own has no length to follow."""
    flags = {
        "beam": "--beam 5",
        "sampling": "--sampling --sampling-topk 3 --beam 2 --nbest 2",
        "diverse groups": "--diverse-beam-groups 2 --beam 4",
        "prefix": "--prefix-size 1 --beam 2",
        "print alignment": "--print-alignment --beam 2",
        "ensemble": "--path FOLDER/checkpoint_last.pt:FOLDER/checkpoint_best.pt --beam 2",
        "several batches": "--batch-size 3 --beam 2",
        "score reference": "--score-reference",
    }
    return [
        *(Entry(f"length: {name}", LENGTH, then=(f"generate {given}",)) for name, given in flags.items()),
        Entry("length: interactive", LENGTH, then=("interactive --beam 2 --buffer-size 4",)),
        Entry("length: validate and resume", LENGTH, then=("validate", "train --max-update 4", "generate --beam 2")),
        Entry("length: moving average", LENGTH, "--store-ema --ema-fp32", ("generate --beam 2",)),
        Entry("length: activations computed again", LENGTH, "--checkpoint-activations", ("generate --beam 2",)),
        Entry("length: hub", LENGTH, then=("hub_translation",)),
        Entry(
            "length: TorchScript",
            LENGTH,
            then=("script_model",),
            refused="TorchScript .* --length-encoding",
        ),
    ]


def _language_models(network: str) -> list[Entry]:
    evaluate = "eval_lm"
    decode = "generate --beam 2"
    trainings = {
        "blocks": ("--sample-break-mode none", (evaluate, decode)),
        "whole sentences": ("--sample-break-mode complete", (evaluate, decode)),
        "sentences": ("--sample-break-mode eos", (evaluate, decode)),
        "sentences by document": ("--sample-break-mode complete_doc", (evaluate,)),
        "first symbol": ("--add-bos-token", ("validate", evaluate, "eval_lm --context-window 5", decode)),
        "context window": ("", ("eval_lm --context-window 5 --batch-size 1", "eval_lm --softmax-batch 8")),
        "words shown": ("", ("eval_lm --output-word-probs --output-word-stats",)),
        "self and future": ("--self-target --future-target", (evaluate,)),
        "moving average": ("--store-ema --ema-decay 0.9", (evaluate,)),
        "update frequency": ("--update-freq 2", (evaluate,)),
        "shortened data": ("--shorten-method truncate --shorten-data-split-list train", (evaluate,)),
        "padded to a fixed length": ("--pad-to-fixed-length", (evaluate,)),
        "half precision": ("--fp16 --fp16-no-flatten-grads --fp16-init-scale 2", (evaluate,)),
        "resume": ("", ("train --max-update 4", "updates --updates 4", evaluate)),
        "sampling": ("", ("generate --sampling --sampling-topp 0.5 --prefix-size 1 --beam 1",)),
        "scores": ("", ("generate --score-reference",)),
        "interactive": ("", ("interactive --beam 2",)),
        "finetune": (
            "",
            ("train --max-update 4 --save-dir FOLDER/on --finetune-from-model FOLDER/checkpoint_last.pt",),
        ),
        "mean": ("--max-epoch 2 --max-update 20", ("mean", evaluate)),
        "hub": ("", ("hub_language_model",)),
        "hub: scores": ("", ("hub_scores",)),
        "TorchScript": ("", ("script_model",)),
    }
    own = {
        TRANSFORMER_LM: {
            "layer norm": ("--decoder-normalize-before --layernorm-embedding", (evaluate,)),
            "learned positions": ("--decoder-learned-pos", (evaluate,)),
            "no positions": ("--no-token-positional-embeddings", (evaluate,)),
            "layer drop": (
                "--decoder-layers 2 --decoder-layerdrop 0.1",
                (f"{evaluate} --model-overrides \"{{'decoder_layers_to_keep':'1'}}\"",),
            ),
            "activations computed again": ("--checkpoint-activations", (evaluate,)),
            "activations offloaded": ("--offload-activations", (evaluate,)),
            "scaled layers": ("--scale-fc --scale-attn --scale-heads --scale-resids", (evaluate,)),
            "other widths": ("--decoder-input-dim 12 --decoder-output-dim 12", (evaluate,)),
            "TorchScript of the generator": ("", ("script_generator",)),
        },
        LSTM_LM: {
            "residuals": ("--residuals --decoder-layers 2", ("validate", evaluate, decode)),
            "dropout": ("--decoder-dropout-in 0.2 --decoder-dropout-out 0.2", (evaluate,)),
        },
    }[network]
    adaptive = "--criterion adaptive_loss --adaptive-softmax-cutoff 10,20 --ddp-backend legacy_ddp"
    return [
        *(
            Entry(f"{network}: {name}", network, flags, then, data="text")
            for name, (flags, then) in {**trainings, **own}.items()
        ),
        Entry(
            f"{network}: adaptive softmax",
            network,
            adaptive,
            (evaluate, decode),
            data="text",
            refused="does not work with this --arch",
        ),
        Entry(
            f"{network}: shorter dictionary",
            network,
            "--output-dictionary-size 100",
            ("eval_lm --output-dictionary-size 100",),
            data="text",
            tying="none",
        ),
        Entry(f"{network}: raw text", network, "--dataset-impl raw", ("eval_lm --dataset-impl raw",), data="raw text"),
    ]


ENTRIES = [
    *_generation(),
    *_translation(),
    *_lengths(),
    *_language_models(TRANSFORMER_LM),
    *_language_models(LSTM_LM),
]
