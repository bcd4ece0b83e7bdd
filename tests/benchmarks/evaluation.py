"""Evaluation files for the checks of contamination: real prompts that are near, or from, what the datasets hold."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["write_evaluation"]


def write_evaluation(data: Path, folder: Path) -> dict[str, str]:
    """Write the items as JSON Lines of question and answer.

    Args:
        data: The data folder.
        folder: Where to write.

    Returns:
        Name -> file. Most of halueval's prompts come from the dataset that alpaca_21k is a part of.
    """
    alpaca_eval = json.loads((data / "outputs/alpaca_eval_text_davinci_003.json").read_bytes())
    truthfulqa = json.loads((data / "facts/truthfulqa.json").read_bytes())["dev"]
    with (data / "hallucination/halueval_general_half.jsonl").open(encoding="utf-8") as file:
        halueval = [json.loads(line) for line in file]
    items = {
        "alpaca_eval": [(each["instruction"], each["output"]) for each in alpaca_eval],
        "truthfulqa": [(each["question"], each["choices"][each["answer"]]) for each in truthfulqa],
        "halueval": [(each["user_query"], each["chatgpt_response"]) for each in halueval],
    }
    files = {name: folder / f"{name}.jsonl" for name in items}
    for name, path in files.items():
        lines = [json.dumps({"question": asked, "answer": answered}, ensure_ascii=False) for asked, answered in items[name]]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {name: str(path) for name, path in files.items()}
