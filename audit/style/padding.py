"""How much of an answer is style: words that hold it together, hold it back, or say the instruction again; English.

Counted are discourse markers, set phrases and hedges that could go without loss; *frames* around a statement ("it could be
argued that", "there is no doubt that"); and all words of *empty sentences*: those that hold no word of matter that does not
stand in the instruction already, apart from words such as "many" or "ways", of which they hold at least one ("There are many
ways to save water." after "How can I save water?"), and of *empty clauses*, which stand before the first comma of a sentence
or behind its last, and hold no word of matter at all. Frames are a grammar of words, searched as a pattern over a text of one
character per token. No definition of the share of style was published; this one is ours, columnar, two seconds for twenty
thousand answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from audit.style.lexicon import EMPTY_WORDS, StyleKind, word_kinds
from indexes.words import WordStream

__all__ = ["Padding", "padding_of"]

# Markers and hedges that carry matter: they bring an example, a contrast, a cause or a quantity.
_OF_MATTER = frozenset(
    "such as|as well as|for example|for instance|here are|here is|instead|otherwise|sure|on the other hand|on the one hand|"
    "in contrast|by contrast|therefore|thus|hence|finally|depending on|often|sometimes|usually|approximately|roughly|likely|"
    "unlikely|could be|kind of|sort of|similarly|likewise|meanwhile|consequently|specifically|as a result|in fact|uncertain|"
    "unclear|various|numerous|not known|may|might|is said to|are said to|reportedly|allegedly|in most cases|in some cases|"
    "in many cases|not only|but also|suggests that|suggest that|in terms of|a range of|with respect to|with regard to|"
    "typically|generally|presumably|tend to|tends to|seem|seems|seemed|appears to|appear to|and so on|in order to|"
    "make sure to|be sure to|don't forget to".split("|")
)
# Words of little matter beside EMPTY_WORDS, which the mending of answers uses, too.
_LITTLE = frozenset(
    "hard topic topics subject subjects matter matters issue issues area areas field fields point points fact facts idea "
    "ideas concept concepts significance significant significantly role roles part parts depend depends depending "
    "individual individuals circumstance circumstances situation situations case cases complex complicated multifaceted "
    "nuanced various varied varying vary varies diverse wide range broad world today life lives society day days everyday "
    "daily modern fast paced ever changing era times nowadays everyone everybody anyone anybody somebody nobody everything "
    "anything something nothing whole entire general generally overall basically essentially ultimately really truly simply "
    "actually quite rather indeed course always never often sometimes perhaps maybe much many less least little bit great "
    "greatly big huge vast countless numerous plenty multiple host plays play playing played vital crucial critical "
    "fundamental integral central major minor necessary imperative paramount invaluable valuable value worth worthwhile "
    "worthy useful helpful interesting fascinating remarkable impressive meaningful relevant possible impossible likely "
    "true truth reality real clear clearly obvious obviously evident doubt question questions deny denying denied said say "
    "says saying telling mention mentioned mentioning noted noting notes remembered remembering remembers emphasize "
    "emphasized emphasizing emphasise emphasised stress stressed stressing overstate overstated understate understated "
    "underestimate underestimated overlook overlooked forget forgotten ignore ignored enough discuss discussed discussing "
    "discussion talk talking describe described explained explain explanation understand understanding understood know "
    "knows known knowing knowledge aware awareness think thinking thought thoughts believe believed agree agreed argue "
    "argued argument opinion opinions view bear bearing kept keeping mind minds account consideration considerations "
    "considers decision decisions decide deciding choice choices choose choosing informed make makes sense come comes "
    "coming came goes go going gone look looks looking looked see seen seeing seems seem appear appears find found finding "
    "give gives given giving want wants wanted like likes begin beginning start starts starting end ends ending continue "
    "continues follow follows followed mean means meaning approach approaches method methods option options possibility "
    "possibilities solution solutions result results outcome outcomes impact impacts influence effect effects affect "
    "affects difference differences differ unique special own personal respective involve involves involved involving "
    "component components element elements feature features quality qualities characteristic characteristics detail details "
    "information context level levels extent degree respect regard regards regarding related relevance attention carefully "
    "careful properly proper appropriate appropriately suitable suit suits effective effectively efficient successfully "
    "success successful positive negative goal goals purpose purposes better improve improving improved enhance enhances "
    "enhancing beneficial ideal perfect excellent wonderful amazing popular common commonly widely increasingly become "
    "becomes becoming became remain remains remained long short run term time once while yet still even though however "
    "hence therefore back far close deep deeper closer sides side offer offers offering bring brings brought allow allows "
    "allowing enable enables serve serves dive delve explore exploring exploration covered cover covers touch touched above "
    "below previously earlier conclusion conclude concluding summary sum summarize first foremost last final finally lastly "
    "next another others hopefully please feel free hope clearer picture overview brief introduction insight insights "
    "journey endless simple easy easily difficult challenge challenges challenging straightforward interested wonder "
    "wondering surprise surprising surprised put regardless either whatever whichever whoever wherever whenever nature "
    "scheme present past future rich full important unimportant necessarily exactly particularly especially mostly mainly "
    "largely usually typically perfectly completely totally entirely fully highly extremely deeply strongly definitely "
    "certainly undoubtedly surely absolutely ok okay yes no lot lots stuff sort sorts live living deal deals deserve "
    "deserves deserved deserving repeat repeated repeating ask asked asks asking being people realize realized notice "
    "noticed noteworthy appreciate appreciated apply applies applied share shares shared exist exists existence sphere "
    "spheres undeniable undeniably unquestionable contemporary cornerstone testament landscape realm tapestry recap wrap "
    "takeaway takeaways sound sounds debate debates debated undoubted someone else doing done does yourself cannot".split()
)
_EMPTY = EMPTY_WORDS | _LITTLE
_PERSONAL = frozenset('i me my he him his she her ? "'.split())
"""Sentences with one of these are talk or a story, ask something or speak of a word: none is empty in the wide sense."""
_MIN_CLAUSE_WORDS, _MIN_CLAUSE_LOOSE = 4, 2
_MIN_RUN_WORDS = 4
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "er", "ed", "es", "ly", "s", "e", "y")
_MIN_STEM = 3
_MAX_PROMPT_WORDS = 30
"""Longer prompts hold a text to on, whose an answer has to use."""
_MIN_SENTENCE_WORDS = 4

_FIRST_CODE = 0xE000  # characters for private use
_ADV = "(LY|also|very|always|often|just|quite|so|well|perhaps|again|then|still|really|even|both|equally|almost|of course)*"
_ARE = (
    "(is|' s|was|(can|could|may|might|must|should|would|will|has to|ought to|needs to) "
    f"{_ADV} be|seems|remains|has {_ADV} been)"
)
_WEIGHTY = (
    "(important|crucial|essential|vital|key|critical|necessary|imperative|significant|interesting|helpful|useful|worth|"
    "worthwhile|safe|fair|clear|obvious|evident|true|possible|plausible|reasonable|natural|undeniable|apparent|wise|easy|"
    "common|tempting|hard|difficult|impossible|no exaggeration|no (secret|surprise|wonder|coincidence|accident)|"
    "(well|common|widely|generally) (known|knowledge)|(a|an) LY? (well)? (known|simple|important|established) fact)"
)
_SAY = (
    "(say|note|argue|mention|emphasize|emphasise|remember|stress|add|point out|state|claim|observe|recall|highlight|underline|"
    "underscore|(keep|bear) (it)? in mind|acknowledge|recognize|recognise|understand|realize|realise|know|believe|think|"
    "assume|accept|agree|consider|suggest|see|reiterate|repeat|conclude|admit|appreciate|reflect|forget|deny|overlook|ignore|"
    "be aware|contend|maintain|take into (account|consideration)|make (it)? clear|imagine|expect|suppose|wonder)"
)
_SAYING = (
    "(saying|noting|mentioning|emphasizing|emphasising|remembering|stressing|adding|pointing out|stating|observing|recalling|"
    "highlighting|underlining|(keeping|bearing) in mind|acknowledging|recognizing|recognising|understanding|considering|"
    "reiterating|repeating|reflecting|knowing)"
)
_SAID = (
    "(said|noted|argued|mentioned|emphasized|emphasised|remembered|stressed|added|pointed out|stated|claimed|observed|"
    "recalled|highlighted|underlined|underscored|(kept|borne) in mind|acknowledged|recognized|recognised|understood|"
    "known|believed|thought|assumed|accepted|agreed|considered|suggested|seen|reiterated|repeated|concluded|admitted|"
    "appreciated|forgotten|denied|overlooked|contended|made clear|imagined|expected)"
)
_WHO = (
    "(one|we|you|i|people|many|some|most|everyone|everybody|anyone|few|no one|nobody|many people|some people|"
    "most people|most of us|all of us|we all|readers|a lot of people)"
)
_WOULD = (
    "(should|might|could|may|can|must|would|will|shall|have to|has to|need to|needs to|ought to|do|cannot|"
    "would like to|would have to|can ' t|should ' t|shouldn ' t|must ' t|mustn ' t|couldn ' t)"
)
_THAT = "(the fact)? that"
# Words stand for themselves, capitals for a class of tokens, braces for the lists above; a stop is any of .!?;:.
_FRAMES = rf"""
it {_ADV} {_ARE} {_ADV} (not)? {_WEIGHTY} (enough)? (for (us|one|anyone|everyone|you|people|all of us))?
    (to {_ADV} {_SAY}|{_SAYING})? (here)? {_THAT} |
