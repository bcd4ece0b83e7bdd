"""tunescope: results in; terminal text, JSON and HTML out."""
