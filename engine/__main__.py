"""The command line: `python -m engine ...`."""

from __future__ import annotations

import signal
import sys
from typing import Annotated, NoReturn

import typer

import engine
from engine import arguments
from engine.cli.autopsy import autopsy
from engine.cli.behaviour import behaviour
from engine.cli.diagnose import diagnose
from engine.cli.exchange import export, import_
from engine.cli.experiments import faithfulness, reproduce
from engine.cli.faultlab import faultlab
from engine.cli.incidents import incidents
from engine.cli.influence import influence
from engine.cli.interventions import interventions
from engine.cli.options import with_allowing
from engine.cli.retrain import retrain
from engine.cli.rlhf import rlhf
from engine.cli.runs import runs, show, verify
from engine.cli.schema import schema
from engine.cli.training import envs, train
from engine.cli.validate import validate
from engine.errors import CancelledError, EngineError

COMMANDS = (
    envs,
    train,
    rlhf,
    runs,
    show,
    verify,
    incidents,
    autopsy,
    influence,
    validate,
    diagnose,
    behaviour,
    retrain,
    interventions,
    export,
    import_,
    schema,
    reproduce,
    faithfulness,
    faultlab,
)

PROGRAM = "python -m engine"


def commands() -> typer.Typer:
    """The command line: all commands, and `--version`."""
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="Record PPO runs, see which records mattered, remove them, retrain.",
    )
    app.callback()(_options)
    for command in COMMANDS:
        app.command()(with_allowing(command))
    return app


def run(app: typer.Typer, program: str) -> NoReturn:
    """Run a command and exit; errors that a user can cause end in one line on stderr and exit code 2.

    Args:
        app: the commands.
        program: what a person calls them by.
    """
    # A script that starts the dashboard in the background has it ignore Ctrl-C, and so would the jobs that it cancels.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = app(arguments.spread(sys.argv[1:], "--arms"), prog_name=program, standalone_mode=False)
    except EngineError as error:
        code = _fail(str(error), 130 if isinstance(error, CancelledError) else 2)
    except typer.Abort:
        code = 130
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        code = _fail(f"{error.format_message().rstrip('.')}; see {program} --help", 2)
    sys.exit(code)


def main() -> None:
    """`python -m engine`."""
    run(commands(), PROGRAM)


def _version(asked: bool) -> None:
    if asked:
        print(engine.__version__)
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and exit.")
    ] = False,
) -> None:
    pass


def _fail(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
