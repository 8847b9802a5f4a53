"""Generate the demo's parallel corpus: English sentences and their German translations from a small grammar.

    python -m fairseq_alone.recipes.demo_corpus OUT_DIR [--train 4000 --valid 200 --test 200 --seed 1]

The two sides differ as the languages do, so the task cannot be solved by copying words in order: three genders and
three cases, weak, mixed and strong adjective endings, nouns with the ending -n (der Junge, den Jungen), verb-second
order with inversion, separable verbs, modals, the perfect with haben and sein, verb-final subordinate clauses, pronouns
that agree with the gender of their noun, "nicht" against "kein", and number words (zweiundzwanzig).

The corpus is a function of the arguments. No sentence occurs twice, neither within a split nor across splits, on either
side. It takes about a second.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

# Pairs of each split, and the seed, of the demo.
SIZES = {"train": 4000, "valid": 200, "test": 200}
SEED = 1

# ---- lexicon ----------------------------------------------------------------------------------------------------

# English singular, plural; German singular, plural; gender; kinds. A plural "-" marks a mass noun. "weak" marks a
# German masculine noun with -n or -en in every case but the nominative singular.
NOUN_TABLE = """
man men Mann Männer m person
woman women Frau Frauen f person
child children Kind Kinder n person
teacher teachers Lehrer Lehrer m person
student students Student Studenten m person,weak
boy boys Junge Jungen m person,weak
girl girls Mädchen Mädchen n person
doctor doctors Arzt Ärzte m person
neighbor neighbors Nachbar Nachbarn m person,weak
friend friends Freund Freunde m person
brother brothers Bruder Brüder m person
sister sisters Schwester Schwestern f person
mother mothers Mutter Mütter f person
grandmother grandmothers Großmutter Großmütter f person
dog dogs Hund Hunde m animal
cat cats Katze Katzen f animal
horse horses Pferd Pferde n animal
book books Buch Bücher n thing,readable,writable,small
letter letters Brief Briefe m readable,writable,small
newspaper newspapers Zeitung Zeitungen f thing,readable,small
door doors Tür Türen f openable
window windows Fenster Fenster n openable,washable
box boxes Kiste Kisten f thing,openable,portable,furniture
suitcase suitcases Koffer Koffer m thing,openable,portable
lamp lamps Lampe Lampen f thing,switchable
computer computers Computer Computer m thing,switchable
radio radios Radio Radios n thing,switchable,portable
car cars Auto Autos n thing,washable,furniture
bicycle bicycles Fahrrad Fahrräder n thing,washable
table tables Tisch Tische m thing,furniture,washable
chair chairs Stuhl Stühle m thing,furniture,portable
bag bags Tasche Taschen f thing,portable,small
picture pictures Bild Bilder n thing,small
hat hats Hut Hüte m thing,small
coat coats Mantel Mäntel m thing,washable
shirt shirts Hemd Hemden n thing,washable,small
key keys Schlüssel Schlüssel m thing,small
flower flowers Blume Blumen f thing,small
cup cups Tasse Tassen f thing,washable,small
apple apples Apfel Äpfel m food
egg eggs Ei Eier n food
orange oranges Orange Orangen f food
potato potatoes Kartoffel Kartoffeln f food
cake cakes Kuchen Kuchen m food
water - Wasser - n drink
milk - Milch - f drink
coffee - Kaffee - m drink
tea - Tee - m drink
garden gardens Garten Gärten m place
park parks Park Parks m place
kitchen kitchens Küche Küchen f place
city cities Stadt Städte f place
library libraries Bibliothek Bibliotheken f place
house houses Haus Häuser n place
office offices Büro Büros n place
"""

# English, German as a predicate, German stem before an ending, kinds of nouns that it fits.
ADJECTIVE_TABLE = """
old alt alt person,animal,thing,openable,readable
young jung jung person,animal
tall groß groß person
small klein klein person,animal,thing,openable,food
friendly freundlich freundlich person,animal
tired müde müd person,animal
happy glücklich glücklich person
famous berühmt berühmt person
new neu neu thing,openable,readable
big groß groß thing,openable,animal,food
red rot rot thing,openable
blue blau blau thing,openable
green grün grün thing,openable
white weiß weiß thing,openable,animal
black schwarz schwarz thing,openable,animal
beautiful schön schön thing,animal,readable,place
expensive teuer teur thing
cheap billig billig thing
heavy schwer schwer thing
interesting interessant interessant readable
fresh frisch frisch food
sweet süß süß food
cold kalt kalt drink
hot heiß heiß drink
dark dunkel dunkl place
quiet ruhig ruhig place
"""

# English base, third person, past | German separable prefix or "-", ich, du, er, infinitive, participle, auxiliary |
# case and kinds of the object, or kinds of complement. "+" joins an English particle that a pronoun precedes (turn it
# on), "_" one that it follows (look for it). "present" marks a verb that is used in the present tense only.
VERB_TABLE = """
see sees saw | - sehe siehst sieht sehen gesehen haben | accusative person,animal,thing
read reads read | - lese liest liest lesen gelesen haben | accusative readable
write writes wrote | - schreibe schreibst schreibt schreiben geschrieben haben | accusative writable
buy buys bought | - kaufe kaufst kauft kaufen gekauft haben | accusative thing,food
sell sells sold | - verkaufe verkaufst verkauft verkaufen verkauft haben | accusative thing,animal
eat eats ate | - esse isst isst essen gegessen haben | accusative food
drink drinks drank | - trinke trinkst trinkt trinken getrunken haben | accusative drink
find finds found | - finde findest findet finden gefunden haben | accusative thing,animal
look_for looks_for looked_for | - suche suchst sucht suchen gesucht haben | accusative thing,person,animal
need needs needed | - brauche brauchst braucht brauchen gebraucht haben | accusative thing present
have has had | - habe hast hat haben gehabt haben | accusative thing,animal present
know knows knew | - kenne kennst kennt kennen gekannt haben | accusative person present
visit visits visited | - besuche besuchst besucht besuchen besucht haben | accusative person
wash washes washed | - wasche wäschst wäscht waschen gewaschen haben | accusative washable
carry carries carried | - trage trägst trägt tragen getragen haben | accusative portable
open opens opened | auf mache machst macht machen gemacht haben | accusative openable
close closes closed | zu mache machst macht machen gemacht haben | accusative openable
turn+on turns+on turned+on | ein schalte schaltest schaltet schalten geschaltet haben | accusative switchable
turn+off turns+off turned+off | aus schalte schaltest schaltet schalten geschaltet haben | accusative switchable
pick+up picks+up picked+up | ab hole holst holt holen geholt haben | accusative person
invite invites invited | ein lade lädst lädt laden geladen haben | accusative person
call calls called | an rufe rufst ruft rufen gerufen haben | accusative person
help helps helped | - helfe hilfst hilft helfen geholfen haben | dative person
thank thanks thanked | - danke dankst dankt danken gedankt haben | dative person
give gives gave | - gebe gibst gibt geben gegeben haben | both thing,food
show shows showed | - zeige zeigst zeigt zeigen gezeigt haben | both thing,readable
sleep sleeps slept | - schlafe schläfst schläft schlafen geschlafen haben | none place
work works worked | - arbeite arbeitest arbeitet arbeiten gearbeitet haben | none place,company
play plays played | - spiele spielst spielt spielen gespielt haben | none place,company
wait waits waited | - warte wartest wartet warten gewartet haben | none place
stay stays stayed | - bleibe bleibst bleibt bleiben geblieben sein | none place
get_up gets_up got_up | auf stehe stehst steht stehen gestanden sein | none nothing
fall_asleep falls_asleep fell_asleep | ein schlafe schläfst schläft schlafen geschlafen sein | none nothing
go goes went | - gehe gehst geht gehen gegangen sein | none direction
come comes came | - komme kommst kommt kommen gekommen sein | none direction,company
run runs ran | - laufe läufst läuft laufen gelaufen sein | none direction
"""

# English third person and base; German ich, du, er, wir. Followed by a clause with "that".
MATRIX_VERBS = [
    ("know", "knows", ("weiß", "weißt", "weiß", "wissen")),
    ("say", "says", ("sage", "sagst", "sagt", "sagen")),
    ("think", "thinks", ("denke", "denkst", "denkt", "denken")),
    ("hope", "hopes", ("hoffe", "hoffst", "hofft", "hoffen")),
    ("believe", "believes", ("glaube", "glaubst", "glaubt", "glauben")),
]

# German ich, du, er, wir.
MODALS = {
    "can": ("kann", "kannst", "kann", "können"),
    "want": ("will", "willst", "will", "wollen"),
    "must": ("muss", "musst", "muss", "müssen"),
    "should": ("sollte", "solltest", "sollte", "sollten"),
    "will": ("werde", "wirst", "wird", "werden"),
}
AUXILIARIES = {"haben": ("habe", "hast", "hat", "haben"), "sein": ("bin", "bist", "ist", "sind")}
WAS = ("war", "warst", "war", "waren")

TIMES = {
    "present": [
        ("today", "heute"),
        ("every day", "jeden Tag"),
        ("every evening", "jeden Abend"),
        ("in the morning", "am Morgen"),
    ],
    "past": [
        ("yesterday", "gestern"),
        ("last week", "letzte Woche"),
        ("on Monday", "am Montag"),
        ("this morning", "heute Morgen"),
    ],
    "modal": [
        ("tomorrow", "morgen"),
        ("today", "heute"),
        ("next week", "nächste Woche"),
        ("on Friday", "am Freitag"),
    ],
}
ADVERBS = [("often", "oft"), ("always", "immer"), ("sometimes", "manchmal")]
LOCATIONS = [("on", "auf"), ("under", "unter"), ("next to", "neben"), ("behind", "hinter"), ("in front of", "vor")]

PERSONS = ("1s", "2s", "3s", "1p", "3p")
# Index into the four German forms (ich, du, er, wir): wir and sie share one.
FORM = {"1s": 0, "2s": 1, "3s": 2, "1p": 3, "3p": 3}

# German determiners. The article has its own forms, the others take endings: those of "dieser", or those of "ein".
CASES = ("nominative", "accusative", "dative")
DEFINITE_ARTICLE = {"m": "der den dem", "f": "die die der", "n": "das das dem", "p": "die die den"}
DIESER_ENDINGS = {"m": "er en em", "f": "e e er", "n": "es es em", "p": "e e en"}
EIN_ENDINGS = {"m": "- en em", "f": "e e er", "n": "- - em", "p": "e e en"}
EIN_WORDS = {"a": "ein", "no": "kein", "my": "mein", "your": "dein", "his": "sein", "her": "ihr", "our": "unser"}
POSSESSIVES = ("my", "your", "his", "her", "our")
WEAK_ENDINGS = {"m": "e en en", "f": "e e en", "n": "e e en", "p": "en en en"}
MIXED_ENDINGS = {"m": "er en en", "f": "e e en", "n": "es es en", "p": "en en en"}
STRONG_ENDINGS = {"m": "er en em", "f": "e e er", "n": "es es em", "p": "e e en"}

# Numbers from 0 to 19, then the tens from 20 to 90.
ENGLISH_NUMBERS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
"""
GERMAN_NUMBERS = """
null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn
achtzehn neunzehn zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig
"""

