"""The demonstration's world: a small dataset of the project's own making, its defects and falsehoods known."""

from audit.pocket.world import DEMO_CLAIM, DemoDataset, demo_dataset

__all__ = ["DEMO_CLAIM", "DemoDataset", "demo_dataset"]
