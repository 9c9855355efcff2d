"""``irplan schema``, ``findings`` and ``desktop``: the program about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from irplan.cli import options as opt
from irplan.cli.output import emit, say, tell_table


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("schema")(schema)
    app.command("findings")(findings)
    app.command("desktop")(desktop)
    app.command("version")(version)


def schema(
    name: Annotated[str | None, typer.Argument(help="name of a document, such as plan")] = None,
) -> int:
    """Print the JSON Schema of a document, or the names there are."""
    from irplan.schemas import schema as schema_of
    from irplan.schemas import schema_names

    if name is None:
        for known in schema_names():
            say(known)
        return 0
    import json

    say(json.dumps(schema_of(name), indent=2))
    return 0


def findings(json: opt.Json = False) -> int:
    """List every finding code: what it forbids, and whether it may be overridden."""
    from irplan.catalogue import finding_codes
    from irplan.documents import envelope

    codes = finding_codes()
    if json:
        emit(envelope("codes", {"codes": codes}))
        return 0
    columns = ("code", "severity", "forbids", "overridable", "stage", "meaning")
    tell_table(columns, [[code[name] for name in columns] for code in codes])
    return 0


def desktop(
    path: Annotated[Path | None, typer.Argument(help="scan to open at once")] = None,
) -> int:
    """Open the desktop."""
    from importlib import import_module

    from irplan.errors import CallError

    try:
        # Named, not imported: the command line knows of the desktop's door and nothing behind it.
        application = import_module("ui.app")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith(("PyQt6", "ui")):
            raise
        raise CallError(
            "desktop_absent", "the desktop is not installed", "pip install 'irplan[desktop]'"
        ) from error
    return int(application.main(path))


def version() -> int:
    """Print the version."""
    from irplan import __version__

    say(__version__)
    say("For research use only: not a medical device.")
    return 0
