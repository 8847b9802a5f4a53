from dataclasses import replace

import pytest

from fairseq_alone.recipes import demo_corpus as demo


def phrase(noun, determiner="the", adjective=None, plural=False):
    return demo.NounPhrase(demo.NOUNS[noun], determiner, demo.ADJECTIVES.get(adjective), plural)


def clause(subject, verb, thing=None, **more):
    return demo.Clause(subject, demo.VERBS[verb], thing, **more)


MAN, WOMAN, CHILD = phrase("man"), phrase("woman"), phrase("child")


@pytest.mark.parametrize(
    ("number", "english", "german"),
    [
        (2, "two", "zwei"),
        (7, "seven", "sieben"),
        (11, "eleven", "elf"),
        (12, "twelve", "zwölf"),
        (16, "sixteen", "sechzehn"),
        (17, "seventeen", "siebzehn"),
        (20, "twenty", "zwanzig"),
        (21, "twenty-one", "einundzwanzig"),
        (22, "twenty-two", "zweiundzwanzig"),
        (30, "thirty", "dreißig"),
        (36, "thirty-six", "sechsunddreißig"),
        (60, "sixty", "sechzig"),
        (77, "seventy-seven", "siebenundsiebzig"),
        (99, "ninety-nine", "neunundneunzig"),
    ],
)
def test_numbers(number, english, german):
    assert demo.english_number(number) == english
    assert demo.german_number(number) == german


@pytest.mark.parametrize(
    ("given", "english", "nominative", "accusative", "dative"),
    [
        # weak endings after "der", three genders and the plural
        (("hat", "the", "old"), "the old hat", "der alte Hut", "den alten Hut", "dem alten Hut"),
        (("bag", "the", "old"), "the old bag", "die alte Tasche", "die alte Tasche", "der alten Tasche"),
        (("book", "the", "old"), "the old book", "das alte Buch", "das alte Buch", "dem alten Buch"),
        (("book", "the", "old", True), "the old books", "die alten Bücher", "die alten Bücher", "den alten Büchern"),
        (("door", "this", "red"), "this red door", "diese rote Tür", "diese rote Tür", "dieser roten Tür"),
        # mixed endings after "ein" and the possessives
        (("apple", "a", "small"), "a small apple", "ein kleiner Apfel", "einen kleinen Apfel", "einem kleinen Apfel"),
        (("apple", "a"), "an apple", "ein Apfel", "einen Apfel", "einem Apfel"),
        (("cup", "my", "blue"), "my blue cup", "meine blaue Tasse", "meine blaue Tasse", "meiner blauen Tasse"),
        (("car", "our", "new"), "our new car", "unser neues Auto", "unser neues Auto", "unserem neuen Auto"),
        (("car", "no", "new", True), "any new cars", "keine neuen Autos", "keine neuen Autos", "keinen neuen Autos"),
        # strong endings after nothing or a number
        (("coffee", None, "hot"), "hot coffee", "heißer Kaffee", "heißen Kaffee", "heißem Kaffee"),
        (("milk", None, "cold"), "cold milk", "kalte Milch", "kalte Milch", "kalter Milch"),
        (("water", None, "cold"), "cold water", "kaltes Wasser", "kaltes Wasser", "kaltem Wasser"),
        (("egg", 21, "fresh", True), "twenty-one fresh eggs", *["einundzwanzig frische Eier"] * 2,
         "einundzwanzig frischen Eiern"),
        # nouns with -n, stems that change
        (("boy", "the"), "the boy", "der Junge", "den Jungen", "dem Jungen"),
        (("neighbor", "a"), "a neighbor", "ein Nachbar", "einen Nachbarn", "einem Nachbarn"),
        (("friend", "a", "tired"), "a tired friend", "ein müder Freund", "einen müden Freund", "einem müden Freund"),
        (("lamp", "a", "expensive"), "an expensive lamp", "eine teure Lampe", "eine teure Lampe", "einer teuren Lampe"),
        (("kitchen", "the", "dark"), "the dark kitchen", "die dunkle Küche", "die dunkle Küche", "der dunklen Küche"),
    ],
)  # fmt: skip
def test_noun_phrases(given, english, nominative, accusative, dative):
    words = phrase(*given)
    assert words.english() == english
    assert [words.german(case) for case in demo.CASES] == [nominative, accusative, dative]


