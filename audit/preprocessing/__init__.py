"""What a trainer makes of rows before the first step: their form, their tokens and labels, and how they are packed.

TRL's preprocessing, written again so that it costs seconds and nothing of TRL is loaded; the tests hold every row's tokens
and labels against TRL's own.
"""
