"""Recipes: the packaged ones, files, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.errors import InputError
from audit.tune.recipe import PACKAGED_RECIPES, Method, Recipe, Scheduler, load_recipe


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("name", PACKAGED_RECIPES)
def test_packaged_recipes_are_complete(name: str, method: Method) -> None:
    recipe = load_recipe(name, method)
    assert recipe.method is method
    assert recipe.learning_rate is not None
    assert (recipe.lora_rank is None) == (method is Method.FULL)


@pytest.mark.parametrize("name", PACKAGED_RECIPES)
def test_both_methods_are_given_the_same_grid(name: str) -> None:
    lora, full = (load_recipe(name, method) for method in Method)
    assert lora.learning_rate_grid == full.learning_rate_grid


def test_every_recipe_in_the_folder_is_named() -> None:
    folder = Path(load_recipe.__code__.co_filename).with_name("recipes")
    assert {path.stem for path in folder.iterdir()} == set(PACKAGED_RECIPES)


def test_the_recipe_of_the_paper() -> None:
    lora, full = (load_recipe("paper", method) for method in Method)
    for recipe in (lora, full):
        assert (recipe.epochs, recipe.learning_rate, recipe.batch_size) == (3, 5e-5, 32)
    assert lora.lora_rank == 8


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def test_a_section_wins_over_the_file_and_the_file_over_the_default(recipe_file: Path) -> None:
    recipe_file.write_text(
        "epochs: 7\nlearning_rate: 5e-5  # a word for YAML\nlora: {epochs: 9, lora_targets: [q_proj, v_proj]}\n",
        encoding="utf-8",
    )
    lora, full = (load_recipe(recipe_file, method) for method in Method)
    assert (lora.epochs, full.epochs) == (9, 7)
    assert lora.learning_rate == full.learning_rate == 5e-5
    assert lora.lora_targets == ("q_proj", "v_proj")
    assert full.scheduler is load_recipe("default", Method.FULL).scheduler is Scheduler.COSINE


def test_overrides_win_over_everything_and_none_is_no_override(recipe_file: Path) -> None:
    recipe_file.write_text("epochs: 7\nfull: {epochs: 9}\n", encoding="utf-8")
    assert load_recipe(recipe_file, Method.FULL, epochs=2, learning_rate=None) == load_recipe("default", Method.FULL, epochs=2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("epoch: 3", ("mine.yaml", "'epoch'", "'epochs'")),
        ("lora:\n  lora_rnk: 4", ("mine.yaml", "'lora.lora_rnk'", "'lora.lora_rank'")),
        ("full:\n  lora_rank: 4", ("mine.yaml", "lora_rank", "method lora only")),
        ("epochs: three", ("mine.yaml", "epochs", "'three'")),
        ("epochs: 2.5", ("mine.yaml", "epochs", "2.5")),
        ("scheduler: cosin", ("mine.yaml", "scheduler", "'constant', 'linear' or 'cosine'")),
        ("learning_rate: 50", ("mine.yaml", "learning_rate", "less than 1")),
        ("learning_rate_grid: []", ("mine.yaml", "learning_rate_grid")),
        ("batch_size: 8\nmicro_batch_size: 3", ("mine.yaml", "micro_batch_size 3 does not divide batch_size 8")),
        ("full: 3", ("mine.yaml", "full: is no section")),
        ("max_grad_norm: .inf", ("mine.yaml", "max_grad_norm")),
        ("epochs: [", ("mine.yaml:1", "no readable YAML")),
        ("- epochs", ("mine.yaml", "no settings")),
    ],
)
def test_a_wrong_recipe_is_one_line_with_file_and_key(recipe_file: Path, content: str, words: tuple[str, ...]) -> None:
    recipe_file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_recipe(recipe_file, Method.FULL)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_a_recipe_that_does_not_exist_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown recipe 'pockt'; did you mean 'pocket'"):
        load_recipe("pockt", Method.LORA)
    with pytest.raises(InputError, match=r"nowhere.yaml: no such file; check the path"):
        load_recipe(tmp_path / "nowhere.yaml", Method.LORA)


def test_an_override_that_is_wrong_is_not_blamed_on_the_file(recipe_file: Path) -> None:
    recipe_file.write_text("epochs: 7\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^epochs: input should be greater than or equal to 1 \(it is 0\)$"):
        load_recipe(recipe_file, Method.FULL, epochs=0)
    with pytest.raises(InputError, match="unknown setting 'epoch'; did you mean 'epochs'"):
        load_recipe(recipe_file, Method.FULL, epoch=3)


@pytest.mark.parametrize("method", Method)
def test_a_recipe_is_kept_in_json(method: Method) -> None:
    recipe = load_recipe("default", method)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
