"""How every command behaves: its logs, and how a failure shows and ends it."""

import signal
import traceback
from typing import Any, NoReturn

import click
from click.exceptions import Exit, NoArgsIsHelpError

from m3ter_sync.cli.errors import ExitCode, describe, find_exit_code
from m3ter_sync.cli.logs import set_up_logs


class Failure(click.ClickException):
    """Ends the program with one line on standard error and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        # click takes it for one of the class.
        # click declares it for the class; each failure has its own.
        self.exit_code = code  # type: ignore[misc]


class Command(click.Command):
    """A command that can be told to say more or less."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(["-v", "--verbose"], is_flag=True, help="Log every detail."),
            click.Option(["-q", "--quiet"], is_flag=True, help="Log errors only."),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Sets up the logs and dlt, then runs the command."""
        from m3ter_sync.warehouse.dlt_pipeline import configure_dlt

        configure_dlt()
        set_up_logs(is_verbose=ctx.params.pop("verbose"), is_quiet=ctx.params.pop("quiet"))
        return super().invoke(ctx)


class Program(click.Group):
    """Turns whatever goes wrong in a command into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command that was named.

        Raises:
            Failure: it failed, whatever the reason.
        """
        try:
            return super().invoke(ctx)
        except (Exit, NoArgsIsHelpError, Failure, BrokenPipeError):
            raise
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else ctx.command_path
            message = " ".join(error.format_message().split())
            end = "" if message.endswith((".", "?")) else "."
            raise Failure(f"{message}{end} See {command} --help.", ExitCode.USAGE) from error
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            raise Exit(128 + signal.SIGINT) from None
        except Exception as error:  # noqa: BLE001 - the last one to see it tells the user
            _fail(error)


def _fail(error: Exception) -> NoReturn:
    exit_code = find_exit_code(error)
    if exit_code is None:
        # Nobody foresaw it: where it happened is worth more than a tidy screen.
        click.echo(traceback.format_exc(), err=True, nl=False)
        message = f"{type(error).__name__}: {describe(error)} This is a defect of m3ter-sync."
        raise Failure(message, ExitCode.FAILED) from error
    raise Failure(describe(error), exit_code) from error
