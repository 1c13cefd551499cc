"""How every command behaves: its logs, and how a failure shows and ends it."""

import logging
import signal
from typing import IO, Any, NoReturn

import click
from click.exceptions import Exit, NoArgsIsHelpError

from m3ter_sync.cli.errors import ExitCode, describe, find_exit_code
from m3ter_sync.cli.logs import (
    LOG_FORMAT_VARIABLE,
    begin_run,
    build_line,
    log_failure,
    set_up_logs,
)


class Failure(click.ClickException):
    """Ends the program with one line on standard error and an exit code."""

    def __init__(self, message: str, code: int, *, defect: Exception | None = None) -> None:
        super().__init__(message)
        # click declares it for the class; each failure has its own.
        self.exit_code = code  # type: ignore[misc]
        self._defect = defect

    def show(self, file: IO[Any] | None = None) -> None:
        """Says what failed, in the format of the log."""
        log_failure(self.message, self._defect)


class Command(click.Command):
    """A command that can be told to say more or less."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(["-v", "--verbose"], is_flag=True, help="Log every detail."),
            click.Option(["-q", "--quiet"], is_flag=True, help="Log errors only."),
            click.Option(
                ["--log-format"],
                type=click.Choice(["text", "json"], case_sensitive=False),
                default="text",
                envvar=LOG_FORMAT_VARIABLE,
                help=f"How logs are written; {LOG_FORMAT_VARIABLE} says it for all commands.",
            ),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Sets up the logs and dlt, then runs the command."""
        from m3ter_sync.warehouse.dlt_pipeline import configure_dlt
        from m3ter_sync.warehouse.permissions import private_files

        configure_dlt()
        set_up_logs(
            is_json=ctx.params.pop("log_format") == "json",
            is_verbose=ctx.params.pop("verbose"),
            is_quiet=ctx.params.pop("quiet"),
        )
        with private_files():
            return super().invoke(ctx)


class Program(click.Group):
    """Turns whatever goes wrong in a command into one line and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Begins a run, and is the program."""
        begin_run()
        return super().main(*args, **kwargs)

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
            click.echo(build_line("Stopped.", logging.WARNING), err=True)
            raise Exit(128 + signal.SIGINT) from None
        except Exception as error:  # noqa: BLE001 - the last one to see it tells the user
            _fail(error)


def _fail(error: Exception) -> NoReturn:
    exit_code = find_exit_code(error)
    if exit_code is None:
        message = f"{type(error).__name__}: {describe(error)} This is a defect of m3ter-sync."
        raise Failure(message, ExitCode.FAILED, defect=error) from error
    raise Failure(describe(error), exit_code) from error
