"""How many next words a second a language model gives: one step for five hypotheses, and the ten best words of each.

    python benchmarks/softmax/next_word.py CHECKPOINT DATA [OVERRIDES_AS_JSON]

Prints one line of JSON. The matrix of a computed embedding is built before, as it is before any decoding.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import torch
from fairseq import checkpoint_utils

HYPOTHESES, STEPS, WARM_UP = 5, 60, 10


def measure(checkpoint: str, data: str, overrides: dict) -> dict:
    """Words per second, and the trained values of the model and of its output layer."""
    models, _, _ = checkpoint_utils.load_model_ensemble_and_task([checkpoint], {"data": data, **overrides})
    model = models[0].eval()
    tokens = torch.full((HYPOTHESES, 1), 5)
    state: dict = {}
    times = []
    with torch.no_grad():
        for _ in range(STEPS):
            begin = time.perf_counter()
            net_output = model.decoder(tokens, incremental_state=state)
            scores = model.get_normalized_probs((net_output[0][:, -1:], None), log_probs=True)
            best = scores[:, -1].topk(10).indices[:, :1]
            times.append(time.perf_counter() - begin)
            tokens = torch.cat([tokens, best], dim=1)
    layer = getattr(model.decoder, "output_embedding", None) or model.decoder.output_projection
    return {
        "next_words_per_second": HYPOTHESES / statistics.median(times[WARM_UP:]),
        "parameters": sum(value.numel() for value in model.parameters()),
        "output_parameters": sum(value.numel() for value in layer.parameters()),
        "output_is_input": layer is model.decoder.output_projection and not list(layer.parameters()),
    }


if __name__ == "__main__":
    from fairseq_alone import plugin

    plugin.register()
    print(json.dumps(measure(sys.argv[1], str(Path(sys.argv[2])), json.loads((sys.argv[3:] or ["{}"])[0]))))
