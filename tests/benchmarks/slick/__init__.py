"""SliCK's classes against what a model was shown."""
