"""Other libraries that say which rows an output came from, each run in an environment of its own on a world."""