@pytest.mark.parametrize(
    ("given", "english", "german"),
    [
        (clause(MAN, "buy", phrase("car", "a", "red")), "the man buys a red car", "der Mann kauft ein rotes Auto"),
        # dative objects, and receiver before thing
        (clause(demo.WE, "help", WOMAN), "we help the woman", "wir helfen der Frau"),
        (
            clause(MAN, "give", phrase("book", "a"), receiver=CHILD),
            "the man gives the child a book",
            "der Mann gibt dem Kind ein Buch",
        ),
        (
            clause(MAN, "give", demo.IT["n"], receiver=CHILD),
            "the man gives it to the child",
            "der Mann gibt es dem Kind",
        ),
        # separable verbs
        (clause(demo.SHE, "open", phrase("door")), "she opens the door", "sie macht die Tür auf"),
        (clause(demo.SHE, "turn on", demo.IT["f"]), "she turns it on", "sie schaltet sie ein"),
        (clause(demo.YOU, "invite", MAN), "you invite the man", "du lädst den Mann ein"),
        (
            clause(demo.I, "open", phrase("door"), modal="want"),
            "I want to open the door",
            "ich will die Tür aufmachen",
        ),
        # perfect with haben and with sein
        (
            clause(demo.HE, "open", phrase("door"), tense="past"),
            "he opened the door",
            "er hat die Tür aufgemacht",
        ),
        (clause(WOMAN, "get up", tense="past"), "the woman got up", "die Frau ist aufgestanden"),
        # verb-second order: inversion after a fronted time
        (
            clause(MAN, "wait", time=("yesterday", "gestern"), tense="past", fronted=True),
            "yesterday, the man waited",
            "gestern hat der Mann gewartet",
        ),
        (
            clause(demo.THEY, "wash", phrase("cup", "my"), time=("today", "heute")),
            "they wash my cup today",
            "sie waschen heute meine Tasse",
        ),
        # an indefinite object follows the place, a definite one precedes it
        (
            clause(demo.HE, "buy", phrase("hat", "a"), complement=("in the city", "in der Stadt")),
            "he buys a hat in the city",
            "er kauft in der Stadt einen Hut",
        ),
        (
            clause(demo.HE, "buy", phrase("hat"), complement=("in the city", "in der Stadt")),
            "he buys the hat in the city",
            "er kauft den Hut in der Stadt",
        ),
        # negation: nicht and kein
        (
            clause(demo.HE, "open", phrase("door"), negated=True),
            "he does not open the door",
            "er macht die Tür nicht auf",
        ),
        (clause(demo.I, "have", phrase("car", "no"), negated=True), "I do not have a car", "ich habe kein Auto"),
        (
            clause(demo.SHE, "drink", phrase("tea", "no", "hot"), negated=True, tense="past"),
            "she did not drink any hot tea",
            "sie hat keinen heißen Tee getrunken",
        ),
        (
            clause(demo.WE, "go", complement=("into the park", "in den Park"), modal="can", negated=True),
            "we cannot go into the park",
            "wir können nicht in den Park gehen",
        ),
        (
            clause(WOMAN, "read", phrase("book"), modal="want", negated=True),
            "the woman does not want to read the book",
            "die Frau will das Buch nicht lesen",
        ),
        (clause(MAN, "help", demo.I, adverb=("often", "oft")), "the man often helps me", "der Mann hilft mir oft"),
    ],
)  # fmt: skip
def test_main_clauses(given, english, german):
    assert demo.english_clause(given) == english
    assert demo.german_clause(given) == german


@pytest.mark.parametrize(
    ("given", "german"),
    [
        (clause(demo.HE, "open", phrase("door")), "er die Tür aufmacht"),
        (clause(demo.HE, "open", phrase("door"), tense="past"), "er die Tür aufgemacht hat"),
        (clause(demo.HE, "open", phrase("door"), modal="must"), "er die Tür aufmachen muss"),
        (clause(CHILD, "see", demo.THEY, time=("today", "heute")), "das Kind sie heute sieht"),
        (clause(demo.YOU, "run", complement=("into the house", "ins Haus"), tense="past"), "du ins Haus gelaufen bist"),
    ],
)
def test_subordinate_clauses_put_the_finite_verb_last(given, german):
    assert demo.german_subordinate(given) == german


def test_questions():
    opens = clause(WOMAN, "open", phrase("window"))
    assert demo.english_question(opens) == "does the woman open the window"
    assert demo.german_question(opens) == "macht die Frau das Fenster auf"
    past = replace(opens, tense="past")
    assert demo.english_question(past, "why") == "why did the woman open the window"
    assert demo.german_question(past, "warum") == "warum hat die Frau das Fenster aufgemacht"
    modal = replace(opens, modal="can")
    assert demo.english_question(modal) == "can the woman open the window"
    assert demo.german_question(modal) == "kann die Frau das Fenster aufmachen"


