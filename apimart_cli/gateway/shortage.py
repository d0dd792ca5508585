"""No money: what the words of a gateway's JSON error say about a quota or a balance. Pure: no I/O.

The words are read strictly, clause by clause: "no money" is a verdict, and must not hide a rejected key, an outage or
a limit of the rate.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple, TypeGuard

from apimart_cli.gateway.answer import JsonNumber

LONGEST_READ = 2000
"""Most characters of a message that is read. The gateway's errors have one line; reading 64 KiB takes 44 ms."""

NO_MONEY_CODES = frozenset({"quota_not_enough", "insufficient_user_quota", "pre_consume_token_quota_failed"})
"""Codes of gateways of this family, from the source that they share. They count with any status."""

_OWNER = (
    "the|this|your|my|users?|user's|accounts?|account's|customer|customer's|token|token's|key|key's|api|wallet|credit"
    "|remaining|remain|current|available|total|prepaid|own"
)
_BALANCE = "balance|funds"
_QUOTA = "quota|credits?"
_USED_UP = r"(?:insufficient|exhausted|depleted|used up|not enough|not sufficient|too low|zero)"
_BEING = r"(?:(?:is|are|was|were|has|have|been|now|already|all|fully|completely|currently) ){0,6}"
_BEFORE = "due to|because of|because|since|as|have|has|is|are|run|ran|with|error|failed|denied|rejected|refused"
_AFTER = "please|in|on|for|of|to|and|at|left|remaining|error"


def _empty(noun: str) -> str:
    """Return the pattern of a clause that says that a noun is used up, in the form that `_clauses` gives."""
    owned = rf"(?:(?:{_OWNER}) ){{0,6}}(?:{noun})"
    return (
        rf"(?:;|[; ](?:{_BEFORE}) )"
        rf"(?:(?:insufficient|not enough|out of) {owned}"
        rf"|no {owned} (?:left|remaining|remains|available)"
        rf"|{owned} (?:(?:of|for|on|in) (?:(?:{_OWNER}) ){{1,6}})?{_BEING}{_USED_UP})"
        rf"(?=;(?!or[; ])| (?:{_AFTER})[; ])"
    )


_NO_BALANCE, _NO_QUOTA = _empty(_BALANCE), _empty(_QUOTA)

_DOUBT = (
    r"[; ](?:if|when|whenever|whether|unless|may|might|maybe|perhaps|possible|possibly|probably|likely|could be|can be"
    r"|either|or|will|about|before|until|once|check|causes|reasons)[; ]"
)
"""Words after which a clause states only a possibility."""

_TIME = (
    r"[; ](?:rates?|per(?! (?:request|call)[; ])|rp[smhd]|tp[smhd]|qps|seconds?|minutes?|hours?|days?|weeks?|months?"
    r"|hourly|daily|weekly|monthly|today|resets?|throttled|throttling|concurrent|concurrency"
    r"|requests(?! (?:are|were|will be) (?:refused|rejected|denied|blocked)[; ]))[; ]"
    r"|/(?:s|sec|second|m|min|minute|h|hr|hour|d|day)[; ]"
)
"""Words of a quota for a time. "Per request" is none: it also tells what a call costs."""

_OF_OTHERS = r"[; ](?:upstream|providers?|channels?)[; ]"
"""Words of a quota or a balance that is not the user's."""

_KEY = r"(?:token|key|credentials?)"
_UNFIT = r"(?:invalid|incorrect|wrong|unknown|expired|revoked|disabled|malformed|not valid|not found)"
_KEY_IS_UNFIT = (
    rf"[; ]{_UNFIT} (?:(?:{_OWNER}|access|secret|bearer|auth) ){{0,3}}{_KEY}[; ]"
    rf"|[; ]{_KEY} {_BEING}{_UNFIT}[; ]"
)
"""The key was rejected: more money would not help."""

_HAN = "\u4e00-\u9fff"


