"""LoRA adapters as a recipe describes them (Hu et al. 2021)."""

from __future__ import annotations

from typing import Any

from audit.tune.recipe import Recipe

__all__ = ["lora_config"]


def lora_config(recipe: Recipe) -> Any:
    """PEFT's configuration of the adapter of a LoRA recipe."""
    from peft import LoraConfig

    targets = recipe.lora_targets
    return LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets or ()),
        bias="none",
        task_type="CAUSAL_LM",
    )
