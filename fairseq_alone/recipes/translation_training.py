"""The training of the recipes for translation and headlines, which share most of it: settings and flags."""

from pathlib import Path

from fairseq_alone.errors import UserError
from fairseq_alone.recipes.batch import Batch, divide
from fairseq_alone.recipes.checksum import cksum
from fairseq_alone.recipes.presets import Preset, flag
from fairseq_alone.recipes.steps import count_lines
from fairseq_alone.recipes.train_options import TrainOptions
from fairseq_alone.recipes.training import Training, bits_flags, char_cnn_size, is_zero, no_effect, start_of
from fairseq_alone.recipes.values import decimal, one_of, positive, whole, with_commas
from fairseq_alone.recipes.work_folder import WorkFolder
from fairseq_alone.recipes.workers import Workers

# Kinds whose size is a share of the table's, with their flags' prefixes.
_OF_A_SHARE = {"alone_share": "alone", "codes": "codes", "tensor_product": "tensor", "differentiated": "differentiated"}
_EMBEDDINGS = ("conventional", "factorized", "alone_binary", "alone_real", *_OF_A_SHARE, "char_cnn")
# Corpus vectors cost seconds and are ahead from the first epoch to the last. ALONE as published begins as in the paper;
# the networks of char_cnn and differentiated blocks were not measured with them.
_BEGIN_WITH_THE_CORPUS = ("conventional", "factorized", "alone_share", "codes", "tensor_product")


def translation_training(work: WorkFolder, options: TrainOptions) -> Training:
    """The training of a Transformer for translation or headlines.

    Raises:
        UserError: a choice is out of its range, or the folder was prepared for another preset.
    """
    prepared = work.settings["PRESET"]
    if options.preset not in (None, prepared):
        raise UserError(
            f"--preset {options.preset}, but {work.path} was prepared with {prepared}; prepare another folder"
        )
    preset = work.preset()
    dictionary = f"data-bin/dict.{work.target_lang}.txt"
    work.require(dictionary)
    sizes = _sizes(preset, options)
    embedding = one_of("--embedding", options.embedding or _default(options), _EMBEDDINGS)
    tie = one_of("--tie", options.tie or "all", ("all", "decoder", "none"))
    vocabulary = count_lines(work.path / dictionary) + 4  # and the special symbols of fairseq
    family, size_flags, size, notes = _embedding(preset, options, embedding, sizes["inter_dim"], vocabulary)
    start, start_settings = start_of(options, "corpus" if embedding in _BEGIN_WITH_THE_CORPUS else "random")
    bits = bits_flags(options.bits)
    criterion = ["--criterion", "label_smoothed_cross_entropy", "--label-smoothing", "0.1"]
    weight = decimal("--augmented-loss", options.augmented_loss)
    if not is_zero(weight):
        criterion[1] += "_with_augmented_loss"
        criterion += ["--augmented-loss-weight", weight]
    own_flags, own_settings, own_notes = ["--task", "translation"], list[str](), list[str]()
    if work.recipe == "headlines":
        family = {"conventional": "length"}.get(family, family)
        own_flags, own_settings, own_notes = _length_encoding(preset, options)
    training_flags = preset.training_flags(embedding)

    preset_flags = [" ".join(flags) for flags in (preset.shape_flags, _unlogged(training_flags), criterion[2:])]
    settings = [
        f"preset={preset.name}",
        f"embedding={embedding}",
        *size,
        *start_settings,
        f"tie={tie}",
        f"augmented_loss={weight}",
    ]
    settings += [*own_settings, f"seed={whole('--seed', options.seed)}"]
    settings += [f"{name}={sizes[name]}" for name in ("effective_tokens", "max_update", "max_epoch")]
    settings += [f"dictionary={cksum(work.path / dictionary)}", f"preset_flags={' '.join(preset_flags)}"]
    if options.fp16 is False and not options.cpu:  # a CPU trains in float32 anyway
        settings.append("fp16=0")
    # Runs of before have no such line.
    settings += [f"bits={bits[1]}"] if bits else []
    settings.append(f"flags={' '.join(options.flags)}")

    def flags(batch: Batch, workers: Workers, checkpoints: Path) -> list[str]:
        return [
            *("--source-lang", work.source_lang, "--target-lang", work.target_lang),
            *("--arch", preset["architecture"].format(family=family), *preset.shape_flags),
            *("--tie-embeddings", tie, *size_flags, *start, *bits, *criterion),
            *("--optimizer", "adam", "--adam-betas", "(0.9, 0.98)", "--lr-scheduler", "inverse_sqrt"),
            *(*training_flags, *own_flags),
            *("--max-tokens", str(batch.size), "--update-freq", str(batch.update_freq)),
            *("--max-update", str(sizes["max_update"]), "--max-epoch", str(sizes["max_epoch"])),
            # Without this fairseq drops up to 7 sentences of every set.
            *("--required-batch-size-multiple", "1", "--seed", str(options.seed)),
            *("--keep-last-epochs", str(preset["checkpoints"]), "--save-dir", str(checkpoints), "--log-format", "json"),
        ]

    return Training(
        settings,
        notes + own_notes,
        sizes["max_epoch"],
        sizes["max_update"],
        lambda workers: divide(sizes["effective_tokens"], sizes["max_tokens"], workers, "tokens"),
        flags,
        fp16=options.fp16 is not False,
    )


