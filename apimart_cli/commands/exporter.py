"""`apimart exporter`: serves many balances to Prometheus, until a signal ends it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apimart_cli.commands import Command, new_app
from apimart_cli.commands.option_records import AskingOptions, with_records
from apimart_cli.commands.options import trace_of, value_option
from apimart_cli.errors import ConfigError, ExitCode, UsageError

if TYPE_CHECKING:
    from apimart_cli.config.settings import Options
    from apimart_cli.exporter.access import Shard
    from apimart_cli.exporter.service import Chosen

LISTEN = "127.0.0.1:9899"
"""Where it listens by default."""

app = new_app()


@app.command(cls=Command)
@with_records
def exporter(
    asking: AskingOptions,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            "--listen",
            metavar="ADDRESS",
            help="Where to listen: an IP address and a port; may be repeated. Default: 127.0.0.1:9899.",
            show_default=False,
        ),
    ] = None,
    interval: Annotated[
        str, typer.Option("--interval", metavar="DURATION", help="How often to ask; 5s is the shortest.")
    ] = "60s",
    concurrency: Annotated[
        int,
        typer.Option("--concurrency", metavar="NUMBER", min=1, max=1000, help="Most questions at once to one gateway."),
    ] = 50,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="K/N", help="Ask for one of N parts of the profiles, like 2/4.", show_default=False
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, value_option("--tls-cert", "PATH", "Serve over TLS with this certificate, a PEM file.")
    ] = None,
    tls_key: Annotated[
        Path | None, value_option("--tls-key", "PATH", "The private key of the certificate, a PEM file.")
    ] = None,
    token_file: Annotated[
        Path | None,
        value_option("--token-file", "PATH", "Show /metrics only to clients that send the token in this file."),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            metavar="NAME",
            help="Answer to this host name, too; give it once for each.",
            show_default=False,
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let other machines read it without TLS and token.")
    ] = False,
) -> ExitCode:
    """Serve balances to Prometheus.

        apimart exporter
        apimart exporter --interval 5m -p work -p home
        apimart exporter --listen :9899 --shard 1/4

    Asks for every profile of the config file, unless options, APIMART_PROFILE, APIMART_API_KEY or
    APIMART_API_KEY_FILE name one, and answers /metrics from memory. On SIGHUP it reads the config file, the certificate
    and the token again. Needs the package prometheus-client.

    Exit codes: 0 ended by SIGTERM, 1 internal error, 2 usage, 4 key missing (of a single profile), 130 interrupted.
    """
    _require_library()
    from apimart_cli.exporter.access import AccessFiles, parse_listen, parse_shard
    from apimart_cli.exporter.service import ExporterOptions, export

    if asking.api_key == "-":
        raise UsageError(
            "--api-key -: settings are read again and again, standard input only once", "use --api-key-file"
        )
    part = None if shard is None else parse_shard(shard)
    options = asking.options()
    return export(
        ExporterOptions(
            choose=lambda: _choose(options, part, interval),
            places=[parse_listen(each) for each in listen or (LISTEN,)],
            files=AccessFiles(tls_cert, tls_key, token_file),
            is_insecure=insecure,
            allowed_hosts=allowed_host or (),
            concurrency=concurrency,
            trace=trace_of(debug=asking.debug),
        )
    )


def _require_library() -> None:
    """Raise UsageError if the library that writes the page is not installed."""
    from importlib.util import find_spec

    if find_spec("prometheus_client") is None:
        from apimart_cli.installing import command_to_add

        raise UsageError(
            "the prometheus-client package is not installed",
            f"install it beside apimart: {command_to_add('prometheus-client>=0.16')}",
        )


def _choose(options: "Options", shard: "Shard | None", interval: str) -> "Chosen":
    """Read the settings of the profiles to ask for. Profiles of other shards and their keys are not read."""
    from apimart_cli.config.file import read_config
    from apimart_cli.config.precedence import resolve
    from apimart_cli.config.values import least_interval, parse_interval
    from apimart_cli.exporter.service import Chosen

    names = tuple(read_config(os.environ).profiles)
    if options.all_profiles or (names and not _names_one(options)):
        options = options._replace(all_profiles=True)
    if shard is not None:
        if options.all_profiles and not options.profiles:
            options = options._replace(profiles=names, all_profiles=False)
        if names and not options.profiles:
            raise UsageError(
                "--shard: an option or a variable names a single key",
                "name profiles with -p, or none, and unset APIMART_PROFILE, APIMART_API_KEY and APIMART_API_KEY_FILE",
            )
        if not options.profiles:
            raise ConfigError("--shard: there are no profiles to share out", "store some with: apimart login -p NAME")
        options = options._replace(profiles=tuple(filter(shard.has, options.profiles)))
    options = options._replace(profiles=tuple(dict.fromkeys(options.profiles)))
    profiles = resolve(options) if options.profiles or shard is None else []
    least = least_interval([each.base_url.value for each in profiles], os.environ)
    seconds = parse_interval(interval, least=least, example="a duration like 60s")
    return Chosen(profiles, names or tuple(each.profile.value for each in profiles), seconds, least)


def _names_one(options: "Options") -> bool:
    """Tell whether an option or a variable names a profile or a key."""
    from apimart_cli.config.names import KEY_VARIABLES

    typed = options.profiles or options.api_key is not None or options.api_key_file is not None
    return bool(typed) or any(name in os.environ for name in ("APIMART_PROFILE", *KEY_VARIABLES))