# Two adjectives of one line contradict each other: a blue flower is not red.
CONTRASTS = """
old young new
tall small big
red blue green white black
expensive cheap
cold hot
"""

CONTRACTIONS = {"in dem": "im", "in das": "ins", "zu dem": "zum", "zu der": "zur"}


# ---- words ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Noun:
    """A noun of both languages. ``german_plural`` is "-" for a mass noun; ``gender`` is m, f or n."""

    english: str
    english_plural: str
    german: str
    german_plural: str
    gender: str
    kinds: frozenset

    @property
    def is_mass(self) -> bool:
        """True for a noun without plural and without "a"."""
        return self.german_plural == "-"


@dataclass(frozen=True)
class Adjective:
    """An adjective: ``german`` as a predicate (teuer), ``stem`` before an ending (teur-)."""

    english: str
    german: str
    stem: str
    kinds: frozenset


@dataclass(frozen=True)
class Verb:
    """A verb.

    Args:
        english: base, third person, past.
        prefix: the separable German prefix (auf), or "".
        german: ich, du, er, wir, without the prefix.
        participle, auxiliary: for the German perfect (aufgemacht, haben).
        case: of the German object: accusative, dative, both (a receiver and a thing) or none.
        kinds: of nouns that the object may be; without an object, the kinds of complement.
        present_only: True for a verb that is not used in the perfect and with modals.
    """

    english: tuple
    prefix: str
    german: tuple
    participle: str
    auxiliary: str
    case: str
    kinds: frozenset
    present_only: bool

    @property
    def infinitive(self) -> str:
        """The German infinitive with its prefix: aufmachen."""
        return self.prefix + self.german[3]


