"""Which file is at fault when fairseq-generate's output and a text file do not belong together."""

import pytest

from fairseq_alone.cli import main
from fairseq_alone.cli.generated import MOVED, OTHER, SAME, place_of

# Ten different sentences, and as fairseq-generate prints them: tokens, subwords, entities, lower case, unknown words.
TEXT = [
    f'Satz {number}: "Er sagte {word}."'
    for number, word in enumerate(["ja", "nein", "doch", "nie", "oft", "bald", "hier", "da", "so", "nun"])
]
PRINTED = {number: line.lower().replace('"', " &quot; ").replace("satz", "sa@@ tz") for number, line in enumerate(TEXT)}
PRINTED[7] = "<<unk>> 7"


def some(start, stop):
    return {number: PRINTED[number] for number in range(start, stop)}


@pytest.mark.parametrize(
    ("printed", "lines", "place"),
    [
        (PRINTED, TEXT, SAME),
        (some(2, 9), TEXT, SAME),
        (PRINTED, TEXT[:4], SAME),
        (PRINTED, TEXT[:3] + TEXT[4:], MOVED),
        (PRINTED, TEXT[1:] + TEXT[:1], MOVED),
        (some(0, 4), ["", *TEXT], MOVED),
        (some(0, 4), TEXT[4:], OTHER),
        ({0: "▁satz ▁0 : ▁er ▁sag te ▁ja ½"}, [TEXT[0] + " 1⁄2"], SAME),
        ({0: PRINTED[7], 1: " . "}, TEXT, None),
        ({}, TEXT, None),
    ],
)
def test_the_place_of_the_printed_sentences(printed, lines, place):
    assert place_of(printed, lines) == place


def score(tmp_path, numbers, lines, *flags, printed=True):
    """Score the hypotheses of these sentences of TEXT, with or without T- lines, against a file of ``lines``."""
    generated = "".join((f"T-{n}\t{PRINTED[n % 10]}\n" if printed else "") + f"H-{n}\t-1\tx\n" for n in numbers)
    (tmp_path / "generated").write_text(generated, "utf-8")
    (tmp_path / "ref").write_text("".join(line + "\n" for line in lines), "utf-8")
    files = ["--generated", f"{tmp_path}/generated", "--reference", f"{tmp_path}/ref"]
    return main(["score", *files, "--target-lang", "de", *flags])


FLAG = "--required-batch-size-multiple 1"


@pytest.mark.parametrize(
    ("numbers", "lines", "printed", "message"),
    [
        (range(3, 10), TEXT, True, f"H-0 is missing; run fairseq-generate with {FLAG}"),
        (range(2), TEXT, True, "H-2 is missing; was the output cut off, or were sentences skipped as too long?"),
        (range(10), TEXT[:8], True, "{ref} ends too early; the texts agree as far as it goes"),
        (range(9), ["A line more.", *TEXT[:9]], True, "the T- lines of {gen} are in {ref}, but in other lines"),
        (range(5), TEXT[5:] + ["A line more."], True, "the T- lines of {gen} are another text than {ref}"),
        (range(3), TEXT, False, f"H-3 is missing; run fairseq-generate with {FLAG}"),
        (range(2), TEXT, False, "{ref} looks like another file than the one that was translated"),
        (range(10), TEXT[:9], False, "{ref} looks like another file than the one that was translated"),
    ],
)
def test_different_counts_are_explained_and_the_flag_is_named_only_where_it_helps(
    tmp_path, capsys, numbers, lines, printed, message
):
    assert score(tmp_path, numbers, lines, printed=printed) == 1
    error = capsys.readouterr().err
    counts = (
        f"{tmp_path}/generated has hypotheses for {len(numbers)} sentences, but {tmp_path}/ref has {len(lines)} lines"
    )
    assert f"{counts}: {message.format(ref=tmp_path / 'ref', gen=tmp_path / 'generated')}" in error
    assert (FLAG in error) == (FLAG in message)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            TEXT[1:6],
            "the T- lines of {gen} are in {ref}, but in other lines; give the text",
        ),
        (TEXT[5:], "the T- lines of {gen} are another text than {ref}; give the text"),
    ],
)
def test_another_text_of_the_same_length_is_noted_or_refused(tmp_path, capsys, lines, message):
    message = message.format(ref=tmp_path / "ref", gen=tmp_path / "generated")
    assert score(tmp_path, range(5), lines) == 0
    assert capsys.readouterr().err.startswith(f"warning: {message}")
    assert score(tmp_path, range(5), lines, "--strict") == 1
    assert f"error: {message}" in capsys.readouterr().err
    assert score(tmp_path, range(5), TEXT[:5], "--strict") == 0
    assert capsys.readouterr().err == ""
