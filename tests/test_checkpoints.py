"""Reading checkpoints: what is wrong with a file is said in one sentence."""

import pytest

from fairseq_alone import checkpoints
from fairseq_alone.errors import UserError


def test_load_checkpoint_names_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="nowhere.pt: there is no such checkpoint"):
        checkpoints.load_checkpoint(str(tmp_path / "nowhere.pt"))
    with pytest.raises(UserError, match="is a folder, not a checkpoint"):
        checkpoints.load_checkpoint(str(tmp_path))
    # The first bytes decide which error the unpickler ends in; a dictionary file gives an IndexError.
    for text in ("hello\n", "a 12\nthe 9\n. 7\n", "", "{}\n", "e@@ 5\n"):
        (tmp_path / "text.pt").write_text(text)
        with pytest.raises(UserError, match="text.pt: not a fairseq checkpoint"):
            checkpoints.load_checkpoint(str(tmp_path / "text.pt"))
