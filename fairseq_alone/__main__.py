"""``python -m fairseq_alone``: the same as the console command ``fairseq-alone``."""

import sys

from fairseq_alone.cli import main

if __name__ == "__main__":
    sys.exit(main())
