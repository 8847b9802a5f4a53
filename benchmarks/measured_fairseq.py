"""Run one fairseq command in this process and print its peak memory as the last line, in JSON.

Usage: python measured_fairseq.py TOOL FLAGS..., where TOOL is train or generate.
"""

import importlib
import json
import resource
import sys

import torch

if __name__ == "__main__":
    tool = sys.argv[1]
    sys.argv = [f"fairseq-{tool}", *sys.argv[2:]]
    importlib.import_module(f"fairseq_cli.{tool}").cli_main()
    # Linux counts in KiB.
    memory = {"host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if torch.cuda.is_available():
        memory["gpu_bytes"] = torch.cuda.max_memory_allocated()
    print(json.dumps(memory))
