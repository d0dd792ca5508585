r"""Variables that a process may inherit, each with an unusual, wrong or hostile value, as data.

A group has its variables as `NAME=VALUE`, two blanks or a line end apart; `\x1b` is an escape character and `\xff` a
byte that is no text. Whatever stands there, a balance below the minimum must end `check` with the code of its group.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Variable(NamedTuple):
    """One variable, and the exit code that `check --min 5` owes with 3 left."""

    name: str
    value: bytes
    code: int


HARMLESS = r"""
PYTHONASYNCIODEBUG=1  PYTHONBREAKPOINT=os._exit  PYTHONBREAKPOINT=nonsense  PYTHONCASEOK=1  PYTHONCOERCECLOCALE=0
PYTHONCOERCECLOCALE=warn  PYTHONDEBUG=1  PYTHONDONTWRITEBYTECODE=1  PYTHONFAULTHANDLER=1
PYTHONHASHSEED=0  PYTHONHASHSEED=4294967295  PYTHONINSPECT=1  PYTHONINTMAXSTRDIGITS=640  PYTHONINTMAXSTRDIGITS=0
PYTHONIOENCODING=ascii  PYTHONIOENCODING=ascii:strict  PYTHONIOENCODING=latin-1  PYTHONIOENCODING=utf-16
PYTHONIOENCODING=utf-8:surrogateescape  PYTHONIOENCODING=cp037  PYTHONIOENCODING=:strict  PYTHONLEGACYWINDOWSSTDIO=1
PYTHONMALLOC=malloc  PYTHONMALLOC=debug  PYTHONMALLOCSTATS=  PYTHONNODEBUGRANGES=1  PYTHONNOUSERSITE=1
PYTHONOPTIMIZE=1  PYTHONOPTIMIZE=2  PYTHONPERFSUPPORT=0  PYTHONPYCACHEPREFIX=/nonexistent
PYTHONPYCACHEPREFIX=/dev/null  PYTHONSAFEPATH=1  PYTHONSTARTUP=/etc/passwd  PYTHONUNBUFFERED=1
PYTHONUSERBASE=/nonexistent  PYTHONUTF8=0  PYTHONUTF8=1  PYTHONWARNDEFAULTENCODING=1  PYTHONWARNINGS=always
PYTHONWARNINGS=default  PYTHONWARNINGS=error  PYTHONWARNINGS=error::DeprecationWarning  PYTHONWARNINGS=nonsense
PYTHON_COLORS=1  PYTHON_GIL=1  LANG=C  LANG=POSIX  LANG=  LANG=de_DE.UTF-8  LANG=tr_TR.UTF-8  LANG=zh_CN.GB18030
LANG=ja_JP.SJIS  LANG=xx_YY.nonsense  LANG=\xff  LANGUAGE=de:fr  LANGUAGE=\xff  LC_ALL=C  LC_ALL=C.UTF-8  LC_ALL=tr_TR
LC_ALL=nonsense  LC_CTYPE=UTF-8  LC_CTYPE=POSIX  LC_MESSAGES=de_DE  LC_NUMERIC=de_DE.UTF-8  LC_TIME=ar_SA
LOCPATH=/nonexistent  NLSPATH=%s%n  CHARSET=ebcdic  TERM=  TERM=dumb  TERM=unknown  TERM=xterm-256color  TERM=linux
TERM=screen  TERM=../../etc/passwd  TERM=\x1b[31m  TERMINFO=/nonexistent  TERMCAP=garbage  COLORTERM=truecolor
COLUMNS=0  COLUMNS=1  COLUMNS=-1  COLUMNS=nonsense  COLUMNS=99999999999999999999  COLUMNS=\xff  LINES=0
LINES=nonsense  NO_COLOR=1  NO_COLOR=  FORCE_COLOR=1  FORCE_COLOR=0  FORCE_COLOR=  CLICOLOR=0  CLICOLOR_FORCE=1
PY_COLORS=1  TTY_COMPATIBLE=1  TTY_INTERACTIVE=1  JUPYTER_COLUMNS=3  JUPYTER_LINES=nonsense  TERMINAL_WIDTH=20
MAX_WIDTH=1  TYPER_USE_RICH=1  TYPER_STANDARD_TRACEBACK=1  _TYPER_STANDARD_TRACEBACK=1
_TYPER_FORCE_DISABLE_TERMINAL=1  _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1  _TYPER_COMPLETE_ARGS=apimart check
COMP_WORDS=apimart check --min 0  COMP_CWORD=2  COMP_LINE=apimart  COMP_POINT=nonsense
_APIMART_COMPLETE=complete_bash  _APIMART_COMPLETE=complete_zsh  _APIMART_COMPLETE=source_fish
_APIMART_COMPLETE=nonsense  APIMART_COMPLETE=1  HTTP_PROXY=http://127.0.0.1:9  http_proxy=http://127.0.0.1:9
HTTPS_PROXY=http://127.0.0.1:9  https_proxy=nonsense  ALL_PROXY=socks5://127.0.0.1:9
all_proxy=http://user:password@127.0.0.1:9  NO_PROXY=*  NO_PROXY=\xff  no_proxy=127.0.0.1  FTP_PROXY=ftp://127.0.0.1:9
http://127.0.0.1_proxy=http://127.0.0.1:9  REQUEST_METHOD=GET  HTTP_HOST=elsewhere.example  SERVER_SOFTWARE=CGI
REQUESTS_CA_BUNDLE=  CURL_CA_BUNDLE=  SSL_CERT_FILE=/nonexistent  SSL_CERT_FILE=/dev/null  SSL_CERT_DIR=/nonexistent
SSLKEYLOGFILE=/nonexistent/keys  SSLKEYLOGFILE=/dev/full  OPENSSL_CONF=/nonexistent  OPENSSL_MODULES=/nonexistent
OPENSSL_ia32cap=0  NETRC=/nonexistent  NETRC=/dev/full  RES_OPTIONS=timeout:0 attempts:0  RES_OPTIONS=nonsense
LOCALDOMAIN=example  HOSTALIASES=/etc/passwd  RESOLV_HOST_CONF=/nonexistent  GAI_CONF=/nonexistent
URLLIB3_NO_OVERRIDE=1  IDNA=nonsense  HOME=/nonexistent  HOME=/dev/null  HOME=/  HOME=.  HOME=/proc/self/fd
USERPROFILE=/nonexistent  APPDATA=/nonexistent  LOCALAPPDATA=/nonexistent  XDG_CONFIG_HOME=/nonexistent
XDG_CONFIG_HOME=/dev/null  XDG_CONFIG_HOME=  XDG_CONFIG_HOME=relative  XDG_CONFIG_DIRS=/nonexistent
XDG_STATE_HOME=/dev/full  XDG_DATA_HOME=relative  XDG_CACHE_HOME=/nonexistent  XDG_RUNTIME_DIR=/nonexistent
TMPDIR=/nonexistent  TMPDIR=/dev/null  TMPDIR=\xff  PWD=/nonexistent  OLDPWD=\x1b]0;title\a  CDPATH=/  SHLVL=1000000
USER=  LOGNAME=\xff  SHELL=/nonexistent  EDITOR=false  PAGER=cat  LESS=nonsense  IFS=apimrt  ENV=/etc/passwd
BASH_ENV=/etc/passwd  PS4=$(exit)  POSIXLY_CORRECT=1  TZ=  TZ=:  TZ=UTC  TZ=Europe/Berlin  TZ=Asia/Kathmandu  TZ=XXX99
TZ=<\x01>3  TZ=/etc/passwd  TZ=\xff  TZDIR=/nonexistent  SOURCE_DATE_EPOCH=0  FAKETIME=nonsense  MALLOC_ARENA_MAX=1
MALLOC_CHECK_=3  MALLOC_PERTURB_=165  GLIBC_TUNABLES=glibc.malloc.check=3  GLIBC_TUNABLES=nonsense
GCONV_PATH=/nonexistent  LD_BIND_NOW=1  LD_LIBRARY_PATH=/nonexistent  CI=  CI=false  CI=1  CI=true
GITHUB_ACTIONS=true  GITHUB_OUTPUT=/nonexistent/output  GITHUB_STEP_SUMMARY=/dev/full  RUNNER_DEBUG=1  GITLAB_CI=true
TF_BUILD=True  TEAMCITY_VERSION=1  BUILD_NUMBER=1  OPENAI_API_KEY=sk-another-services-key-000000
OPENAI_BASE_URL=http://127.0.0.1:9  ANTHROPIC_API_KEY=sk-another-services-key-000000  APIMART_UNKNOWN=1
APIMART_KEY=sk-not-a-variable-of-ours  APIMART_MIN=0  APIMART_SCOPE=account  APIMART_OUTPUT=value  APIMART_FAIL_OPEN=1
APIMART_QUIET=0  apimart_api_key=sk-wrong-case  A=\x1b[2J\x1b[H  A=::set-output name=verdict::pass
A=()\x20{ :; }; exit 0  COVERAGE_FILE=/nonexistent  HYPOTHESIS_PROFILE=nonsense  VIRTUAL_ENV=/nonexistent
PIP_REQUIRE_VIRTUALENV=1  CONDA_PREFIX=/nonexistent  PYTHONTRACEMALLOC=1  PYTHONDEVMODE=1
"""
"""Exit code 3: the balance is read, and is below the minimum."""

MISTAKES = r"""
APIMART_BASE_URL=  APIMART_BASE_URL=nonsense  APIMART_BASE_URL=http://gateway.example
APIMART_BASE_URL=https://user:password@gateway.example  APIMART_BASE_URL=\xff  APIMART_TIMEOUT=  APIMART_TIMEOUT=abc
APIMART_TIMEOUT=0  APIMART_TIMEOUT=-1  APIMART_TIMEOUT=1e3  APIMART_TIMEOUT=inf  APIMART_PROFILE=
APIMART_PROFILE=missing  APIMART_PROFILE=\xff  APIMART_CONFIG=  APIMART_CONFIG=/nonexistent/config.toml
APIMART_CONFIG=/  APIMART_CONFIG=\xff
"""
"""Exit code 2: a variable of ours that is wrong is named, and nobody is asked."""

KEYS = r"""
APIMART_API_KEY=  APIMART_API_KEY=two words  APIMART_API_KEY=sk-\x01  APIMART_API_KEY=\xff
APIMART_API_KEY=sk-\xff\xfe
"""
"""Exit code 4: a key that cannot be one."""


def variables() -> Iterator[Variable]:
    """Yield all of them."""
    for group, code in ((HARMLESS, 3), (MISTAKES, 2), (KEYS, 4)):
        for each in re.split("  |\n", group.strip("\n")):
            name, _, value = each.partition("=")
            yield Variable(name, value.encode().decode("unicode_escape").encode("latin-1"), code)


def batches(size: int) -> Iterator[Mapping[str, Variable]]:
    """Yield the variables that change nothing, `size` at a time and no name twice in a batch."""
    waiting = [variable for variable in variables() if variable.code == 3]
    while waiting:
        batch: dict[str, Variable] = {}
        for variable in waiting:
            if variable.name not in batch and len(batch) < size:
                batch[variable.name] = variable
        waiting = [variable for variable in waiting if batch.get(variable.name) is not variable]
        yield batch
