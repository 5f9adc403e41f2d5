"""The command line: `python -m engine ...`."""

from __future__ import annotations

import signal
import sys

import typer

from engine import arguments
from engine.cli.behaviour import behaviour
from engine.cli.diagnose import diagnose
from engine.cli.experiments import faithfulness, reproduce
from engine.cli.influence import influence
from engine.cli.interventions import interventions
from engine.cli.retrain import retrain
from engine.cli.rlhf import rlhf
from engine.cli.runs import export, runs, show, verify
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
    influence,
    validate,
    diagnose,
    behaviour,
    retrain,
    interventions,
    export,
    schema,
    reproduce,
    faithfulness,
)

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Record PPO runs, see which records mattered, remove them, retrain.",
)
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Run a command; errors that a user can cause end in one line on stderr and exit code 2."""
    # A script that starts the dashboard in the background has it ignore Ctrl-C, and so would the jobs that it cancels.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = app(arguments.spread(sys.argv[1:], "--arms"), standalone_mode=False)
    except EngineError as error:
        code = _fail(str(error), 130 if isinstance(error, CancelledError) else 2)
    except typer.Abort:
        code = 130
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        code = _fail(error.format_message().rstrip(".") + "; see python -m engine --help", 2)
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
