"""What the checks of knowledge find in rows of which it is known what the base model knows."""
