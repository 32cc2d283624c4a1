"""``stembridge plugins``: what is loaded, and what each plugin adds."""

from __future__ import annotations

import click

from plugin_core.console.context import Context
from plugin_core.console.groups import examples
from plugin_core.console.json_lines import describe_count, write_record
from plugin_core.console.options import JSON_OPTION
from plugin_core.console.phrases import encodable
from plugin_core.console.tables import print_table


@examples("stembridge plugins")
@click.command("plugins")
@JSON_OPTION
@click.pass_obj
def command(context: Context, as_json: bool) -> int:
    """List the plugins, and what each of them adds."""
    with context.session() as session:
        session.registry.ask_all()
    loaded = context.plugins.loaded
    code = 1 if any(plugin.error for plugin in loaded) else 0
    if as_json:
        for plugin in loaded:
            write_record({"event": "plugin"} | plugin._asdict() | {"error": encodable(plugin.error)})
        write_record(describe_count(len(loaded), code))
    elif loaded:
        rows = [
            (plugin.name, plugin.version, plugin.module, plugin.error or ", ".join(plugin.hooks) or "nothing")
            for plugin in loaded
        ]
        print_table(("NAME", "VERSION", "MODULE", "ADDS"), rows)
    else:
        click.echo("no plugin is loaded")
    return code