def _empty_in_chinese(noun: str) -> str:
    return (
        rf"(?<![{_HAN}a-z0-9%/])(?:(?:token|key) ?)?"
        "(?:该|該|此|本|您|你|的|当前|當前|账户|账号|帐户|帐号|帳戶|帳號|用户|用戶|令牌|密钥|密鑰|剩余|剩餘|可用|总|總"
        "|钱包|錢包|因为|因為|因|由于|由於|抱歉|错误|錯誤|请求失败|請求失敗){0,8}"
        f"(?:{noun})"
        "(?:已经|已經|已|均|都|全部){0,3}"
        "(?:不足|不够|不夠|用尽|用盡|用完|用光|耗尽|耗盡)了?"
        rf"(?:[以请請]|(?![{_HAN}a-z0-9%/]))(?![^{_HAN}a-z0-9]*或)"
    )


_NO_BALANCE_IN_CHINESE, _NO_QUOTA_IN_CHINESE = _empty_in_chinese("余额|餘額"), _empty_in_chinese("额度|配额|額度|配額")

_DOUBT_IN_CHINESE = "可能|如果|若|是否|或|检查|檢查"

_TIME_IN_CHINESE = (
    "每|秒|分钟|分鐘|小时|小時|今日|今天|当日|當日|当天|當天|本周|本週|本月|当月|當月|频|頻|速率|限流|并发|並發|次数|次數"
    "|请求数|請求數"
)

_OF_OTHERS_IN_CHINESE = "上游|渠道|通道|供应商|供應商"

_UNFIT_IN_CHINESE = "(?:无效|無效|失效|过期|過期|禁用|停用|吊销|吊銷)"
_KEY_IN_CHINESE = "(?:令牌|密钥|密鑰|token|key)"
_KEY_IS_UNFIT_IN_CHINESE = (
    rf"{_KEY_IN_CHINESE} ?(?:状态|狀態|已经|已經|已|被|不可用|是|为|為){{0,3}}{_UNFIT_IN_CHINESE}"
    rf"|{_UNFIT_IN_CHINESE}的? ?(?:api ?)?{_KEY_IN_CHINESE}"
)

_OR_IN_ARREARS = "[,\uff0c]? ?或已?欠[费費]|已?欠[费費][,\uff0c]? ?或"
"""Another word for "used up" after an "or", which leaves nothing open therefore."""

_IN_BRACKETS = rf" ?\[ ?[$\uff04\u00a5\uffe5]?-?[0-9]+(?:\.[0-9]+)?(?: ?(?:额度|額度))?\](?: (?=[{_HAN}]))?"
"""A number that stands between the words: `user [12] quota [0] insufficient`."""

_AMOUNT = r"(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,30})?"

_NOT_PREPAID = (
    rf"预扣费额度失败[,\uff0c]? ?(?:用户|令牌)?剩余额度[:\uff1a] ?[$\uff04\u00a5\uffe5]?(-?{_AMOUNT})(?: ?额度)?"
    rf"[,\uff0c]? ?需要预扣费额度[:\uff1a] ?[$\uff04\u00a5\uffe5]?({_AMOUNT})(?![0-9.])"
)
"""Gateways of this family say so that more was to be booked ahead than is left."""

_FLOOR = rf"\(current: (-?{_AMOUNT}) ([A-Z]{{3}}), required: ({_AMOUNT}) ([A-Z]{{3}})\)"


class Complaint(NamedTuple):
    """The message and the codes of a JSON error of the gateway."""

    message: str
    codes: tuple[str, ...] = ()
    """The codes that are words."""


def complaint_in(fields: Mapping[str, Any]) -> Complaint | None:
    """Return the error of the gateway in a JSON object; None where there is none, or where it claims success."""
    error = fields.get("error")
    holder = error if isinstance(error, Mapping) else fields
    message = holder.get("message")
    if fields.get("success") is True or not (isinstance(error, Mapping) or _is_text(message)):
        return None
    codes = [each.get("code") for each in ([error, fields] if isinstance(error, Mapping) else [fields])]
    return Complaint(message if _is_text(message) else "", tuple(code for code in codes if _is_text(code)))