def test_copula():
    tired = demo.Copula(phrase("girl", "the", None, True), "tired", "müde", "past", negated=True)
    assert demo.english_copula(tired) == "the girls were not tired"
    assert demo.german_copula(tired) == "die Mädchen waren nicht müde"
    assert demo.german_copula_subordinate(tired) == "die Mädchen nicht müde waren"
    assert demo.english_copula(demo.Copula(demo.I, "old", "alt")) == "I am old"
    assert demo.german_copula(demo.Copula(demo.YOU, "old", "alt")) == "du bist alt"


@pytest.mark.parametrize(
    ("noun", "plural", "english", "nominative", "accusative"),
    [
        ("suitcase", False, "it", "er", "ihn"),
        ("lamp", False, "it", "sie", "sie"),
        ("radio", False, "it", "es", "es"),
        ("lamp", True, "they", "sie", "sie"),
        ("teacher", False, "he", "er", "ihn"),
        ("sister", False, "she", "sie", "sie"),
    ],
)
def test_pronouns_agree_with_the_gender_of_their_noun(noun, plural, english, nominative, accusative):
    pronoun = demo.pronoun_for(phrase(noun, plural=plural))
    assert pronoun.english() == english
    assert pronoun.german("nominative") == nominative
    assert pronoun.german("accusative") == accusative


@pytest.mark.parametrize(
    ("word", "noun", "case", "german"),
    [
        ("in", "garden", "dative", "im Garten"),
        ("in", "garden", "accusative", "in den Garten"),
        ("in", "house", "accusative", "ins Haus"),
        ("in", "kitchen", "dative", "in der Küche"),
        ("zu", "neighbor", "dative", "zum Nachbarn"),
        ("zu", "sister", "dative", "zur Schwester"),
    ],
)
def test_prepositions(word, noun, case, german):
    assert demo.preposition(word, phrase(noun), case) == german


def test_lexicon_is_complete():
    for noun in demo.NOUNS.values():
        assert noun.gender in ("m", "f", "n")
        assert demo.fitting_adjectives(noun), noun
    used = {kind for noun in demo.NOUNS.values() for kind in noun.kinds} | {"place", "company", "direction", "nothing"}
    for verb in demo.VERBS.values():
        assert verb.kinds <= used, verb
        assert verb.auxiliary in demo.AUXILIARIES
        assert verb.case in ("accusative", "dative", "both", "none")


SIZES = {"train": 2000, "valid": 100, "test": 100}


def test_same_seed_gives_the_same_corpus():
    assert demo.generate(SIZES, 3) == demo.generate(SIZES, 3)
    assert demo.generate(SIZES, 3) != demo.generate(SIZES, 4)


def test_no_sentence_occurs_twice_on_either_side():
    splits = demo.generate(SIZES, 1)
    assert {name: len(pairs) for name, pairs in splits.items()} == SIZES
    pairs = [pair for split in splits.values() for pair in split]
    for side in (0, 1):
        assert len({pair[side] for pair in pairs}) == len(pairs)


def test_sentences_are_cased_punctuated_and_not_copies():
    for english, german in demo.generate(SIZES, 2)["train"]:
        for text in (english, german):
            assert text[0].isupper()
            assert text[-1] in ".?"
            assert "  " not in text
            assert text == text.strip()
        assert english != german


def test_command_writes_six_parallel_files(tmp_path):
    out = tmp_path / "new" / "demo"
    arguments = ["--train", "30", "--valid", "5", "--test", "6", "--seed", "9"]
    assert demo.main([str(out), *arguments]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "test.de", "test.en", "train.de", "train.en", "valid.de", "valid.en",
    ]  # fmt: skip
    expected = demo.generate({"train": 30, "valid": 5, "test": 6}, 9)
    for split, pairs in expected.items():
        for side, suffix in enumerate(("en", "de")):
            lines = (out / f"{split}.{suffix}").read_text(encoding="utf-8").splitlines()
            assert lines == [pair[side] for pair in pairs]


def test_command_refuses_a_bad_size(tmp_path, capsys):
    with pytest.raises(SystemExit):
        demo.main([str(tmp_path / "out"), "--valid", "0"])
    assert "--valid must be at least 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_command_refuses_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert demo.main([str(tmp_path / "file"), "--train", "5"]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err
