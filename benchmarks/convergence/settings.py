"""What the study compares: embeddings of equal size in models that are otherwise the same."""

from dataclasses import dataclass, field

from fairseq_alone.modules import AloneBudget
from fairseq_alone.modules.code_budget import CodeBudget

_BUDGETS = {"alone_share": AloneBudget.of_share, "codes": CodeBudget.of_share}


@dataclass(frozen=True)
class Regime:
    """A shape of Transformer.

    Args:
        embed_dim: D_e of the encoder, the decoder and the one embedding.
        flags: what fairseq-train needs besides the flags of the recipe.
        epochs: the usual length of a run.
    """

    embed_dim: int
    flags: tuple[str, ...]
    epochs: int


def _shape(embed_dim: int, ffn_dim: int, layers: int) -> tuple[str, ...]:
    sizes = {"embed-dim": embed_dim, "ffn-embed-dim": ffn_dim, "layers": layers, "attention-heads": 4}
    sides = [(side, name, size) for side in ("encoder", "decoder") for name, size in sizes.items()]
    return tuple(word for side, name, size in sides for word in (f"--{side}-{name}", str(size)))


REGIMES = {
    "tiny": Regime(128, _shape(128, 256, 4), 15),
    # A CPU's substitute for D_e = 512: fewer layers, so that a run takes hours, not days.
    "wide": Regime(256, (*_shape(256, 512, 3), "--lr", "0.002"), 8),
    "iwslt": Regime(512, (*_shape(512, 1024, 6), "--lr", "0.0005", "--warmup-updates", "4000"), 15),
}


@dataclass(frozen=True)
class Setting:
    """One kind of embedding, whose size is a share of the conventional table's.

    Args:
        embedding: ``--embedding`` of the recipe.
        share: trained values of the embedding, those of the table V x D_e = 1.
        base: D_o / D_e.
        free: share of the embedding's values that are free rows of width D_e.
        narrow: bands of narrower rows behind those: up to which share of the vocabulary a band goes, and its share of
            the embedding's values. Where every word has a row, the network has one unit.
        start: ``--start`` of the recipe: random, or corpus.
        merges: of the subwords, where they are others than those of the folder.
        flags: what fairseq-train needs besides.
        series: which settings belong to one line of a picture of quality against size.
    """

    embedding: str
    share: float = 1.0
    base: int = 1
    free: float = 0.0
    narrow: tuple[tuple[float, float], ...] = ()
    start: str = "random"
    merges: int | None = None
    flags: tuple[str, ...] = field(default=())
    series: str = ""

    def options(self, vocabulary: int, embed_dim: int) -> dict[str, str]:
        """The flags of ``fairseq-alone train``. ValueError: the share is too small for a network."""
        size = {}
        if self.embedding == "factorized":
            size["--factorized-dim"] = str(round(self.share * vocabulary * embed_dim / (vocabulary + embed_dim)))
        elif self.embedding in _BUDGETS:
            _BUDGETS[self.embedding](self.share, vocabulary, embed_dim)  # a bad share is refused before training
            size["--share"] = str(self.share)
        elif self.embedding != "conventional":
            size["--inter-dim"] = str(self._inter_dim(vocabulary, embed_dim))
        return {"--embedding": self.embedding, "--start": self.start, **size}

    def train_flags(self, vocabulary: int, embed_dim: int) -> list[str]:
        """The flags of fairseq-train."""
        flags = list(self.flags)
        if self.base != 1:
            flags += ["--alone-base-dim", str(self.base * embed_dim)]
        bands = self._bands(vocabulary, embed_dim)
        if bands:
            written = [str(words) if width == embed_dim else f"{words}x{width}" for words, width in bands]
            flags += ["--alone-free-rows", ",".join(written)]
        return flags

    def _bands(self, vocabulary: int, embed_dim: int) -> list[tuple[int, int]]:
        """Number of words and width of each band of rows."""
        values, most = self.share * vocabulary * embed_dim, vocabulary - 1  # padding has no row
        bands = [(min(round(self.free * values / embed_dim), most), embed_dim)] if self.free else []
        for until, share_of_values in self.narrow:
            words = min(round(until * vocabulary), most) - sum(words for words, _ in bands)
            bands.append((words, round(share_of_values * values / (words + embed_dim))))
        return bands

    def _inter_dim(self, vocabulary: int, embed_dim: int) -> int:
        bands = self._bands(vocabulary, embed_dim)
        if sum(words for words, _ in bands) == vocabulary - 1:
            return 1
        base_dim = self.base * embed_dim
        rows = sum(words * width + (width * embed_dim if width < embed_dim else 0) for words, width in bands)
        inter_dim = round((self.share * vocabulary * embed_dim - rows - base_dim) / (base_dim + embed_dim))
        if inter_dim < 1:
            raise ValueError("no values are left for the network; the vocabulary is too small")
        return inter_dim


