"""What the checks for languages share: whether a text speaks of languages, which ones are easily confused, function words."""

from __future__ import annotations

import re

__all__ = ["SPEAKS_OF_LANGUAGES", "are_confused", "has_function_words", "name_of", "speaks_of"]

_NAMES = dict(
    pair.split(":")
    for pair in (
        "af:Afrikaans ar:Arabic az:Azerbaijani be:Belarusian bg:Bulgarian bn:Bengali bs:Bosnian ca:Catalan cs:Czech "
        "cy:Welsh da:Danish de:German el:Greek en:English es:Spanish et:Estonian eu:Basque fa:Persian fi:Finnish "
        "fr:French ga:Irish gl:Galician gu:Gujarati he:Hebrew hi:Hindi hr:Croatian hu:Hungarian hy:Armenian id:Indonesian "
        "is:Icelandic it:Italian ja:Japanese ka:Georgian kk:Kazakh km:Khmer kn:Kannada ko:Korean lo:Lao lt:Lithuanian "
        "lv:Latvian mk:Macedonian ml:Malayalam mn:Mongolian mr:Marathi ms:Malay my:Burmese ne:Nepali nl:Dutch "
        "no:Norwegian pa:Punjabi pl:Polish pt:Portuguese ro:Romanian ru:Russian si:Sinhala sk:Slovak sl:Slovenian "
        "sq:Albanian sr:Serbian sv:Swedish sw:Swahili ta:Tamil te:Telugu th:Thai tl:Tagalog tr:Turkish uk:Ukrainian "
        "ur:Urdu uz:Uzbek vi:Vietnamese zh:Chinese"
    ).split()
)
_LANGUAGES = {name: code for code, name in _NAMES.items()}
_OTHER_NAMES = (
    "Mandarin|Cantonese|Latin|Farsi|Filipino|Gaelic|Hawaiian|Maori|Yiddish|Esperanto|Flemish|Castilian|Hinglish|Spanglish"
    "|Pinyin|Kanji|Hiragana|Katakana|Mexican|Brazilian"
    r"|Deutsch(?:e[mnrs]?)?|Englisch\w*|Französisch\w*|Spanisch\w*|Italienisch\w*|español\w*|inglés\w*|francés|alemán|italiano"
    r"|français\w*|anglais\w*|espagnol\w*|allemand\w*|italien\w*|inglese|tedesco|francese|spagnolo"
    r"|português|inglês|francês|espanhol|engels|frans|duits|spaans|nederlands|английск\w*|русск\w*|французск\w*|немецк\w*"
    r"|испанск\w*|англійськ\w*|angielsk\w*|polsk\w*|niemieck\w*|ingilizce|almanca|türkçe|tiếng"
)
_TRANSLATING = (
    r"translat\w*|transliterat\w*|(?<!programming )(?<!scripting )(?<!query )(?<!markup )(?<!body )languages?(?! models?)"
    r"|bilingual|multilingual|foreign(?= (?:languages?|words?|phrases?|tongues?|terms?|expressions?))|dialect|proverb|idiom"
    r"|tradu\w+|übersetz\w*|vertal\w*|перевед\w*|перевод\w*|sprache|idioma|langue|lengua|lingua|taal|loan ?words?|etymology"
    r"|native (?:speaker|tongue)|pronounc\w*|spoken in|haiku|mantra"
)
_IN_OTHER_SCRIPTS = (
    "[中英日法德俄韩韓]文|[英日韓韩法德]語|[英日韩法德汉漢]语|翻译|翻譯|翻訳|영어|한국어|번역|日本語"
    "|ترجم|अनुवाद|अंग्रेज|हिंदी|อังกฤษ|แปล"
)
SPEAKS_OF_LANGUAGES = re.compile(
    rf"(?i)\b(?:(?P<name>{'|'.join(_NAMES.values())})|{_OTHER_NAMES}|{_TRANSLATING})\b|{_IN_OTHER_SCRIPTS}"
)
"""Names of languages, in English and their own, and words for translating: another language may be meant then."""

# A few sentences do not tell these apart.
_CONFUSED = (
    "no da sv",
    "id ms",
    "cs sk",
    "hr sr bs sl",
    "es gl ca pt",
    "bg mk ru uk be sr",
    "af nl",
    "hi mr ne",
    "fa ur ar",
    "tr az uz",
    "fi et",
    "it ro",
    "zh ja",
)

_FUNCTION_WORDS = {
    "es": "los las una que para pero muy está son más del por como este esta fue también cuando sus ser tiene hay el en "
    "es un la de con",
    "fr": "les une est dans pour avec pas cette sont vous nous elle mais aux leur être ont qui je très aussi ces le la "
    "des un du et il sur au",
    "de": "und ist nicht eine mit der das auf für sich auch wird sind ich sie wir ein einen zum zur oder wenn die den dem "
    "von im zu es danach sollte sollten kann können werden wurde wurden nach aus bei durch nur noch",
    "it": "che della sono nel anche gli degli delle è più questo questa essere dei perché molto una ha il di per un la "
    "non con del si chi ogni dal dalla alla dei tutto tutti sempre poi quando dove",
    "pt": "não uma para com são você mais por os dos das muito foi também isso seu sua ele um de em que da do na no é",
    "nl": "het een van niet voor zijn ook maar wordt deze naar bij worden met aan de en dat op te er",
    "en": "the and of to is in that for it with are this you was be have by from an can which your what not",
}
FUNCTION_WORDS = {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}
"""For the languages that names and dishes are most often taken for, the words that only sentences have."""


def name_of(language: str) -> str:
    """The English name of a language."""
    return _NAMES.get(language, language)


def are_confused(one: str, other: str) -> bool:
    """Whether two languages are one, or too near to tell apart in a short text."""
    return one == other or any(one in group.split() and other in group.split() for group in _CONFUSED)


def speaks_of(text: str, language: str) -> bool:
    """Whether a text names a language or one near to it, in English or its own words, or speaks of languages at large.

    Any language's name counts where only the script is known, such as "Cyrillic".
    """
    for match in SPEAKS_OF_LANGUAGES.finditer(text):
        name = match["name"]
        if name is None or language not in _NAMES or are_confused(_LANGUAGES.get(name.title(), language), language):
            return True
    return False


def has_function_words(text: str, language: str, at_least: int) -> bool:
    """Whether a text has function words of a language; true of languages without a list."""
    known = FUNCTION_WORDS.get(language)
    return known is None or sum(word in known for word in re.findall(r"[^\W\d_]+", text.lower())) >= at_least