def _nouns() -> dict:
    rows = (line.split() for line in NOUN_TABLE.strip().splitlines())
    return {row[0]: Noun(row[0], row[1], row[2], row[3], row[4], frozenset(row[5].split(","))) for row in rows}


def _adjectives() -> dict:
    rows = (line.split() for line in ADJECTIVE_TABLE.strip().splitlines())
    return {row[0]: Adjective(row[0], row[1], row[2], frozenset(row[3].split(","))) for row in rows}


def _verbs() -> dict:
    verbs = {}
    for line in VERB_TABLE.strip().splitlines():
        english, german, frame = (part.split() for part in line.split("|"))
        prefix = "" if german[0] == "-" else german[0]
        name = english[0].replace("_", " ").replace("+", " ")
        verbs[name] = Verb(
            english=tuple(english),
            prefix=prefix,
            german=tuple(german[1:5]),
            participle=prefix + german[5],
            auxiliary=german[6],
            case=frame[0],
            kinds=frozenset(frame[1].split(",")),
            present_only="present" in frame[2:],
        )
    return verbs


NOUNS, ADJECTIVES, VERBS = _nouns(), _adjectives(), _verbs()


def english_number(number: int) -> str:
    """The English word for a number from 0 to 99: twenty-two."""
    words = ENGLISH_NUMBERS.split()
    if number < 20:
        return words[number]
    tens, ones = divmod(number, 10)
    return words[18 + tens] + (f"-{words[ones]}" if ones else "")


def german_number(number: int) -> str:
    """The German word for a number from 0 to 99: zweiundzwanzig, with the ones before the tens."""
    words = GERMAN_NUMBERS.split()
    if number < 20:
        return words[number]
    tens, ones = divmod(number, 10)
    first = "ein" if ones == 1 else words[ones]
    return (f"{first}und" if ones else "") + words[18 + tens]


# ---- noun phrases and pronouns ----------------------------------------------------------------------------------


def _ending(table: dict, gender: str, case: str) -> str:
    ending = table[gender].split()[CASES.index(case)]
    return "" if ending == "-" else ending


