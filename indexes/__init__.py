"""tunescope: texts, ids and arrays in, neighbours out; knows no dataset and no finding."""
