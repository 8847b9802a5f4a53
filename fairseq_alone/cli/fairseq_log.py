"""What fairseq logs while a tool of this package uses it."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def log_hidden() -> Iterator[None]:
    """Hide what fairseq logs about the files that it loads; warnings stay."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