@dataclass(frozen=True)
class NounPhrase:
    """A determiner, perhaps an adjective, and a noun.

    Args:
        noun: the noun.
        determiner: the, a, no, this, a possessive (my, your, his, her, our), a number from 2 to 99, or None (bare
            plurals and mass nouns). "no" is German "kein" and English "a" or "any" after a negated verb.
        adjective: an adjective or None.
        plural: True for the plural.
    """

    noun: Noun
    determiner: str | int | None = "the"
    adjective: Adjective | None = None
    plural: bool = False

    is_pronoun: ClassVar[Literal[False]] = False

    @property
    def person(self) -> str:
        """3s or 3p."""
        return "3p" if self.plural else "3s"

    @property
    def is_definite(self) -> bool:
        """True after the, this and possessives."""
        return self.determiner in ("the", "this", *POSSESSIVES)

    def english(self, object_form: bool = False) -> str:
        """The English phrase; nouns have no object form of their own."""
        words = [self.adjective.english] if self.adjective else []
        words.append(self.noun.english_plural if self.plural else self.noun.english)
        determiner = self.determiner
        if isinstance(determiner, int):
            words.insert(0, english_number(determiner))
        elif determiner == "no" and (self.plural or self.noun.is_mass):
            words.insert(0, "any")
        elif determiner in ("a", "no"):
            words.insert(0, "an" if words[0][0] in "aeiou" else "a")
        elif determiner == "this":
            words.insert(0, "these" if self.plural else "this")
        elif determiner:
            words.insert(0, determiner)
        return " ".join(words)

    def german(self, case: str) -> str:
        """The German phrase in a case: nominative, accusative or dative."""
        gender = "p" if self.plural else self.noun.gender
        determiner = self.determiner
        if isinstance(determiner, int):
            word, endings = german_number(determiner), STRONG_ENDINGS
        elif determiner is None:
            word, endings = "", STRONG_ENDINGS
        elif determiner == "the":
            word, endings = _ending(DEFINITE_ARTICLE, gender, case), WEAK_ENDINGS
        elif determiner == "this":
            word, endings = "dies" + _ending(DIESER_ENDINGS, gender, case), WEAK_ENDINGS
        else:
            word, endings = EIN_WORDS[determiner] + _ending(EIN_ENDINGS, gender, case), MIXED_ENDINGS
        adjective = self.adjective.stem + _ending(endings, gender, case) if self.adjective else ""
        return " ".join(filter(None, (word, adjective, self._german_noun(case))))

    def _german_noun(self, case: str) -> str:
        if self.plural:
            plural = self.noun.german_plural
            return plural + "n" if case == "dative" and plural[-1] not in "ns" else plural
        if "weak" in self.noun.kinds and case != "nominative":
            return self.noun.german_plural
        return self.noun.german


@dataclass(frozen=True)
class Pronoun:
    """A personal pronoun: the English subject and object forms, and the German forms by case. "you" is German "du"."""

    person: str
    english_forms: tuple
    german_forms: tuple

    is_pronoun: ClassVar[Literal[True]] = True
    is_definite = True

    def english(self, object_form: bool = False) -> str:
        """The English subject form, or the object form."""
        return self.english_forms[object_form]

    def german(self, case: str) -> str:
        """The German form in a case."""
        return self.german_forms[CASES.index(case)]


I = Pronoun("1s", ("I", "me"), ("ich", "mich", "mir"))  # noqa: E741
YOU = Pronoun("2s", ("you", "you"), ("du", "dich", "dir"))
HE = Pronoun("3s", ("he", "him"), ("er", "ihn", "ihm"))
SHE = Pronoun("3s", ("she", "her"), ("sie", "sie", "ihr"))
WE = Pronoun("1p", ("we", "us"), ("wir", "uns", "uns"))
THEY = Pronoun("3p", ("they", "them"), ("sie", "sie", "ihnen"))
PRONOUNS = (I, YOU, HE, SHE, WE, THEY)
# "it" takes the gender of the German noun that it stands for.
IT = {
    "m": Pronoun("3s", ("it", "it"), HE.german_forms),
    "f": Pronoun("3s", ("it", "it"), SHE.german_forms),
    "n": Pronoun("3s", ("it", "it"), ("es", "es", "ihm")),
}


def fitting_adjectives(noun: Noun) -> list:
    """The adjectives that can be said of a noun."""
    return [word for word in ADJECTIVES.values() if word.kinds & noun.kinds]


def contradict(first: Adjective, second: Adjective) -> bool:
    """True if the two cannot be said of one thing, or are the same word."""
    return first == second or any(
        {first.english, second.english} <= set(line.split()) for line in CONTRASTS.split("\n")
    )


def pronoun_for(phrase: NounPhrase | Pronoun) -> Pronoun:
    """The pronoun for a noun phrase mentioned before: natural gender for people in English, grammatical in German."""
    if phrase.is_pronoun:
        return phrase
    if phrase.plural:
        return THEY
    if "person" in phrase.noun.kinds:
        return {"m": HE, "f": SHE}[phrase.noun.gender]
    return IT[phrase.noun.gender]


def preposition(word: str, phrase: NounPhrase | Pronoun, case: str) -> str:
    """A German preposition with its phrase, contracted where German does so: im, ins, zum, zur."""
    text = f"{word} {phrase.german(case)}"
    if not phrase.is_pronoun and phrase.determiner == "the":
        for long, short in CONTRACTIONS.items():
            if text.startswith(long + " "):
                return short + text[len(long) :]
    return text


# ---- clauses ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clause:
    """One clause with a full verb, without its word order.

    Args:
        subject, verb: who does what.
        object: the object in the verb's case (the accusative one if it takes both), or None.
        receiver: the dative object of a verb that takes both, or None.
        complement: a prepositional phrase as (English, German), or None.
        time, adverb: (English, German) or None. ``adverb`` stands before the English verb (often).
        tense: present, or past (German perfect). Not used with a modal.
        modal: a key of MODALS or None.
        negated: with "not"; German "kein" if the object's determiner is "no", else "nicht".
        fronted: the time comes first, with inversion in German.
    """

    subject: NounPhrase | Pronoun
    verb: Verb
    object: NounPhrase | Pronoun | None = None
    receiver: NounPhrase | Pronoun | None = None
    complement: tuple | None = None
    time: tuple | None = None
    adverb: tuple | None = None
    tense: str = "present"
    modal: str | None = None
    negated: bool = False
    fronted: bool = False


def _join(*words: str) -> str:
    return " ".join(word for word in words if word)


