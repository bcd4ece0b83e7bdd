"""Texts for hypothesis: every script and form that a dataset may hold, rather often."""

from __future__ import annotations

from hypothesis import strategies as st

_PIECES = (
    *("a A b word Word . , ! ' \" _ 7 12 $ + < ] ½ ² … ‘ ’ “ ” – — − é ß ẞ İ ı ﬁ ﬃ ŉ Σ ς Ω ΐ".split()),
    *("한 ㅋㅋ ｶﾞ ﾞ カ 東京 中 ไทย กำ ก็ မြန်မာ ខ្មែរ हिन्दी ि שָׁ سلام لله ﷺ Ａ １ 👍 👍🏽 🇩🇪".split()),
    *(" ", "  ", "\n", "\t", "\r\n", "\x1c", "\u00a0", "\u3000"),
    *("e\u0301", "e\u0327\u0301", "q\u0303", "\u0301", "\u1112\u1161\u11ab", "\u1161", "\u3131\u314f", "か\u3099"),
    *("👩\u200d👧", "❤\ufe0f", "1\ufe0f\u20e3", "می\u200cخواهم", "\u200b", "\u00ad", "\ufeff", "\u202e", "\U00020000"),
)
_LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)

UNSPACED_TEXTS = st.lists(
    st.sampled_from("東 京 都 か が ー ท ที ที่ น้ำ นา เ ກ ກໍ ຳ ခ မြ န် ខ ខ្ម ែ ๒ 2 a 。 ་ བོད \u0301 \U00020000".split(" ")),
    max_size=14,
).map("".join)
"""Few signs of scripts without spaces between words, with their marks, digits and some others, so that spans occur often."""

TEXTS = st.lists(st.one_of(st.sampled_from(_PIECES), _LETTERS), max_size=12).map("".join)
"""Any text."""

WORDY_TEXTS = st.lists(st.sampled_from("ab aé a b c B. ﬁ fi 東 “a” é e\u0301 b".split(" ")), max_size=10).map(" ".join)
"""Texts of few words, so that spans occur often."""
