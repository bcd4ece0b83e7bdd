"""How answers are written, apart from what they say."""
