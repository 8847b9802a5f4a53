"""The families that there are, by name; ``families.py`` fills it, and so may a plugin."""

from fairseq_alone.models.embedding_family import EmbeddingFamily

#: Every family by its name.
FAMILIES: dict[str, type[EmbeddingFamily]] = {}
