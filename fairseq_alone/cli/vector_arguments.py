"""Words that the commands on files of word vectors have in common."""

VECTORS_HELP = (
    "text of word2vec or GloVe, a binary file (.bin) of word2vec, or .safetensors of fairseq-alone corpus-vectors"
)