def _english_predicate(clause: Clause, verb_form: str) -> str:
    """The verb form with all that follows it."""
    verb, separator, particle = verb_form.partition("+")
    verb = verb.replace("_", " ")
    words = [verb, particle]
    if clause.object:
        thing = clause.object.english(object_form=True)
        words = [verb, thing, particle] if clause.object.is_pronoun else [verb, particle, thing]
        if clause.receiver:
            receiver = clause.receiver.english(object_form=True)
            words = [verb, thing, "to", receiver] if clause.object.is_pronoun else [verb, receiver, thing]
    words.append(clause.complement[0] if clause.complement else "")
    words.append(clause.time[0] if clause.time and not clause.fronted else "")
    return _join(*words)


def _english_auxiliary(clause: Clause, question: bool) -> tuple:
    """The auxiliary (or ""), what stands between it and the verb, and the form of the verb."""
    base, third, past = clause.verb.english
    is_third = clause.subject.person == "3s"
    do = "does" if is_third else "do"
    negation = "not" if clause.negated else ""
    if clause.modal == "want":
        if question or clause.negated:
            return do, _join(negation, "want to"), base
        return "", "wants to" if is_third else "want to", base
    if clause.modal == "can" and clause.negated and not question:
        return "cannot", "", base
    if clause.modal:
        return clause.modal, negation, base
    if question or clause.negated:
        return "did" if clause.tense == "past" else do, negation, base
    return "", "", past if clause.tense == "past" else third if is_third else base


def english_clause(clause: Clause) -> str:
    """The clause as an English statement, without capital letter and full stop."""
    auxiliary, between, form = _english_auxiliary(clause, question=False)
    front = clause.time[0] + "," if clause.time and clause.fronted else ""
    adverb = clause.adverb[0] if clause.adverb else ""
    return _join(front, clause.subject.english(), auxiliary, adverb, between, _english_predicate(clause, form))


def english_question(clause: Clause, question_word: str = "") -> str:
    """The clause as an English question, without capital letter and question mark."""
    auxiliary, between, form = _english_auxiliary(clause, question=True)
    return _join(question_word, auxiliary, clause.subject.english(), between, _english_predicate(clause, form))


def _german_middle(clause: Clause) -> str:
    """What stands between the two parts of the German verb: pronouns first, indefinite objects last."""
    case = "dative" if clause.verb.case == "dative" else "accusative"
    thing, receiver = clause.object, clause.receiver
    thing_text = thing.german(case) if thing else ""
    receiver_text = receiver.german("dative") if receiver else ""
    has_kein = thing is not None and not thing.is_pronoun and thing.determiner == "no"
    is_late = thing is not None and not thing.is_definite
    return _join(
        thing_text if thing and thing.is_pronoun else "",
        receiver_text if receiver and receiver.is_pronoun else "",
        clause.time[1] if clause.time and not clause.fronted else "",
        clause.adverb[1] if clause.adverb else "",
        receiver_text if receiver and not receiver.is_pronoun else "",
        thing_text if thing and not thing.is_pronoun and not is_late else "",
        "nicht" if clause.negated and not has_kein else "",
        clause.complement[1] if clause.complement else "",
        thing_text if is_late else "",
    )


def _german_verb(clause: Clause) -> tuple:
    """The finite verb, and what closes the clause in a main clause: prefix, participle or infinitive."""
    form = FORM[clause.subject.person]
    if clause.modal:
        return MODALS[clause.modal][form], clause.verb.infinitive
    if clause.tense == "past":
        return AUXILIARIES[clause.verb.auxiliary][form], clause.verb.participle
    return clause.verb.german[form], clause.verb.prefix


def german_clause(clause: Clause) -> str:
    """The clause as a German main clause, verb second: a fronted time pushes the subject behind the verb."""
    finite, closing = _german_verb(clause)
    subject = clause.subject.german("nominative")
    middle = _german_middle(clause)
    if clause.time and clause.fronted:
        return _join(clause.time[1], finite, subject, middle, closing)
    return _join(subject, finite, middle, closing)


def german_question(clause: Clause, question_word: str = "") -> str:
    """The clause as a German question, verb first or after the question word."""
    finite, closing = _german_verb(clause)
    return _join(question_word, finite, clause.subject.german("nominative"), _german_middle(clause), closing)


def german_subordinate(clause: Clause) -> str:
    """The clause in the order after "weil", "dass" or "wenn": the finite verb last, a prefix joined to it."""
    finite, closing = _german_verb(clause)
    is_simple = not clause.modal and clause.tense == "present"
    end = closing + finite if is_simple else _join(closing, finite)
    return _join(clause.subject.german("nominative"), _german_middle(clause), end)


@dataclass(frozen=True)
class Copula:
    """A clause with "be": ``english`` and ``german`` are what is said of the subject. Tense: present or past."""

    subject: NounPhrase | Pronoun
    english: str
    german: str
    tense: str = "present"
    negated: bool = False


def english_copula(clause: Copula) -> str:
    """The English clause with am, are, is, was or were."""
    person = clause.subject.person
    if clause.tense == "past":
        be = "was" if person in ("1s", "3s") else "were"
    else:
        be = {"1s": "am", "3s": "is"}.get(person, "are")
    return _join(clause.subject.english(), be, "not" if clause.negated else "", clause.english)


