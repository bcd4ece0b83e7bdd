"""Languages told, and left untold where a text says too little."""

from __future__ import annotations

import polars as pl
import pytest

from audit.languages import language_of, languages_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The ferry leaves the quay at dawn and stops at every island.", "en"),
        ("What is the capital of Peru?", "en"),
        ("Die Fähre verlässt den Hafen am Morgen und hält an jeder Insel.", "de"),
        ("Le bateau quitte le port le matin et s'arrête dans chaque île.", "fr"),
        ("El barco sale del puerto por la mañana y para en cada isla.", "es"),
        ("Для ремонта крана вам понадобятся ключ и новая прокладка.", "ru"),
        ("植物通过光合作用利用阳光制造养分。", "zh"),
        ("潮の満ち引きは月の引力によって起こります。", "ja"),
        ("", ""),
        ("Oslo", ""),
        ("12 + 7 = 19", ""),
        ("```python\nfor x in the_list_of_is_and_of: pass\n```", ""),
        ("```\nthe and of to is\n```\nDie Schleife läuft über alle Zeilen und zählt die Wörter.", "de"),
    ],
)
def test_the_language_of_a_text(text: str, language: str) -> None:
    assert language_of(text) == language


def test_languages_keep_their_places_and_equal_texts_their_language() -> None:
    german = "Die Fähre verlässt den Hafen am Morgen und hält an jeder Insel."
    assert languages_of(pl.Series([german, "", "This is the end of it.", german])).to_list() == ["de", "", "en", "de"]
