"""Did the cleaned dataset help? Arms of answers in; an effect with its interval, and a verdict, out.

`arms` pairs the answers, `outcomes` scores one, `statistics` measures the difference, `verdict` decides, and `judge` is
the whole procedure. Nothing here trains or loads a model.
"""
