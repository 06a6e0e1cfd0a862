"""`synccore init`."""

from pathlib import Path

import click

from ._failure import DONE
from ._session import current, json_option, verb


@verb("init")
@click.argument("directory", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--source", metavar="TYPE", help="The source's type.  [default: the installed one]")
@click.option(
    "--sink", "sinks", metavar="TYPE", multiple=True, help="A sink's type; repeat it.  [default: all installed]"
)
@json_option
def init(directory: Path, source: str | None, sinks: tuple[str, ...], as_json: bool) -> int:
    """Write a commented synccore.toml for the installed plugins.

    Every setting of the source and the sinks is in it with its meaning, and a route from the source's customers to
    each sink. A file that is there already is left alone.
    """
    from .._workshop.sample import write_sample
    from ..errors import ConfigError
    from ._output import print_json, table

    loaded = current().plugins()
    if source is None and sinks and len(loaded.sources) == 1:
        source = next(iter(loaded.sources))
    try:
        path, sample = write_sample(directory, loaded, source=source, sinks=sinks or tuple(sorted(loaded.sinks)))
    except ConfigError as error:
        raise click.UsageError(error.message) from error
    if as_json:
        print_json({"wrote": str(path), "variables": dict(sample.variables)})
        return DONE
    click.echo(f"wrote {path}")
    if sample.variables:
        click.echo("\nIt reads these variables of the environment:")
        table(("variable", "what it is"), sample.variables.items(), empty="")
    for kind, installed in (("source", loaded.sources), ("sink", loaded.sinks)):
        if not installed:
            click.echo(f"no {kind} is installed yet: synccore plugins list shows what there is", err=True)
    where = "" if directory == Path() else f" -c {path}"
    click.echo(f"\nnext: fill in what is not behind a #, then synccore check{where}")
    return DONE
