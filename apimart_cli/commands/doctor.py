"""`apimart doctor`: find out what is wrong here."""

from apimart_cli.commands import Command, new_app
from apimart_cli.commands.options import OneProfile, OnlyJson, Timeout
from apimart_cli.errors import ExitCode

app = new_app()


@app.command(cls=Command)
def doctor(profile: OneProfile = None, timeout: Timeout = None, json: OnlyJson = False) -> ExitCode:
    """Find out what is wrong here, and what to do about it.

        apimart doctor
        apimart doctor -p work
        apimart doctor --json

    It looks at the program, the config file, the key, the network, the clock, the gateway and its books, the ledger,
    alerts, and what is installed. Each line is ok, a note, or wrong. The gateway is asked once for each endpoint, and
    nothing is recorded. No line has a key, a password, or the arguments of a command: the output can be pasted into a
    report.

    Exit codes: those of apimart balance.
    """
    from apimart_cli.config.settings import Options
    from apimart_cli.doctor.examination import examine
    from apimart_cli.output.doctor import findings_as_json, render_findings
    from apimart_cli.screen.writing import standard_output, write_answer

    examined = examine(Options(profiles=() if profile is None else (profile,), timeout=timeout))
    write_answer(
        findings_as_json(examined.findings, examined.exit_code)
        if json
        else render_findings(examined.findings, standard_output())
    )
    return examined.exit_code
