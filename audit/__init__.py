"""tunescope: the domain — rows, checks, traces, exports and verdicts."""
