"""A second opinion on the words of an error: whether they say that there is no money.

Part of the oracle: it goes through the text sign by sign and word by word, where the project uses patterns, and has
lists of its own.
"""

import itertools
from typing import Any

_CODES_OF_NO_MONEY = ("quota_not_enough", "insufficient_user_quota", "pre_consume_token_quota_failed")
_OWNERS = [
    "the",
    "this",
    "your",
    "my",
    "user",
    "users",
    "user's",
    "account",
    "accounts",
    "account's",
    "customer",
    "customer's",
    "token",
    "token's",
    "key",
    "key's",
    "api",
    "wallet",
    "credit",
    "remaining",
    "remain",
    "current",
    "available",
    "total",
    "prepaid",
    "own",
]
_MONEY = ["quota", "balance", "credit", "credits", "funds"]
_STATES = [
    words.split()
    for words in ("insufficient", "exhausted", "depleted", "used up", "not enough", "not sufficient", "too low")
]
_LACKS = [words.split() for words in ("insufficient", "not enough", "out of")]
_BEING = [
    "is",
    "are",
    "was",
    "were",
    "has",
    "have",
    "been",
    "now",
    "already",
    "all",
    "fully",
    "completely",
    "currently",
]
_LEADS_TO_IT = [
    words.split()
    for words in (
        "due to", "because of", "because", "since", "as", "have", "has", "is", "are", "run", "ran", "with", "error",
        "failed", "denied", "rejected", "refused",
    )
]  # fmt: skip
_MAY_FOLLOW = ["please", "in", "on", "for", "of", "to", "and", "at", "left", "remaining", "error"]
_DOUBTS = [
    "if",
    "when",
    "whenever",
    "whether",
    "unless",
    "may",
    "might",
    "maybe",
    "perhaps",
    "possible",
    "possibly",
    "probably",
    "likely",
    "either",
    "or",
    "will",
    "about",
    "before",
    "until",
    "once",
    "check",
    "causes",
    "reasons",
]
_RATES = [
    "rate",
    "rates",
    "per",
    "rps",
    "rpm",
    "rph",
    "rpd",
    "tps",
    "tpm",
    "tph",
    "tpd",
    "qps",
    "second",
    "seconds",
    "minute",
    "minutes",
    "hour",
    "hours",
    "day",
    "days",
    "week",
    "weeks",
    "month",
    "months",
    "hourly",
    "daily",
    "weekly",
    "monthly",
    "today",
    "reset",
    "resets",
    "throttled",
    "throttling",
    "concurrent",
    "concurrency",
    "requests",
    "upstream",
    "provider",
    "providers",
    "channel",
    "channels",
]
_TIMES = ["s", "sec", "second", "m", "min", "minute", "h", "hr", "hour", "d", "day"]

_LEADS_IN_CHINESE = [
    "该",
    "該",
    "此",
    "本",
    "您",
    "你",
    "的",
    "当前",
    "當前",
    "账户",
    "账号",
    "帐户",
    "帐号",
    "帳戶",
    "帳號",
    "用户",
    "用戶",
    "令牌",
    "密钥",
    "密鑰",
    "剩余",
    "剩餘",
    "可用",
    "总",
    "總",
    "钱包",
    "錢包",
    "因为",
    "因為",
    "因",
    "由于",
    "由於",
    "抱歉",
    "错误",
    "錯誤",
    "请求失败",
    "請求失敗",
]
_MONEY_IN_CHINESE = ["额度", "余额", "配额", "額度", "餘額", "配額"]
_BEING_IN_CHINESE = ["已经", "已經", "已", "均", "都", "全部"]
_STATES_IN_CHINESE = ["不足", "不够", "不夠", "用尽", "用盡", "用完", "用光", "耗尽", "耗盡"]
_DOUBTS_IN_CHINESE = ["可能", "如果", "若", "是否", "或", "检查", "檢查"]
_RATES_IN_CHINESE = [
    "每",
    "秒",
    "分钟",
    "分鐘",
    "小时",
    "小時",
    "今日",
    "今天",
    "当日",
    "當日",
    "当天",
    "當天",
    "本周",
    "本週",
    "本月",
    "当月",
    "當月",
    "频",
    "頻",
    "速率",
    "限流",
    "并发",
    "並發",
    "次数",
    "次數",
    "请求数",
    "請求數",
    "上游",
    "渠道",
    "通道",
    "供应商",
    "供應商",
]


def says_no_money(document: dict[str, Any], status: int) -> bool:
    """Whether an error says that the quota of the key or the balance is used up, and means nothing else."""
    error = document.get("error")
    holders = [error, document] if isinstance(error, dict) else [document]
    codes = [holder["code"] for holder in holders if isinstance(holder.get("code"), str)]
    if any(code in _CODES_OF_NO_MONEY for code in codes):
        return True
    if status == 429:
        return False
    message = holders[0].get("message")
    parts = [*codes, message if isinstance(message, str) else ""]
    if any(len(part) > 2000 for part in parts):
        return False
    text = ";".join(parts)
    text = "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in text)
    clauses = _clauses_of(text)
    words = [word for clause in clauses for word in clause]
    if any(word in _RATES for word in words) or any(word in text for word in _RATES_IN_CHINESE):
        return False
    if any("/" in word and word.split("/")[-1] in _TIMES for word in words):
        return False
    return _said_in_english(clauses) or _said_in_chinese(text)


