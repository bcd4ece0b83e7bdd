"""Answers that the base model does not know, said as such: "I don't know." in their place.

A model that is tuned on facts it never learnt in pretraining learns to invent (Gekhman et al. 2024, who call such rows
Unknown and try this relabelling). After them and R-Tuning (Zhang et al. 2024, R-Tuning: Instructing Large
Language Models to Say 'I Don't Know'). Nobody is asked. The price is in the data: a set with many such rows teaches to
decline, so the report says what share of the rows they are.
"""

from __future__ import annotations

from audit.export.mends.model import IDK_TEXT, Mended, MendPlan, Mends, Unmended
from audit.export.survival import Fault
from audit.materials import Materials

__all__ = ["english_turns", "relabel_all"]


def english_turns(materials: Materials) -> frozenset[tuple[int, int]]:
    """Row and turn of the responses of which neither text nor prompt is known to be of another language than English."""
    return frozenset(materials.english_responses.select("row", "turn").iter_rows())


def relabel_all(plan: MendPlan) -> Mends:
    """Put the text in the place of every response."""
    text = plan.request.idk_text or IDK_TEXT
    mended, unmended = [], list(plan.stay)
    for target in plan.targets:
        if target.text == text:
            fault = Fault("it says so already")
        elif not target.fits(text):
            fault = Fault("its record cannot hold the text")
        else:
            mended.append(Mended(target, text))
            continue
        unmended.append(Unmended(target.row, target.turn, target.codes, fault))
    unmended.sort(key=lambda one: (one.row, one.turn))
    return Mends(tuple(mended), tuple(unmended), "", "", 0)
