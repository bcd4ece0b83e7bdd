"""Tuning that deserves a claim: a recipe, rows in a known order, a seed; and afterwards the model's health.

`rows` renders a dataset, `recipe` says how, `training` runs TRL's trainer (`sft`) and writes the folder, `health` looks
at the result, `rates` chooses a learning rate, `job` puts it together from files, and `launch` hands it to several
processes. torch and TRL are loaded when a tuning begins.
"""

from audit.tune.recipe import Method, Recipe, load_recipe
from audit.tune.record import TuningRecord, read_record, tuning_key, tuning_problems
from audit.tune.rows import TrainingSet, split_held_out, training_set
from audit.tune.training import train

__all__ = [
    "Method",
    "Recipe",
    "TrainingSet",
    "TuningRecord",
    "load_recipe",
    "read_record",
    "split_held_out",
    "train",
    "training_set",
    "tuning_key",
    "tuning_problems",
]