def _default(options: TrainOptions) -> str:
    """The table that wins when it begins with the corpus, to be compressed when trained; or what has a share of it."""
    return "conventional" if options.share is None else "alone_share"


def _sizes(preset: Preset, options: TrainOptions) -> dict[str, int]:
    """The user's sizes, else the preset's. A limit on updates alone lifts the preset's limit on epochs."""
    sizes = {}
    for name in ("effective_tokens", "max_tokens", "inter_dim", "max_update", "max_epoch"):
        check = whole if name.startswith("max_") and name != "max_tokens" else positive
        given = getattr(options, name)
        if given is None:
            given = 0 if name == "max_epoch" and options.max_update is not None else preset[name]
        sizes[name] = check(f"--{name.replace('_', '-')}", given)
    if not (sizes["max_update"] or sizes["max_epoch"]):
        raise UserError("--max-update and --max-epoch are both 0, so the training would never end")
    return sizes


def _embedding(
    preset: Preset, options: TrainOptions, embedding: str, inter_dim: int, vocabulary: int
) -> tuple[str, list[str], list[str], list[str]]:
    """The family of architectures, flags of the size, its line in the settings, and notes."""
    given = {name: getattr(options, name) for name in ("factorized_dim", "share", "inter_dim")}
    notes = no_effect(embedding, **given)
    if embedding == "conventional":
        return "conventional", [], [], notes
    if embedding in _OF_A_SHARE:
        share = decimal("--share", options.share if options.share is not None else "0.5")
        family = embedding.removesuffix("_share")
        return family, [f"--{_OF_A_SHARE[embedding]}-share", share], [f"share={share}"], notes
    if embedding == "char_cnn":
        size_flags, size = char_cnn_size(options.share)
        return embedding, size_flags, size, notes
    if embedding.startswith("alone_"):
        kind = embedding.removeprefix("alone_")
        return "alone", ["--alone-filter", kind, "--alone-inter-dim", str(inter_dim)], [f"inter_dim={inter_dim}"], notes
    if options.factorized_dim is not None:
        width = positive("--factorized-dim", options.factorized_dim)
    else:
        # ALONE has D_o + D_inter x (D_o + D_e) parameters with D_o = D_e, the factorized embedding has d x (V + D_e).
        alone, rows = preset.embed_dim * (1 + 2 * inter_dim), vocabulary + preset.embed_dim
        width = max((alone + rows // 2) // rows, 1)
        notes.append(
            f"factorized embedding: d = {width}, so {with_commas(width * rows)} parameters "
            f"(ALONE with D_inter {inter_dim}: {with_commas(alone)})"
        )
    return "factorized", ["--factorized-dim", str(width)], [f"factorized_dim={width}"], notes


def _length_encoding(preset: Preset, options: TrainOptions) -> tuple[list[str], list[str], list[str]]:
    """Flags, settings and notes about the length of headlines."""
    length = one_of("--length", options.length or preset["length"], ("lrpe", "ldpe", "none"))
    absolute = preset["absolute"] if options.absolute is None else options.absolute
    absolute = absolute and length != "none"
    notes = ["note: --absolute has no effect with --length none"] if options.absolute and not absolute else []
    flags = ["--task", "headline_generation", "--length-encoding", length, *flag("length-with-absolute", absolute)]
    return flags, [f"length={length}", f"absolute={int(absolute)}"], notes


def _unlogged(flags: list[str]) -> list[str]:
    """Without the interval of the log, which changes nothing that is learned."""
    if "--log-interval" not in flags:
        return flags
    start = flags.index("--log-interval")
    return flags[:start] + flags[start + 2 :]