it {_ADV} {_ARE} {_ADV} (not)? (to be)? (often|widely|generally)? {_SAID} (here|again|at this point|by (many|some|most|
    all))? {_THAT} |
it {_ADV} (goes without saying|stands to reason|bears {_SAYING}|merits {_SAYING}|deserves (to be)? ({_SAYING}|{_SAID}))
    (again)? (that)? |
it (should|may|might|will|would)? (come|comes) as (no|little) (great)? surprise (to (anyone|many|most))? (that)? |
it {_ADV} {_ARE} {_ADV} the case that | it {_ADV} {_ARE} {_ADV} (hard|difficult|impossible) to
    (overstate|overemphasize|overestimate|exaggerate|stress enough) (how (important|LY) (this|that|it) is)? |
it (would|might|may|could|does)? {_ADV} (seems|seem|appears|appear) (to be (the
    case|true))?
    (that|as though|as if) |
it (can|could|must|should|may) (not|never) be {_SAID} (enough)? {_THAT} | it cannot be {_SAID} (enough|strongly enough)?
    {_THAT} |
({_WHO} {_ADV} ({_WOULD} (not|never)? {_ADV} (like to|want to|go so far as to|be inclined to|be tempted to|{_ADV})? {_SAY})
    ({_ADV}|too|with the idea|with the view)? {_THAT}) |