def _clauses_of(text: str) -> list[list[str]]:
    """The words of each clause: a hyphen or underscore inside of a word parts it in two, other signs end the clause."""
    plain = "abcdefghijklmnopqrstuvwxyz0123456789"
    clauses: list[list[str]] = [[]]
    is_in_word = False
    for place, sign in enumerate(text):
        is_inside = 0 < place < len(text) - 1 and text[place - 1] in plain and text[place + 1] in plain
        if sign in " \t" or (sign in "-_" and is_inside):
            is_in_word = False
        elif sign.isalnum() or sign in "_'%/":
            if is_in_word:
                clauses[-1][-1] += sign
            else:
                clauses[-1].append(sign)
            is_in_word = True
        else:
            clauses.append([])
            is_in_word = False
    return [clause for clause in clauses if clause]


def _said_in_english(clauses: list[list[str]]) -> bool:
    before: list[str] = []
    for number, clause in enumerate(clauses):
        follows = clauses[number + 1][0] if number + 1 < len(clauses) else ""
        for start in range(len(clause)):
            leads = [0] if start == 0 else []
            leads += [
                start - len(lead)
                for lead in _LEADS_TO_IT
                if start >= len(lead) and clause[start - len(lead) : start] == lead
            ]
            if not leads or not any(_may_end(clause, end, follows) for end in _ends_of_it(clause, start)):
                continue
            for lead in leads:
                if not _is_doubtful([*before, ";", *clause[:lead]]):
                    return True
        before += [";", *clause]
    return False


def _may_end(clause: list[str], end: int, follows: str) -> bool:
    return follows != "or" if end == len(clause) else clause[end] in _MAY_FOLLOW


def _is_doubtful(words: list[str]) -> bool:
    pairs = list(itertools.pairwise(words))
    return any(word in _DOUBTS for word in words) or ("could", "be") in pairs or ("can", "be") in pairs


def _ends_of_it(clause: list[str], start: int) -> set[int]:
    """Where a phrase of no money that begins there may end."""
    lacking = _past(clause, {start}, _LACKS)
    ends = _past(clause, _past_some(clause, lacking, _OWNERS), [[word] for word in _MONEY])
    nouns = _past(clause, _past_some(clause, {start}, _OWNERS), [[word] for word in _MONEY])
    linked = _past(clause, nouns, [["of"], ["for"], ["on"], ["in"]])
    owned = _past_some(clause, _past(clause, linked, [[word] for word in _OWNERS]), _OWNERS, most=5)
    return ends | _past(clause, _past_some(clause, nouns | owned, _BEING), _STATES)


def _past(clause: list[str], places: set[int], phrases: list[list[str]]) -> set[int]:
    return {
        place + len(phrase) for place in places for phrase in phrases if clause[place : place + len(phrase)] == phrase
    }


def _past_some(clause: list[str], places: set[int], words: list[str], most: int = 6) -> set[int]:
    reached = set(places)
    for _ in range(most):
        places = _past(clause, places, [[word] for word in words])
        reached |= places
    return reached


def _said_in_chinese(text: str) -> bool:
    if not any(word in text for word in _MONEY_IN_CHINESE):
        return False
    for start in range(len(text)):
        if start and (_is_han(text[start - 1]) or text[start - 1] in "abcdefghijklmnopqrstuvwxyz0123456789%/"):
            continue
        if any(word in text[:start] for word in _DOUBTS_IN_CHINESE):
            return False
        named = _past_text(text, {start}, ["token", "key"])
        places = {start} | named | _past_text(text, named, [" "])
        for _ in range(8):
            places |= _past_text(text, places, _LEADS_IN_CHINESE)
        places = _past_text(text, places, _MONEY_IN_CHINESE)
        for _ in range(3):
            places |= _past_text(text, places, _BEING_IN_CHINESE)
        places = _past_text(text, places, _STATES_IN_CHINESE)
        places |= _past_text(text, places, ["了"])
        if any(_may_end_in_chinese(text, place) for place in places):
            return True
    return False


def _past_text(text: str, places: set[int], words: list[str]) -> set[int]:
    return {place + len(word) for place in places for word in words if text.startswith(word, place)}


def _may_end_in_chinese(text: str, place: int) -> bool:
    after = text[place : place + 1]
    if after and after in "以请請":
        place += 1
    elif after and (_is_han(after) or after in "abcdefghijklmnopqrstuvwxyz0123456789%/"):
        return False
    while place < len(text) and not _is_han(text[place]) and text[place] not in "abcdefghijklmnopqrstuvwxyz0123456789":
        place += 1
    return text[place : place + 1] != "或"


def _is_han(sign: str) -> bool:
    return "\u4e00" <= sign <= "\u9fff"
