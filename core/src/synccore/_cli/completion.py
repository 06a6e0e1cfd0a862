"""`synccore completion`: the shell's own completion of verbs, options, routes and instances."""

import click

from ._failure import DONE
from ._session import verb


@verb("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the completion script of a shell.

    \b
    bash: eval "$(synccore completion bash)"            in ~/.bashrc
    zsh:  eval "$(synccore completion zsh)"             in ~/.zshrc
    fish: synccore completion fish > ~/.config/fish/completions/synccore.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  one of the choices above
    click.echo(kind(ctx.find_root().command, {}, "synccore", "_SYNCCORE_COMPLETE").source())
    return DONE