(let us|let ' s) {_ADV} (not|never)? {_SAY} (too|also)? ({_THAT})? |
it is (my|our|the common|a common|the general) (LY)? (understanding|belief|opinion|view|feeling|experience|contention)
    that | at (its|the|their) (very)? (core|heart|root|essence) , |
BEGIN (and|but|so)? (please|also|always|just|do|never|let us|let ' s)* ((not|don ' t) (forget|overlook))?
    (note|remember|(keep|bear) in mind|be aware|rest assured|be assured|forget|recall) (again|here|too|also)? , ? (always)?
    {_THAT} |
there (is|can be|' s|could be|remains|exists) {_ADV} (no|little|not any|hardly any|scarcely any|not the slightest) LY?
    (real|shadow of a)? (doubt|question|denying|mistaking|disputing|escaping|debate|secret|arguing|reason to doubt)
    (whatsoever|at all|in my mind|in anyone ' s mind)? (about|of|but|with)? (the fact)? (that)? |
(without|beyond) (a|any|the)? (slightest|single|shadow of a)? (doubt|question) | no doubt (about it)? (that)? |
(no one|nobody|few|few people|nobody at all) (can|could|would|will) LY? (deny|dispute|doubt|disagree|argue)
    (with)? {_THAT} |
needless to say | make no mistake (about (it|this|that))? | rest assured | mark my words |
(undoubtedly|unquestionably|undeniably|indisputably|indubitably) | as a matter of (fact|course) | in (actual|point of) fact |
the (simple|plain|honest|hard|basic|actual)? (fact|truth|reality|point|bottom line|thing) (of the matter)?
    (here)? is (simply|LY)? , ? that |
what (this|that|it|all of this|this all) LY? (means|tells us|shows us|shows|amounts to|boils down to) is (that)? |
what (is|' s|one|we|you|everyone) {_ADV} (most)? ({_WEIGHTY}|({_WOULD} {_ADV} {_SAY})) (to {_SAY})? (here|about this|above
    all)? is that |
(a|an|one|another|the|this|that) {_ADV} (first|second|third|next|last|final|other|main|most|key|more|{_WEIGHTY})*
    (point|thing|fact|aspect|consideration|factor|observation)
    (here|worth {_SAYING}|worthy of (note|mention)|to {_ADV} {_SAY}|to make|that (should|must|can|could|needs to|has to) be
    {_SAID})
    (here|about (this|it))? (is|would be) (that)? |
with (all)? (that|this|these points|these things|all of this) (being)? (said|in mind) | that (being|having been) said |
having said (all)? (that|this) | be that as it may | as it happens | all (the)? same |
(at|when) the end of the day | when all is said and done | in (one|some) (way|form|shape) or (another|other|the other) |
one way or (another|the other) | so to speak | as it were | if you will | as they say | as the saying goes |
in a (certain|very real|broad|general|manner of|sense and a)? (sense|way|manner of speaking|word) , |
in (some|many|certain|most|a number of|various|several|all|more) (ways|senses|respects|regards) (than one)? |
(in|within) every sense of the (word|term) | (to|in) (some|a certain|one|a great|a large|a greater or lesser|any)
    (extent|degree) (or (another|other))? | to one (extent|degree) or another |
by and large | for all intents and purposes | to all intents and purposes | more often than not | all things considered |
(everything|all this|all of this|all that) considered | taking everything into (account|consideration) |
in the (grand|greater|larger) scheme of things | in the (final|last) analysis | on the whole | at large |
as (we|you|one|most people|many|everyone|anyone) (all)? (LY|may|might|can|will|would|could|well|already|have|no doubt|likely)*
    (know|knows|see|imagine|expect|guess|tell|agree|be aware|(be)? aware|noticed|guessed|gathered) |
as (has|have|was|is)? (already|previously|LY)? (been)? (mentioned|stated|noted|said|discussed|explained|described|seen)
    (above|earlier|before|previously|already|at the outset)? , |
for what it (is|' s) worth | (if|when) (you|one|we) (really|stop to|stop and|come to|truly|actually)? think about it |
(if|when) (it comes (right)? down to it|you get right down to it) | believe it or not | truth be told | if truth be told |
to (tell the truth|be (perfectly|quite|completely|more|very|absolutely)? (honest|fair|sure|frank|precise|exact|specific)) |
(in all)? (LY) (speaking|put) | in all (honesty|fairness|likelihood|probability|seriousness) |
it all (boils|comes) down to | in any (case|event) | at any rate | in (light|view) of (the fact that|all (of)? this|this|
    the above) |
(due|owing|thanks) to the fact that | (despite|in spite of|because of|given|regardless of|by virtue of|notwithstanding)
    the fact that |
at (this|that|the present|the current) (very)? (point|moment|juncture)? in time | at the present (time|moment) |
in the event that | for the (simple|very|obvious)? reason that | for the purpose of | in the (process|course) of |
to say the (very)? least | to put it (simply|mildly|another way|bluntly|differently|plainly|briefly|in other words|LY) |
put (simply|another way|differently|plainly) | simply put | in (simple|plain|simpler) terms | in a nutshell |
(to make a)? long story short | the long and (the)? short of it (is (that)?)? | to cut a long story short |
as a (general|broad)? rule (of thumb)? | generally speaking | by (its|their|his|her) very nature | in (and)? of (itself|
    themselves) |
first and (foremost|above all) | first (of all|off|things first) | second of all | third of all |
last but (not|by no means|certainly not|LY not) least | in the (first|second|third|fourth) place | to (begin|start) (off)?
    with ,|
(for|as) (a)? (starters|start|final (point|note|thought|remark)|side note|reminder) , | on (a|that) (final|related|similar|
    side)? note |
on top of (all)? (that|this|it all) | what (is|' s) more , | if nothing else | above all (else)? | not to mention | all in all |
and the like | or (something|anything) (like that|of (that|the) (sort|kind)) | and (all)? (that|things) (sort|kind|like
    that) (of thing)? |
if (i|we|one) may (say so|be so bold)? | in my (humble|honest|personal) opinion | as i see it | the way i see it |
from (my|a|this|that|any|a certain) (own|personal|general)? (point of view|perspective|standpoint) , | as far as (this|that|
    it|i)
    (can tell|goes|is concerned|am concerned) | if anything | in no small (part|measure) | in large (part|measure) |
(when|where) (it|this|that) (is|comes to) (all)? (said|concerned) | it is (what it is|no more and no less than that) |
BEGIN (obviously|clearly|basically|honestly|frankly|admittedly|naturally|evidently|actually|literally|surely|truly|plainly|
    interestingly|notably|crucially|significantly|as always|as ever|in truth|in reality|without fail|simply|arguably|
    in effect|after all|as such|to be clear|again|and yes|of note|in particular|in this (regard|respect|sense|context|way)|
    in that (regard|respect|sense)) ,
"""


@dataclass(frozen=True)
class Padding:
    """The style words of some answers.

    Attributes:
        n_words: int64, shape `(n_texts,)`: the words of each.
        n_set: int64, same shape: those that stand in markers, set phrases, hedges and frames.
        n_style: int64, same shape: those that are style in the narrow sense, with few words that say little.
        n_empty: int64, same shape: those of them that stand in empty sentences.
        n_wide: int64, same shape: those that are style in the wide sense, with all words that say little and empty clauses.
        n_alone: int64, same shape: those of them that would be whatever the instruction says.
        n_runs: int64, same shape: how often four such words or more stand one after the other.
        is_style: bool, shape `(n_tokens,)`: which are in the wide sense.
    """

    n_words: NDArray[np.int64]
    n_set: NDArray[np.int64]
    n_style: NDArray[np.int64]
    n_empty: NDArray[np.int64]
    n_wide: NDArray[np.int64]
    n_alone: NDArray[np.int64]
    n_runs: NDArray[np.int64]
    is_style: NDArray[np.bool_]

    @property
    def share(self) -> NDArray[np.float64]:
        """The share of words that are style in the narrow sense; 0 for an answer without words; shape `(n_texts,)`."""
        return self.n_style / np.maximum(self.n_words, 1)


def padding_of(prompts: WordStream, responses: WordStream) -> Padding:
    """Which words of answers are style.

    Args:
        prompts: The instructions; their vocabulary is the beginning of the responses'.
        responses: As many answers.
    """
    ids, n_texts = responses.ids, responses.n_texts
    kinds = word_kinds(responses, _OF_MATTER)
    codes = {kind: number for number, kind in enumerate(StyleKind)}
    is_word = responses.words[ids]
    is_set = is_word & ((kinds == codes[StyleKind.MARKER]) | (kinds == codes[StyleKind.HEDGE]) | _in_frames(responses))
    sentence, n_sentences = _sentences(responses)
    clause, is_outer = _clauses(responses, sentence)
    matter = is_word & ~is_set & (kinds == codes[StyleKind.CONTENT])
    repeats = _repeats(prompts, responses)
    least = _MIN_SENTENCE_WORDS, 1

    loose = is_set | _in(responses, EMPTY_WORDS)[ids]
    is_empty = _within_empty(sentence, n_sentences, is_word, matter & ~loose & ~repeats, is_word & loose, least)

    loose = is_set | _in(responses, _EMPTY)[ids]
    personal = _in(responses, _PERSONAL)[ids]
    matter = (matter & ~loose) | personal
    alone = is_set | _within_empty(sentence, n_sentences, is_word, matter, is_word & loose, least)
    least_clause = _MIN_CLAUSE_WORDS, _MIN_CLAUSE_LOOSE
    alone |= is_outer & _within_empty(clause, int(clause.max(initial=-1)) + 1, is_word, matter, is_word & loose, least_clause)
    is_style = alone | is_empty
    matter &= ~repeats | personal
    is_style |= _within_empty(sentence, n_sentences, is_word, matter, is_word & loose, least)

    text = responses.text_of_position()
    n_words, n_set, n_style, n_empty, n_wide, n_alone = (
        np.bincount(text[which], minlength=n_texts) for which in (is_word, is_set, is_set | is_empty, is_empty, is_style, alone)
    )
    n_runs = _n_runs(is_style[is_word], text[is_word], n_texts)
    return Padding(n_words, n_set, n_style, n_empty, n_wide, n_alone, n_runs, is_style)


def _n_runs(is_style: NDArray[np.bool_], text: NDArray[np.int32], n_texts: int) -> NDArray[np.int64]:
    """How many runs of at least `_MIN_RUN_WORDS` words of style every text has; of words alone."""
    begins = is_style & np.concatenate([[True], ~is_style[:-1] | (text[1:] != text[:-1])])[: len(is_style)]
    lengths = np.bincount((np.cumsum(begins) - 1)[is_style], minlength=int(begins.sum()))
    counts: NDArray[np.int64] = np.bincount(text[begins][lengths >= _MIN_RUN_WORDS], minlength=n_texts)
    return counts


def _within_empty(
    part: NDArray[np.int64],
    n_parts: int,
    is_word: NDArray[np.bool_],
    matter: NDArray[np.bool_],
    loose: NDArray[np.bool_],
    least: tuple[int, int],
) -> NDArray[np.bool_]:
    """The words of parts of texts that hold no matter: at least so many words, and at least so many that say little."""
    says, length, n_loose = (np.bincount(part[which], minlength=n_parts) for which in (matter, is_word, loose))
    within: NDArray[np.bool_] = is_word & ((says == 0) & (length >= least[0]) & (n_loose >= least[1]))[part]
    return within


def _clauses(stream: WordStream, sentence: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The clause of every token, between commas and the ends of its sentence, and whether it is the first or last of it."""
    begins = np.concatenate([np.ones(min(len(sentence), 1), bool), np.diff(sentence) > 0])
    behind_comma = np.concatenate([np.zeros(min(len(sentence), 1), bool), _in(stream, frozenset(",;"))[stream.ids][:-1]])
    clause = np.cumsum(begins | behind_comma) - 1
    first = clause[begins]
    last = np.concatenate([first[1:] - 1, clause[-1:]])
    return clause, (clause == first[sentence]) | (clause == last[sentence])


def _sentences(stream: WordStream) -> tuple[NDArray[np.int64], int]:
    """The sentence of every token, and how many there are; one begins behind a stop that ends more than two words.

    Line breaks are no tokens: a list without full stops counts as one sentence.
    """
    begins = np.zeros(len(stream.ids), bool)
    begins[stream.offsets[:-1][np.diff(stream.offsets) > 0]] = True
    stops = _in(stream, frozenset(".!?"))[stream.ids]
    n_before = np.concatenate([[0], np.cumsum(stream.words[stream.ids])])  # words before each token
    is_first_of_text = np.flatnonzero(begins)
    behind = np.flatnonzero(stops[:-1] & ~stops[1:] & ~begins[1:]) + 1
    text_start = is_first_of_text[np.searchsorted(is_first_of_text, behind, side="right") - 1] if len(behind) else behind
    last = np.maximum(text_start, np.concatenate([[0], behind[:-1]])) if len(behind) else behind
    begins[behind[n_before[behind] - n_before[last] > 2]] = True
    return np.cumsum(begins) - 1, int(begins.sum())


def _repeats(prompts: WordStream, responses: WordStream) -> NDArray[np.bool_]:
    """Which tokens of the responses stand in their own prompt, in whatever form; of a long prompt none."""
    stems: dict[str, int] = {}
    numbers = [stems.setdefault(_stem(word), len(stems)) for word in responses.vocabulary]
    stem = np.array(numbers, np.int64)
    of_prompt, of_response = prompts.text_of_position().astype(np.int64), responses.text_of_position().astype(np.int64)
    is_short = np.bincount(of_prompt[prompts.words[prompts.ids]], minlength=prompts.n_texts) <= _MAX_PROMPT_WORDS
    asked = np.unique((of_prompt * len(stems) + stem[prompts.ids])[is_short[of_prompt]])
    if not len(asked):
        return np.zeros(len(responses.ids), bool)
    said = of_response * len(stems) + stem[responses.ids]
    place = np.minimum(np.searchsorted(asked, said), len(asked) - 1)
    repeated: NDArray[np.bool_] = asked[place] == said
    return repeated


def _in(stream: WordStream, words: frozenset[str]) -> NDArray[np.bool_]:
    """Which words of the vocabulary are of a list."""
    return np.fromiter((word in words for word in stream.vocabulary), np.bool_, len(stream.vocabulary))


def _stem(word: str) -> str:
    """A word without its usual English ending: enough to know "saving" for "save"."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
            return word[: -len(ending)]
    return word


@cache
def _grammar() -> tuple[re.Pattern[str], dict[str, int]]:
    """The frames as a pattern over one character per token, and the character of every token that they name."""
    names = sorted(set(re.findall(r"[a-z]+|[',]", _FRAMES)))
    code_of = {name: _FIRST_CODE + number for number, name in enumerate(names)} | dict.fromkeys(".!?;:", ord("."))
    adverbs = "".join(chr(code) for name, code in code_of.items() if name.endswith("ly"))
    classes = {"LY": f"[L{adverbs}]", "BEGIN": f"(?<=[.{chr(code_of[','])}])"}
    pattern = re.sub(r"[a-z]+|[',]|[A-Z]+", lambda found: classes.get(found[0]) or chr(code_of[found[0]]), _FRAMES)
    return re.compile(re.sub(r"\s+", "", pattern).replace("(", "(?:").replace("(?:?", "(?")), code_of


def _in_frames(stream: WordStream) -> NDArray[np.bool_]:
    """Which tokens stand in frames: of what overlaps, what begins first."""
    pattern, code_of = _grammar()
    codes = np.fromiter(
        (code_of.get(word) or ord("L" if len(word) > 4 and word.endswith("ly") else "_") for word in stream.vocabulary),
        np.uint16,
        len(stream.vocabulary),
    )
    text = np.full(len(stream.ids) + stream.n_texts + 1, ord("."), np.uint16)  # a stop before every answer and at the end
    places = np.arange(len(stream.ids)) + stream.text_of_position() + 1
    text[places] = codes[stream.ids]
    change = np.zeros(len(text) + 1, np.int8)
    for found in pattern.finditer(text.astype("<u2").tobytes().decode("utf-16-le")):
        change[found.start()] += 1
        change[found.end()] -= 1
    within: NDArray[np.bool_] = np.cumsum(change, dtype=np.int8)[places] > 0
    return within