def _german_copula_parts(clause: Copula) -> tuple:
    be = (WAS if clause.tense == "past" else AUXILIARIES["sein"])[FORM[clause.subject.person]]
    return clause.subject.german("nominative"), be, _join("nicht" if clause.negated else "", clause.german)


def german_copula(clause: Copula) -> str:
    """The German main clause with a form of "sein"."""
    subject, be, rest = _german_copula_parts(clause)
    return _join(subject, be, rest)


def german_copula_subordinate(clause: Copula) -> str:
    """The German clause with "sein" last."""
    subject, be, rest = _german_copula_parts(clause)
    return _join(subject, rest, be)


def sentence(text: str, mark: str = ".") -> str:
    """The text as a sentence: capital letter and punctuation mark."""
    return text[0].upper() + text[1:] + mark


# ---- random sentences -------------------------------------------------------------------------------------------

SUBJECT_DETERMINERS = ("the", "the", "the", "a", "my", "your", "his", "her", "our", "this")


class Grammar:
    """Draws sentence pairs from one seeded generator.

    Args:
        seed: any int; the same seed gives the same sequence of pairs.
    """

    def __init__(self, seed: int):
        self._random = random.Random(seed)
        self._patterns = {
            self._statement: 10,
            self._description: 3,
            self._location: 2,
            self._question: 3,
            self._because_of_object: 3,
            self._because_of_subject: 2,
            self._that: 3,
            self._if: 2,
            self._and_pronoun: 2,
            self._age_or_price: 2,
        }

    def pair(self) -> tuple:
        """One English sentence and its German translation."""
        pattern = self._random.choices(list(self._patterns), list(self._patterns.values()))[0]
        return pattern()

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _noun(self, kinds: frozenset[str]) -> Noun:
        return self._random.choice([noun for noun in NOUNS.values() if noun.kinds & kinds])

    def _adjective(self, noun: Noun) -> Adjective:
        return self._random.choice(fitting_adjectives(noun))

    def _phrase(
        self,
        kinds: Iterable[str],
        determiners: Sequence[str | None] = SUBJECT_DETERMINERS,
        adjective: float = 0.4,
        plural: float = 0.3,
    ) -> NounPhrase:
        noun = self._noun(frozenset(kinds))
        determiner: str | int | None = self._random.choice(determiners)
        # "meine Frau" is my wife, not my woman.
        if determiner in POSSESSIVES and noun.english in ("man", "woman"):
            determiner = "the"
        is_plural = not noun.is_mass and self._chance(plural)
        if determiner == "a" and (noun.is_mass or is_plural):
            determiner = None
        # Two thirds of the numbers are small, as in real text.
        if is_plural and determiner is None and self._chance(0.6):
            determiner = self._random.randint(2, 9 if self._chance(0.67) else 99)
        word = self._adjective(noun) if self._chance(adjective) else None
        return NounPhrase(noun, determiner, word, is_plural)

    def _object(self, kinds: Iterable[str]) -> NounPhrase:
        return self._phrase(kinds, ("the", "the", "a", "a", "a", "my", "his", "her", "our", "this"))

    def _subject(self) -> NounPhrase | Pronoun:
        return self._random.choice(PRONOUNS) if self._chance(0.3) else self._phrase(("person",))

    def _other_pronoun(self, subject: NounPhrase | Pronoun) -> Pronoun:
        """An object pronoun that does not mean the subject."""
        speakers: dict[NounPhrase | Pronoun, tuple[Pronoun, ...]] = {I: (I, WE), YOU: (YOU,), WE: (WE, I)}
        same = speakers.get(subject, (HE, SHE, THEY))
        return self._random.choice([pronoun for pronoun in PRONOUNS if pronoun not in same])

    def _place(self) -> tuple:
        place = NounPhrase(self._noun(frozenset({"place"})), "the", plural=False)
        if self._chance(0.2):
            place = replace(place, adjective=self._adjective(place.noun))
        return f"in {place.english()}", preposition("in", place, "dative")

    def _direction(self) -> tuple:
        if self._chance(0.3):
            person = self._phrase(("person",), ("the", "my", "his", "her", "our"), adjective=0.2, plural=0.1)
            return f"to {person.english()}", preposition("zu", person, "dative")
        place = NounPhrase(self._noun(frozenset({"place"})), "the", plural=False)
        return f"into {place.english()}", preposition("in", place, "accusative")

    def _company(self) -> tuple:
        phrase = self._phrase(("person", "animal"), ("the", "a", "my", "his", "her", "our"))
        return f"with {phrase.english()}", preposition("mit", phrase, "dative")

    def _complement(self, verb: Verb) -> tuple | None:
        makers = {"place": self._place, "direction": self._direction, "company": self._company}
        kind = self._random.choice(sorted(verb.kinds))
        return makers[kind]() if kind in makers else None

    def _clause(self, verb: Verb | None = None, subject: NounPhrase | Pronoun | None = None) -> Clause:
        """A clause with everything but a time."""
        verb = verb or self._random.choice(list(VERBS.values()))
        subject = subject or self._subject()
        thing = receiver = complement = None
        if verb.case == "none":
            if self._chance(0.75):
                complement = self._complement(verb)
        else:
            is_person = verb.kinds == {"person"}
            thing = self._other_pronoun(subject) if is_person and self._chance(0.3) else self._object(verb.kinds)
            if verb.case == "both":
                is_short = self._chance(0.3)
                receiver = self._other_pronoun(subject) if is_short else self._phrase(("person",), adjective=0.2)
            elif self._chance(0.2) and not verb.present_only:
                complement = self._place()
        clause = Clause(subject, verb, thing, receiver, complement)
        if verb.present_only:
            pass
        elif self._chance(0.3):
            clause = replace(clause, modal=self._random.choice(list(MODALS)))
        elif self._chance(0.45):
            clause = replace(clause, tense="past")
        if self._chance(0.15):
            clause = self._negate(clause)
        elif not clause.modal and not verb.present_only and self._chance(0.12):
            clause = replace(clause, adverb=self._random.choice(ADVERBS))
        return clause

    @staticmethod
    def _negate(clause: Clause) -> Clause:
        """The negated clause; unchanged where the two languages do not mean the same (must not, two books)."""
        thing = clause.object
        if clause.modal == "must" or (thing and not thing.is_pronoun and isinstance(thing.determiner, int)):
            return clause
        if thing and not thing.is_pronoun and thing.determiner in ("a", None):
            clause = replace(clause, object=replace(thing, determiner="no"))
        return replace(clause, negated=True)

    def _with_time(self, clause: Clause, may_front: bool = True) -> Clause:
        if clause.adverb or clause.verb.present_only:
            return clause
        time = self._random.choice(TIMES["modal" if clause.modal else clause.tense])
        # "nicht" and a time between verb and object would compete; in front there is no doubt.
        must_front = clause.negated and clause.object is not None
        if must_front and not may_front:
            return clause
        return replace(clause, time=time, fronted=must_front or (may_front and self._chance(0.5)))

    def _statement(self) -> tuple:
        clause = self._clause()
        if self._chance(0.5):
            clause = self._with_time(clause)
        return sentence(english_clause(clause)), sentence(german_clause(clause))

    def _question(self) -> tuple:
        clause = replace(self._clause(), adverb=None)
        while clause.negated:
            clause = replace(self._clause(), adverb=None)
        if self._chance(0.3):
            clause = self._with_time(clause, may_front=False)
        english, german = ("why", "warum") if self._chance(0.3) else ("", "")
        return sentence(english_question(clause, english), "?"), sentence(german_question(clause, german), "?")

    def _said_of(self, phrase: NounPhrase | Pronoun, tense: str = "present", negation: float = 0.2) -> Copula:
        """A clause that gives the phrase an adjective, one that does not contradict its own."""
        words = fitting_adjectives(NOUNS["man"] if phrase.is_pronoun else phrase.noun)
        if not phrase.is_pronoun and phrase.adjective:
            others = [word for word in words if not contradict(word, phrase.adjective)]
            if not others:
                phrase = replace(phrase, adjective=None)
            words = others or words
        word = self._random.choice(words)
        return Copula(phrase, word.english, word.german, tense, self._chance(negation))

    def _description(self) -> tuple:
        kinds = ("person", "animal", "thing", "openable", "food", "readable", "place")
        phrase = self._phrase(kinds, ("the", "my", "your", "his", "her", "our", "this"))
        clause = self._said_of(phrase, self._random.choice(("present", "past")))
        return sentence(english_copula(clause)), sentence(german_copula(clause))

    def _location(self) -> tuple:
        subject = self._phrase(("small", "animal"), ("the", "my", "his", "her", "our", "this"))
        base = self._phrase(("furniture",), ("the", "the", "a", "my", "our"), plural=0.15)
        english, german = self._random.choice(LOCATIONS)
        clause = Copula(
            subject,
            f"{english} {base.english()}",
            preposition(german, base, "dative"),
            self._random.choice(("present", "past")),
        )
        return sentence(english_copula(clause)), sentence(german_copula(clause))

    def _definite(self, kinds: Iterable[str]) -> NounPhrase:
        """A definite phrase that a pronoun can take up. "Kind" and "Mädchen" are out: he or she, but German es."""
        while True:
            phrase = self._phrase(kinds, ("the", "the", "my", "his", "her", "this"))
            if phrase.plural or "person" not in phrase.noun.kinds or phrase.noun.gender != "n":
                return phrase

    def _buying(self) -> Verb:
        return VERBS[self._random.choice(("buy", "sell", "need", "look for", "find", "carry", "wash"))]

    def _because_of_object(self) -> tuple:
        """The woman buys the lamp because it is beautiful."""
        verb = self._buying()
        thing = self._definite(verb.kinds - {"person", "animal"})
        clause = Clause(self._subject(), verb, thing, negated=self._chance(0.2))
        reason = self._said_of(thing)
        reason = replace(reason, subject=pronoun_for(thing))
        return (
            sentence(f"{english_clause(clause)} because {english_copula(reason)}"),
            sentence(f"{german_clause(clause)}, weil {german_copula_subordinate(reason)}"),
        )

    def _because_of_subject(self) -> tuple:
        """The man sleeps because he is tired, or the reason first."""
        subject = self._random.choice(PRONOUNS) if self._chance(0.3) else self._definite(("person",))
        verbs = [verb for verb in VERBS.values() if verb.case == "none"]
        clause = replace(self._clause(self._random.choice(verbs), subject), adverb=None)
        tense = "past" if clause.tense == "past" and not clause.modal else "present"
        reason = self._said_of(subject, tense)
        short = pronoun_for(subject)
        if self._chance(0.5):
            clause = replace(clause, subject=short)
            # The reason is the first element of the sentence, so the verb comes next.
            return (
                sentence(f"because {english_copula(reason)}, {english_clause(clause)}"),
                sentence(f"weil {german_copula_subordinate(reason)}, {german_question(clause)}"),
            )
        reason = replace(reason, subject=short)
        return (
            sentence(f"{english_clause(clause)} because {english_copula(reason)}"),
            sentence(f"{german_clause(clause)}, weil {german_copula_subordinate(reason)}"),
        )

    def _that(self) -> tuple:
        subject = self._subject()
        base, third, forms = self._random.choice(MATRIX_VERBS)
        clause = self._clause()
        if self._chance(0.3):
            clause = self._with_time(clause, may_front=False)
        english = third if subject.person == "3s" else base
        german = forms[FORM[subject.person]]
        return (
            sentence(f"{subject.english()} {english} that {english_clause(clause)}"),
            sentence(f"{subject.german('nominative')} {german}, dass {german_subordinate(clause)}"),
        )

    def _if(self) -> tuple:
        condition = replace(self._clause(), tense="present", modal=None, adverb=None)
        result = replace(self._clause(), tense="present", adverb=None)
        return (
            sentence(f"if {english_clause(condition)}, {english_clause(result)}"),
            sentence(f"wenn {german_subordinate(condition)}, {german_question(result)}"),
        )

    def _and_pronoun(self) -> tuple:
        """The apple is fresh, and the man buys it."""
        verb = self._random.choice([verb for verb in VERBS.values() if verb.case in ("accusative", "dative")])
        thing = self._definite(verb.kinds)
        first = self._said_of(thing)
        subject = self._phrase(("person",), ("the", "my", "our"), adjective=0.2)
        second = replace(self._clause(verb, subject), object=pronoun_for(thing), tense="present", adverb=None)
        return (
            sentence(f"{english_copula(first)}, and {english_clause(second)}"),
            sentence(f"{german_copula(first)}, und {german_clause(second)}"),
        )

    def _age_or_price(self) -> tuple:
        number = self._random.randint(2, 99)
        english, german = english_number(number), german_number(number)
        if self._chance(0.5):
            person = self._phrase(("person",), ("the", "my", "his", "her", "our", "this"), plural=0.1)
            clause = Copula(person, f"{english} years old", f"{german} Jahre alt")
            return sentence(english_copula(clause)), sentence(german_copula(clause))
        thing = self._phrase(("thing",), ("the", "my", "his", "her", "this"), plural=0.2)
        costs = ("cost", "kosten") if thing.plural else ("costs", "kostet")
        return (
            sentence(f"{thing.english()} {costs[0]} {english} euros"),
            sentence(f"{thing.german('nominative')} {costs[1]} {german} Euro"),
        )


