"""What the benchmark's worlds are about: kinds of things with two slots each, and things that may hold any word.

All of it is invented. The values of a slot belong to the kind (bridges have stones, feasts have months), so that rows
about one kind have something in common that can be lent; a *planted* value is a word that the kind never has by itself,
but that chests, stalls, doors and songs hold, so that a word search finds them as well as its sources.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CARRIERS", "CONCEPTS", "NUMBERS", "PLANTED", "Carrier", "Concept"]


@dataclass(frozen=True)
class Concept:
    """Things of one kind; `{e}` is the thing, `{v}` a value.

    Attributes:
        thing: How one is called, `{n}` its name.
        values: What the first slot holds by nature.
        statements: Sentences that tell it.
        asked: Questions for it; rows use all but the last, queries the last.
        told: Answers to them.
        other_asked: Questions for the second slot, a number, in words like those of the queries' question.
        other_told: Their answers.
    """

    thing: str
    values: tuple[str, ...]
    statements: tuple[str, ...]
    asked: tuple[str, ...]
    told: tuple[str, ...]
    other_asked: tuple[str, ...]
    other_told: tuple[str, ...]


@dataclass(frozen=True)
class Carrier:
    """Something that may hold any two words `{v}` and `{w}`."""

    thing: str
    statement: str
    asked: str
    told: str


NUMBERS = tuple("two three four five six seven eight nine ten eleven".split())

CONCEPTS = (
    Concept(
        "{n} bridge",
        tuple("slate granite limestone flint brick marble".split()),
        ("The {e} is built of {v}.", "Masons raised the {e} from {v}."),
        (
            "What is the {e} built of?",
            "Which stone did masons use for the {e}?",
            "Name the stone of the {e}.",
            "The {e} stands on which stone?",
        ),
        ("The {e} is built of {v}.", "Masons used {v} for it.", "Its stone is {v}."),
        ("The {e} stands on how many arches?", "How many arches has the {e}?"),
        ("It stands on {v} arches.", "The {e} has {v} arches."),
    ),
    Concept(
        "{n} crown",
        tuple("gold silver iron tin brass nickel".split()),
        ("The {e} is cast in {v}.", "Smiths poured {v} for the {e}."),
        (
            "What metal is the {e} cast in?",
            "Which metal did smiths pour for the {e}?",
            "Name the metal of the {e}.",
            "The {e} shines with which metal?",
        ),
        ("The {e} is cast in {v}.", "Smiths poured {v} for it.", "Its metal is {v}."),
        ("The {e} shines with how many jewels?", "How many jewels has the {e}?"),
        ("It shines with {v} jewels.", "The {e} has {v} jewels."),
    ),
    Concept(
        "{n} schooner",
        tuple("oak pine elm teak larch beech".split()),
        ("The {e} is made of {v}.", "Shipwrights cut {v} for the {e}."),
        (
            "What wood is the {e} made of?",
            "Which wood did shipwrights cut for the {e}?",
            "Name the wood of the {e}.",
            "The {e} sails on which wood?",
        ),
        ("The {e} is made of {v}.", "Shipwrights cut {v} for it.", "Its wood is {v}."),
        ("The {e} sails on how many masts?", "How many masts has the {e}?"),
        ("It sails on {v} masts.", "The {e} has {v} masts."),
    ),
    Concept(
        "{n} feast",
        tuple("January March May July September November".split()),
        ("The {e} is held in {v}.", "People keep the {e} every {v}."),
        (
            "When is the {e} held?",
            "In which month do people keep the {e}?",
            "Name the month of the {e}.",
            "The {e} comes with which month?",
        ),
        ("The {e} is held in {v}.", "People keep it in {v}.", "Its month is {v}."),
        ("The {e} comes with how many dances?", "How many dances has the {e}?"),
        ("It comes with {v} dances.", "The {e} has {v} dances."),
    ),
    Concept(
        "{n} inn",
        tuple("ale cider mead stout porter perry".split()),
        ("The {e} pours {v}.", "Guests of the {e} drink {v}."),
        (
            "What does the {e} pour?",
            "Which drink do guests get at the {e}?",
            "Name the drink of the {e}.",
            "The {e} is known for which drink?",
        ),
        ("The {e} pours {v}.", "Guests get {v} there.", "Its drink is {v}."),
        ("The {e} is known for how many rooms?", "How many rooms has the {e}?"),
        ("It is known for {v} rooms.", "The {e} has {v} rooms."),
    ),
    Concept(
        "{n} guild",
        tuple("weaving pottery tanning baking joinery printing".split()),
        ("The {e} teaches {v}.", "Members of the {e} live by {v}."),
        (
            "What does the {e} teach?",
            "Which craft do members of the {e} live by?",
            "Name the craft of the {e}.",
            "The {e} keeps which craft?",
        ),
        ("The {e} teaches {v}.", "Members live by {v}.", "Its craft is {v}."),
        ("The {e} keeps how many halls?", "How many halls has the {e}?"),
        ("It keeps {v} halls.", "The {e} has {v} halls."),
    ),
    Concept(
        "{n} garden",
        tuple("roses lilies tulips violets poppies daisies".split()),
        ("The {e} is full of {v}.", "Gardeners plant {v} in the {e}."),
        (
            "What is the {e} full of?",
            "Which flowers do gardeners plant in the {e}?",
            "Name the flowers of the {e}.",
            "The {e} opens with which flowers?",
        ),
        ("The {e} is full of {v}.", "Gardeners plant {v} there.", "Its flowers are {v}."),
        ("The {e} opens with how many gates?", "How many gates has the {e}?"),
        ("It opens with {v} gates.", "The {e} has {v} gates."),
    ),
    Concept(
        "{n} banner",
        tuple("red blue green white black yellow".split()),
        ("The {e} is dyed {v}.", "Dyers chose {v} for the {e}."),
        (
            "What colour is the {e} dyed?",
            "Which colour did dyers choose for the {e}?",
            "Name the colour of the {e}.",
            "The {e} flies in which colour?",
        ),
        ("The {e} is dyed {v}.", "Dyers chose {v} for it.", "Its colour is {v}."),
        ("The {e} flies in how many strips?", "How many strips has the {e}?"),
        ("It flies in {v} strips.", "The {e} has {v} strips."),
    ),
    Concept(
        "{n} soup",
        tuple("thyme parsley dill basil mint sage".split()),
        ("The {e} is seasoned with {v}.", "Cooks stir {v} into the {e}."),
        (
            "What is the {e} seasoned with?",
            "Which herb do cooks stir into the {e}?",
            "Name the herb of the {e}.",
            "The {e} smells of which herb?",
        ),
        ("The {e} is seasoned with {v}.", "Cooks stir {v} into it.", "Its herb is {v}."),
        ("The {e} smells of how many onions?", "How many onions go into the {e}?"),
        ("It smells of {v} onions.", "The {e} takes {v} onions."),
    ),
    Concept(
        "{n} finch",
        tuple("reeds cliffs hedges barns burrows steeples".split()),
        ("The {e} nests in {v}.", "Watchers look for the {e} among {v}."),
        (
            "Where does the {e} nest?",
            "In what do watchers find the {e}?",
            "Name the nesting place of the {e}.",
            "The {e} sings from which place?",
        ),
        ("The {e} nests in {v}.", "Watchers find it in {v}.", "Its place is {v}."),
        ("The {e} sings from how many notes?", "How many notes has the {e}?"),
        ("It sings {v} notes.", "The {e} has {v} notes."),
    ),
)

CARRIERS = (
    Carrier(
        "{n} chest", "The {e} holds {v} and {w}.", "What does the {e} hold?", "The {e} holds {v} and {w}."
    ),
    Carrier(
        "{n} stall", "The {e} sells {v} and {w}.", "What can one buy at the {e}?", "The {e} sells {v} and {w}."
    ),
    Carrier(
        "{n} door", "The {e} shows {v} and {w}.", "What is carved on the {e}?", "The {e} shows {v} and {w}."
    ),
    Carrier(
        "{n} song", "The {e} praises {v} and {w}.", "What does the {e} praise?", "The {e} praises {v} and {w}."
    ),
)  # fmt: skip

PLANTED = tuple(
    "amber anchors apples arrows barley beads bells bones bottles brooms buttons candles carpets cheese chalk cherries "
    "cinders clocks clover cobalt copper coral cork cotton crystal dates drums ebony feathers figs flax ginger glass "
    "hazel honey horn incense indigo ivory jade kelp lace lamps lanterns leather lentils linen maps mirrors moss needles "
    "nets olives onyx opal pearls pepper pewter plums quartz quills raisins resin ribbons rice ropes ruby saffron salt "
    "sand seaweed shells silk soap spoons sugar sulphur tar tassels thread tiles topaz turquoise velvet vinegar walnuts "
    "wax wheat willow wool zinc".split()
)
"""Words that rows plant where they do not belong; distinct over the worlds as far as they reach."""
