"""tunescope: the command line — parse, call, render, exit code."""
