"""The command: registers one file per subcommand, and turns errors into one line and an exit code.

Exit codes: 0 clean, 1 findings at or above `--fail-on`, 2 usage, configuration or input, 3 a bug in tunescope.
"""

from __future__ import annotations

import difflib
import io
import os
import re
import sys
import traceback
from typing import Any

import typer

from cli import (
    answer,
    audit,
    calibrate,
    check_run,
    checks,
    decide,
    demo,
    explain,
    export,
    pre_commit,
    shift,
    style,
    trace,
    tune,
    verify,
)

__all__ = ["app", "run_command"]

_INTERRUPTED = 130

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
app.command("style")(style.style)
app.command("decide")(decide.decide)
app.command("export")(export.export)
app.command("tune")(tune.tune)
app.command("verify")(verify.verify)
app.command("calibrate")(calibrate.calibrate)
app.command("demo")(demo.demo)
app.command("checks")(checks.checks)
app.command("explain")(explain.explain)
app.command("check-run")(check_run.check_run)
app.command("pre-commit", hidden=True)(pre_commit.pre_commit)


@app.callback(invoke_without_command=True)
def _options(version: bool = typer.Option(False, "--version", help="Show the version and exit.")) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"tunescope {installed('tunescope')}")
        raise typer.Exit


def run_command() -> None:
    """Run `tunescope` with the process's arguments and exit."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="backslashreplace")  # what the terminal's encoding lacks, as on standard error
    try:
        if not sys.flags.utf8_mode and sys.getfilesystemencoding() != "utf-8" and not all(map(str.isascii, sys.argv)):
            from audit.errors import InputError

            raise InputError(
                "an argument has letters that this locale does not",
                why=f"it is {sys.getfilesystemencoding()}",
                remedy="set PYTHONUTF8=1, or a locale of UTF-8",
            )
        code = app(standalone_mode=False)  # errors come here, and not as a box on the terminal
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        raise SystemExit(code if isinstance(code, int) else 0)
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted; the same command goes on where it stopped")
        raise SystemExit(_INTERRUPTED) from None
    except BrokenPipeError:  # `tunescope … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except Exception as error:  # noqa: BLE001 - the last stop before the user
        raise SystemExit(_explain(error)) from None


def _explain(error: Exception) -> int:
    from indexes.errors import TunescopeError

    if hasattr(error, "format_message"):
        return _explain_usage(error)
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


def _explain_usage(error: Any) -> int:
    """One line for what typer raises where options and arguments do not fit; it names the nearest that do."""
    if type(error).__name__ == "NoArgsIsHelpError":  # `tunescope` alone; the help stands there already
        return 2
    names = [command.name for command in app.registered_commands]
    command = next((f"tunescope {argument}" for argument in sys.argv[1:2] if argument in names), "tunescope")
    line, remedy = error.format_message().rstrip("."), f"see {command} --help"
    unknown = getattr(error, "option_name", None) if type(error).__name__ == "NoSuchOption" else None
    choice = re.search(r"'(.*)' is not one of (.*)", str(error.message))
    if unknown is not None:
        line = f"{command} has no option {unknown}"
        nearest = difflib.get_close_matches(unknown, error.possibilities or (), n=1, cutoff=0.0)
        remedy = f"did you mean {nearest[0]}?" if nearest else remedy
    elif choice is not None:
        line = line.replace("Value error, ", "").replace(" is not one of", " is none of")
        nearest = difflib.get_close_matches(choice[1], re.findall(r"'([^']*)'", choice[2]), n=1, cutoff=0.5)
        remedy = f"did you mean {nearest[0]!r}?" if nearest else remedy
    elif "Did you mean" in line:
        line, _, suggestion = line.partition(". Did you mean ")
        remedy = f"did you mean {suggestion}"
    _say(f"{line[:1].lower()}{line[1:]}; {remedy}")
    return 2


def _say(line: str) -> None:
    print(f"tunescope: {' '.join(line.split())}", file=sys.stderr)  # noqa: T201 - the command's own output
