"""A language model as one would write it in PyTorch alone: nn.LSTM, nn.Linear and a loop; prints its words/s as JSON.

python plain_lstm.py DATA_BIN UNITS LAYERS STREAMS WORDS UPDATES DROPOUT PRECISION

It reads the text as ``--task truncated_bptt_lm`` does: STREAMS parallel streams in pieces of WORDS words, the state
carried on and detached. Adam, clipping by norm, dropout between the layers, two tables. PRECISION is torch's name for
that of products of float32 matrices: highest, or medium for bfloat16.
"""

import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from fairseq.data import Dictionary, data_utils
from torch import nn

#: Updates before the speed counts.
WARM_UP = 5


class Model(nn.Module):
    """Tokens (T, B) and a state to logits (T, B, V) and the state after."""

    def __init__(self, vocabulary: int, units: int, layers: int, dropout: float):
        super().__init__()
        self.words = nn.Embedding(vocabulary, units)
        self.lstm = nn.LSTM(units, units, layers, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(units, vocabulary, bias=False)

    def forward(self, tokens, state):
        """One piece."""
        outputs, state = self.lstm(self.dropout(self.words(tokens)), state)
        return self.output(self.dropout(outputs)), state


def main() -> None:
    """Train for the updates."""
    data, (units, layers, streams, words, updates), dropout = sys.argv[1], map(int, sys.argv[2:7]), float(sys.argv[7])
    torch.set_float32_matmul_precision(sys.argv[8])
    torch.manual_seed(1)
    dictionary = Dictionary.load(f"{data}/dict.txt")
    sentences = data_utils.load_indexed_dataset(f"{data}/train", dictionary)
    text, needed = [], streams * (updates * words + 1)
    for number in range(len(sentences)):
        text.append(sentences[number].long())
        needed -= len(text[-1])
        if needed <= 0:
            break
    else:
        sys.exit(f"the text is too short for {updates} updates")
    tokens = torch.cat(text)[: streams * (updates * words + 1)].view(streams, -1).t().contiguous()
    model = Model(len(dictionary), units, layers, dropout).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    state, times = None, []
    for update in range(updates):
        begin = time.perf_counter()
        piece = tokens[update * words : (update + 1) * words + 1]
        optimizer.zero_grad()
        logits, state = model(piece[:-1], state)
        state = tuple(part.detach() for part in state)
        loss = F.cross_entropy(logits.flatten(0, 1), piece[1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        times.append(time.perf_counter() - begin)
    print(json.dumps({"words_per_second": streams * words / statistics.median(times[WARM_UP:])}))


if __name__ == "__main__":
    main()
