"""The command: registers one file per subcommand, and turns errors into one line and an exit code.

Exit codes: 0 clean, 1 findings at or above `--fail-on`, 2 usage, configuration or input, 3 a bug in tunescope.
"""

from __future__ import annotations

import os
import sys
import traceback

import typer

from cli import answer, audit, calibrate, check_run, checks, demo, explain, export, shift, trace, tune, verify

__all__ = ["app", "run_command"]

app = typer.Typer(
    name="tunescope",
    help="Audit instruction-tuning data, trace false statements to their rows, export a cleaned set, verify that it helped.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("audit")(audit.audit)
app.command("trace")(trace.trace)
app.command("answer")(answer.answer)
app.command("shift")(shift.shift)
app.command("export")(export.export)
app.command("tune")(tune.tune)
app.command("verify")(verify.verify)
app.command("calibrate")(calibrate.calibrate)
app.command("demo")(demo.demo)
app.command("checks")(checks.checks)
app.command("explain")(explain.explain)
app.command("check-run")(check_run.check_run)


@app.callback(invoke_without_command=True)
def _options(version: bool = typer.Option(False, "--version", help="Show the version and exit.")) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"tunescope {installed('tunescope')}")
        raise typer.Exit


def run_command() -> None:
    """Run `tunescope` with the process's arguments and exit."""
    try:
        app()
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on where it stopped")
        raise SystemExit(130) from None
    except BrokenPipeError:  # `tunescope … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except Exception as error:  # noqa: BLE001 - the last stop before the user
        raise SystemExit(_explain(error)) from None


def _explain(error: Exception) -> int:
    from indexes.errors import TunescopeError

    if isinstance(error, TunescopeError):
        _say(error.sentence())
        return 2
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"{where}{error.strerror}; free space or choose another place, and repeat the command to go on")
        return 2
    if isinstance(error, MemoryError):
        _say("out of memory; audit fewer rows with --limit, or use a machine with more")
        return 2
    if os.environ.get("TUNESCOPE_DEBUG"):
        traceback.print_exception(error)
    _say(f"internal error: {type(error).__name__}: {error}; this is a bug, please report it with TUNESCOPE_DEBUG=1 set")
    return 3


def _say(line: str) -> None:
    print(f"tunescope: {' '.join(line.split())}", file=sys.stderr)  # noqa: T201 - the command's own output