def says_no_money(complaint: Complaint, *, status: int) -> bool:
    """Tell whether a quota or a balance of the user is used up or not enough.

    A clause counts when it says that of the quota or the balance of the key, the user or the account: "token quota is
    not enough", "insufficient balance", "该令牌额度已用尽". It does not count if the words before it leave that open
    ("if", "may", "or"), or if the error says anywhere that the key is invalid or expired, or speaks of the quota of
    others ("upstream"). A quota, but not a balance, may be one for a time: it does not count either if the error speaks
    of a rate or a time ("per minute", "requests").

    With HTTP 429 only a code counts: the words are about the rate of requests. The words of a message that is longer
    than LONGEST_READ do not count.
    """
    if NO_MONEY_CODES.intersection(complaint.codes):
        return True
    if max(map(len, (*complaint.codes, complaint.message))) > LONGEST_READ:
        return False
    return status != 429 and _says_empty(_lower(";".join((*complaint.codes, complaint.message))))


class Floor(NamedTuple):
    """The least that the gateway wants for any call. Amounts are as it wrote them."""

    current: str
    required: str
    unit: str

    @property
    def in_words(self) -> str:
        """What is left and what is wanted, as a sentence."""
        return f"{self.current} {self.unit} left, the gateway wants {self.required} for any call"


def floor_told(message: str) -> Floor | None:
    """Return what a message says of the least that the gateway wants; None if it is unclear.

    Seen in 2026 with HTTP 402: "insufficient balance (current: 0.013570 USD, required: 0.050000 USD)".
    """
    found = re.findall(_FLOOR, message[:LONGEST_READ])
    if len(found) != 1:
        return None
    ((current, unit, required, same_unit),) = found
    if unit != same_unit or Decimal(current) >= Decimal(required):
        return None
    return Floor(current, required, unit)


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and not isinstance(value, JsonNumber)


def _says_empty(text: str) -> bool:
    text = re.sub(_OR_IN_ARREARS, "", re.sub(_IN_BRACKETS, "", text))
    clauses = _clauses(text)
    if re.search(f"{_OF_OTHERS}|{_KEY_IS_UNFIT}", clauses) or re.search(
        f"{_OF_OTHERS_IN_CHINESE}|{_KEY_IS_UNFIT_IN_CHINESE}", text
    ):
        return False
    if _is_said(_NO_BALANCE, clauses, _DOUBT) or _is_said(_NO_BALANCE_IN_CHINESE, text, _DOUBT_IN_CHINESE):
        return True
    if any(Decimal(left) < Decimal(needed) for left, needed in re.findall(_NOT_PREPAID, text)):
        return True
    if re.search(_TIME, clauses) or re.search(_TIME_IN_CHINESE, text):
        return False
    return _is_said(_NO_QUOTA, clauses, _DOUBT) or _is_said(_NO_QUOTA_IN_CHINESE, text, _DOUBT_IN_CHINESE)


def _is_said(pattern: str, text: str, doubt: str) -> bool:
    found = re.search(pattern, text)
    # Overlapping ends: a clause begins with the mark that ends the one before it.
    return found is not None and not re.search(doubt, text[: found.start() + 1])


def _lower(text: str) -> str:
    """Return `text` with the capitals of ASCII as small letters. `str.lower` would change other characters, too."""
    return re.sub("[A-Z]+", lambda capitals: capitals.group().lower(), text)


def _clauses(text: str) -> str:
    """Return the words with one space between them, and one `;` around each clause."""
    words = re.sub(r"(?<=[a-z0-9])[-_](?=[a-z0-9])", " ", text)
    marked = re.sub(r"[^\w'%/ ]+", ";", re.sub(r"[ \t]+", " ", words))
    return re.sub(r" ?;[; ]*", ";", f";{marked};")