# The last flag is what fairseq wants of it with --fp16, the recipe's default on a GPU.
_MUON = ("--optimizer", "adam_muon", "--fp16-no-flatten-grads")
# The initial values of the authors' code.
_AUTHORS = ("--alone-init", "published")
_SHARES = {"half": 0.5, "quarter": 0.25, "eighth": 0.125}

SETTINGS = {"conventional": Setting("conventional", series="conventional")}
for _name, _share in _SHARES.items():
    SETTINGS[f"factorized_{_name}"] = Setting("factorized", _share, series="factorized")
    SETTINGS[f"authors_{_name}"] = Setting("alone_binary", _share, flags=_AUTHORS, series="ALONE as published, binary")
    SETTINGS[f"authors_real_{_name}"] = Setting("alone_real", _share, flags=_AUTHORS, series="ALONE as published, real")
    SETTINGS[f"published_{_name}"] = Setting("alone_binary", _share, series="ALONE, binary, balanced start")
    SETTINGS[f"share_{_name}"] = Setting("alone_share", _share, series="ALONE, --alone-share")
# Where the rows do most good: all of one width; half of the values in wide rows, few for the rarest words; a table
# whose rows move as fast as free rows do.
SETTINGS["rows_for_all_half"] = Setting("alone_real", 0.5, narrow=((1.0, 1.0),))
SETTINGS["rows_for_all_quarter"] = Setting("alone_real", 0.25, narrow=((1.0, 1.0),))
SETTINGS["steep_half"] = Setting("alone_real", 0.5, base=4, free=0.5, narrow=((0.75, 0.4), (0.95, 0.06)))
SETTINGS["fast_table"] = Setting("alone_real", 1.0, free=1.0, series="a table with the step of free rows")
# What the training data tells beforehand.
SETTINGS["table_corpus"] = Setting("conventional", start="corpus", series="a table, corpus start")
SETTINGS["fast_table_corpus"] = Setting("alone_real", 1.0, free=1.0, start="corpus")
_SHARES |= {"tenth": 0.1, "sixteenth": 0.0625}
for _name, _share in _SHARES.items():
    SETTINGS[f"codes_{_name}"] = Setting("codes", _share, series="codes and rows")
    SETTINGS[f"codes_{_name}_corpus"] = Setting("codes", _share, start="corpus", series="codes and rows, corpus start")
    SETTINGS[f"factorized_{_name}_corpus"] = Setting(
        "factorized", _share, start="corpus", series="factorized, corpus start"
    )
SETTINGS["share_half_corpus"] = Setting("alone_share", 0.5, start="corpus", series="ALONE, --alone-share, corpus start")
SETTINGS["share_quarter_corpus"] = Setting(
    "alone_share", 0.25, start="corpus", series="ALONE, --alone-share, corpus start"
)
SETTINGS["authors_real_half_corpus"] = Setting("alone_real", 0.5, start="corpus", flags=_AUTHORS)
# The simplest way to a small embedding: fewer and shorter subwords.
for _merges in (2000, 4000):
    SETTINGS[f"table_{_merges}_merges"] = Setting("conventional", merges=_merges, series="a table of fewer subwords")
    SETTINGS[f"table_{_merges}_merges_corpus"] = Setting(
        "conventional", merges=_merges, start="corpus", series="a table of fewer subwords, corpus start"
    )
# The augmented loss over a table whose vectors say something from the start. With tau 1 its targets are nearly flat.
_AUGMENTED = ("--criterion", "label_smoothed_cross_entropy_with_augmented_loss", "--augmented-loss-weight", "0.5")
for _tau in (0.1, 0.2, 0.3, 1.0):
    SETTINGS[f"augmented_tau_{_tau:g}"] = Setting(
        "conventional",
        start="corpus",
        flags=(*_AUGMENTED, "--augmented-loss-temperature", str(_tau)),
        series="a table, corpus start, augmented loss",
    )
# One change at a time, at a quarter of the table.
SETTINGS["real_half"] = Setting("alone_real", 0.5)
SETTINGS["real_quarter"] = Setting("alone_real", 0.25)
SETTINGS["wide_quarter"] = Setting("alone_real", 0.25, base=4)
SETTINGS["muon_quarter"] = Setting("alone_real", 0.25, flags=_MUON)
SETTINGS["rows_quarter"] = Setting("alone_real", 0.25, free=0.5)
SETTINGS["wide_muon_quarter"] = Setting("alone_real", 0.25, base=4, flags=_MUON)
SETTINGS["wide_rows_quarter"] = Setting("alone_real", 0.25, base=4, free=0.5)
# Free rows against D_inter, at half of the table.
for _percent in (0, 25, 50, 90):
    SETTINGS[f"rows{_percent:02}_half"] = Setting("alone_real", 0.5, base=4, free=_percent / 100, flags=_MUON)