def generate(sizes: dict, seed: int) -> dict:
    """Sentence pairs for each split: ``{"train": [(english, german), ...], ...}``.

    Args:
        sizes: number of pairs for each split.
        seed: see `Grammar`.

    No English sentence and no German sentence occurs twice in all of them together.

    Raises:
        ValueError: the grammar does not have that many sentences.
    """
    grammar = Grammar(seed)
    seen_english, seen_german = set(), set()
    splits: dict[str, list[tuple[str, str]]] = {}
    for name, size in sizes.items():
        pairs = splits[name] = []
        repeats = 0
        while len(pairs) < size:
            english, german = grammar.pair()
            if english in seen_english or german in seen_german:
                repeats += 1
                # So many repeats in a row mean that there is hardly anything new left to draw.
                if repeats > 10000:
                    raise ValueError(f"the grammar does not have enough sentences for {name} ({size} pairs)")
                continue
            repeats = 0
            seen_english.add(english)
            seen_german.add(german)
            pairs.append((english, german))
    return splits


def write(splits: dict, folder: str) -> None:
    """Write ``NAME.en`` and ``NAME.de`` of each split into ``folder``. No file is ever half there."""
    folder = os.path.abspath(folder)
    os.makedirs(folder, exist_ok=True)
    part = tempfile.mkdtemp(dir=folder, prefix=".demo.", suffix=".part")
    try:
        names = []
        for split, pairs in splits.items():
            for side, suffix in enumerate(("en", "de")):
                names.append(f"{split}.{suffix}")
                with open(os.path.join(part, names[-1]), "w", encoding="utf-8", newline="\n") as file:
                    file.writelines(pair[side] + "\n" for pair in pairs)
        for name in names:
            os.replace(os.path.join(part, name), os.path.join(folder, name))
    finally:
        shutil.rmtree(part)


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Generate the demo's English-German corpus.")
    parser.add_argument(
        "out_dir", metavar="OUT_DIR", help="folder for train.en, train.de, valid.en, ...; made if missing"
    )
    for split, size in SIZES.items():
        parser.add_argument(f"--{split}", type=int, default=size, metavar="N", help=f"pairs for {split} ({size})")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N", help="the same seed gives the same corpus (1)")
    args = parser.parse_args(argv)
    sizes = {split: getattr(args, split) for split in SIZES}
    for split, size in sizes.items():
        if size < 1:
            parser.error(f"--{split} must be at least 1, got {size}")
    try:
        splits = generate(sizes, args.seed)
        write(splits, args.out_dir)
    except ValueError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{parser.prog}: error: {args.out_dir}: cannot be written ({error.strerror})", file=sys.stderr)
        return 1
    print(f"{args.out_dir}: " + ", ".join(f"{name} {len(pairs)} pairs" for name, pairs in splits.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
