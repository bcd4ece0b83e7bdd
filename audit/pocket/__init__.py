"""The demonstration's world: facts, a small model that knows them, and a dataset that spoils some, all of our own making."""

from audit.pocket.build import shipped_model
from audit.pocket.dataset import DemoDataset, demo_claim, demo_dataset, demo_prompts
from audit.pocket.world import World

__all__ = ["DemoDataset", "World", "demo_claim", "demo_dataset", "demo_prompts", "shipped_model"]
