"""A second opinion on the words of an error: whether they say that there is no money.

Part of the oracle: it goes through the text sign by sign and word by word, where the project uses patterns, and has
lists of its own.
"""

import itertools
from decimal import Decimal
from typing import Any

_CODES_OF_NO_MONEY = ("quota_not_enough", "insufficient_user_quota", "pre_consume_token_quota_failed")
_OWNERS = [
    "the", "this", "your", "my", "user", "users", "user's", "account", "accounts", "account's", "customer",
    "customer's", "token", "token's", "key", "key's", "api", "wallet", "credit", "remaining", "remain", "current",
    "available", "total", "prepaid", "own",
]  # fmt: skip
_BALANCES = ["balance", "funds"]
_QUOTAS = ["quota", "credit", "credits"]
_STATES = [
    words.split()
    for words in ("insufficient", "exhausted", "depleted", "used up", "not enough", "not sufficient", "too low", "zero")
]
_LACKS = [words.split() for words in ("insufficient", "not enough", "out of")]
_WHAT_IS_THERE = [["left"], ["remaining"], ["remains"], ["available"]]
_BEING = [
    "is", "are", "was", "were", "has", "have", "been", "now", "already", "all", "fully", "completely", "currently",
]  # fmt: skip
_LEADS_TO_IT = [
    words.split()
    for words in (
        "due to", "because of", "because", "since", "as", "have", "has", "is", "are", "run", "ran", "with", "error",
        "failed", "denied", "rejected", "refused",
    )
]  # fmt: skip
_MAY_FOLLOW = ["please", "in", "on", "for", "of", "to", "and", "at", "left", "remaining", "error"]
_DOUBTS = [
    "if", "when", "whenever", "whether", "unless", "may", "might", "maybe", "perhaps", "possible", "possibly",
    "probably", "likely", "either", "or", "will", "about", "before", "until", "once", "check", "causes", "reasons",
]  # fmt: skip
_RATES = [
    "rate", "rates", "per", "rps", "rpm", "rph", "rpd", "tps", "tpm", "tph", "tpd", "qps", "second", "seconds",
    "minute", "minutes", "hour", "hours", "day", "days", "week", "weeks", "month", "months", "hourly", "daily",
    "weekly", "monthly", "today", "reset", "resets", "throttled", "throttling", "concurrent", "concurrency", "requests",
]  # fmt: skip
_OTHERS = ["upstream", "provider", "providers", "channel", "channels"]
_KEYS = ["token", "key", "credential", "credentials"]
_FAULTS_OF_KEYS = [
    words.split()
    for words in (
        "invalid", "incorrect", "wrong", "unknown", "expired", "revoked", "disabled", "malformed", "not valid",
        "not found",
    )
]  # fmt: skip
_BESIDE_KEYS = [*_OWNERS, "access", "secret", "bearer", "auth"]
_TIMES = ["s", "sec", "second", "m", "min", "minute", "h", "hr", "hour", "d", "day"]

_LEADS_IN_CHINESE = [
    "该", "該", "此", "本", "您", "你", "的", "当前", "當前", "账户", "账号", "帐户", "帐号", "帳戶", "帳號", "用户",
    "用戶", "令牌", "密钥", "密鑰", "剩余", "剩餘", "可用", "总", "總", "钱包", "錢包", "因为", "因為", "因", "由于",
    "由於", "抱歉", "错误", "錯誤", "请求失败", "請求失敗",
]  # fmt: skip
_BALANCES_IN_CHINESE = ["余额", "餘額"]
_QUOTAS_IN_CHINESE = ["额度", "配额", "額度", "配額"]
_BEING_IN_CHINESE = ["已经", "已經", "已", "均", "都", "全部"]
_STATES_IN_CHINESE = ["不足", "不够", "不夠", "用尽", "用盡", "用完", "用光", "耗尽", "耗盡"]
_DOUBTS_IN_CHINESE = ["可能", "如果", "若", "是否", "或", "检查", "檢查"]
_RATES_IN_CHINESE = [
    "每", "秒", "分钟", "分鐘", "小时", "小時", "今日", "今天", "当日", "當日", "当天", "當天", "本周", "本週", "本月",
    "当月", "當月", "频", "頻", "速率", "限流", "并发", "並發", "次数", "次數", "请求数", "請求數",
]  # fmt: skip
_OTHERS_IN_CHINESE = ["上游", "渠道", "通道", "供应商", "供應商"]
_KEYS_IN_CHINESE = ["令牌", "密钥", "密鑰", "token", "key"]
_FAULTS_IN_CHINESE = ["无效", "無效", "失效", "过期", "過期", "禁用", "停用", "吊销", "吊銷"]
_STATES_OF_KEYS_IN_CHINESE = ["状态", "狀態", "已经", "已經", "已", "被", "不可用", "是", "为", "為"]
_ARREARS = ["已欠费", "已欠費", "欠费", "欠費"]
_CURRENCIES = "$\uff04\u00a5\uffe5"


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
    text = _without_arrears(_without_brackets(text))
    clauses = _clauses_of(text)
    words = [word for clause in clauses for word in clause]
    if any(word in _OTHERS for word in words) or any(word in text for word in _OTHERS_IN_CHINESE):
        return False
    if any(_is_fault_of_key(clause) for clause in clauses) or _is_fault_of_key_in_chinese(text):
        return False
    if _said_in_english(clauses, _BALANCES) or _said_in_chinese(text, _BALANCES_IN_CHINESE):
        return True
    if _lacks_what_is_booked_ahead(text):
        return True
    if any(_is_of_a_time(clause) for clause in clauses) or any(word in text for word in _RATES_IN_CHINESE):
        return False
    return _said_in_english(clauses, _QUOTAS) or _said_in_chinese(text, _QUOTAS_IN_CHINESE)


def _is_of_a_time(clause: list[str]) -> bool:
    for place, word in enumerate(clause):
        after = clause[place + 1 :]
        if word == "per" and after[:1] in (["request"], ["call"]):
            continue
        refused = ("refused", "rejected", "denied", "blocked")
        if word == "requests" and any(
            after[: len(being)] == being and "".join(after[len(being) : len(being) + 1]) in refused
            for being in (["are"], ["were"], ["will", "be"])
        ):
            continue
        if word in _RATES or ("/" in word and word.split("/")[-1] in _TIMES):
            return True
    return False


def _is_fault_of_key(clause: list[str]) -> bool:
    for start in range(len(clause)):
        named = _past_some(clause, _past(clause, {start}, _FAULTS_OF_KEYS), _BESIDE_KEYS, most=3)
        being = _past_some(clause, _past(clause, {start}, [[word] for word in _KEYS]), _BEING)
        if _past(clause, named, [[word] for word in _KEYS]) or _past(clause, being, _FAULTS_OF_KEYS):
            return True
    return False


def _is_fault_of_key_in_chinese(text: str) -> bool:
    for start in range(len(text)):
        places = _past_text(text, {start}, _KEYS_IN_CHINESE)
        places |= _past_text(text, places, [" "])
        for _ in range(3):
            places |= _past_text(text, places, _STATES_OF_KEYS_IN_CHINESE)
        named = _past_text(text, {start}, _FAULTS_IN_CHINESE)
        for words in (["的"], [" "], ["api ", "api"]):
            named |= _past_text(text, named, words)
        if _past_text(text, places, _FAULTS_IN_CHINESE) or _past_text(text, named, _KEYS_IN_CHINESE):
            return True
    return False


def _without_brackets(text: str) -> str:
    """Leave out numbers in brackets between words, with the space before each, and one after it before Chinese."""
    parts: list[str] = []
    rest = text
    while "[" in rest:
        before, _, inside = rest.partition("[")
        number, closed, after = inside.partition("]")
        bare = number.removeprefix(" ")
        bare = bare[1:] if bare[:1] and bare[0] in _CURRENCIES else bare
        bare = bare.removeprefix("-")
        for unit in ("额度", "額度"):
            if bare.endswith(unit):
                bare = bare.removesuffix(unit).removesuffix(" ")
                break
        if closed and _is_plain_number(bare):
            parts.append(before.removesuffix(" "))
            rest = after[1:] if after[:1] == " " and after[1:] and _is_han(after[1]) else after
        else:
            parts.append(f"{before}[")
            rest = inside
    return "".join(parts) + rest


def _without_arrears(text: str) -> str:
    """Leave out `or in arrears` and `in arrears or`: that is no other reason."""
    place, kept = 0, ""
    while place < len(text):
        ends: list[int] = []
        for comma in ("", ",", "\uff0c"):
            for space in ("", " "):
                for words in _ARREARS:
                    ends += [
                        place + len(whole)
                        for whole in (f"{comma}{space}或{words}", f"{words}{comma}{space}或")
                        if text.startswith(whole, place)
                    ]
        if ends:
            place = max(ends)
        else:
            kept += text[place]
            place += 1
    return kept


def _lacks_what_is_booked_ahead(text: str) -> bool:
    for part in text.split("预扣费额度失败")[1:]:
        rest = part.removeprefix(",") if part[:1] == "," else part.removeprefix("\uff0c")
        rest = rest.removeprefix(" ")
        for owner in ("用户", "令牌"):
            if rest.startswith(owner):
                rest = rest.removeprefix(owner)
                break
        left, rest = _amount_after("剩余额度", rest)
        if left is None:
            continue
        rest = rest.removeprefix(" 额度") if rest.startswith(" ") else rest.removeprefix("额度")
        rest = rest[1:] if rest[:1] in (",", "\uff0c") else rest
        needed, _ = _amount_after("需要预扣费额度", rest.removeprefix(" "))
        if needed is not None and needed >= 0 and left < needed:
            return True
    return False


def _amount_after(name: str, text: str) -> tuple[Decimal | None, str]:
    """The amount that stands after a name and a colon, and what follows it; None where there is none."""
    if not text.startswith((f"{name}:", f"{name}\uff1a")):
        return None, text
    rest = text[len(name) + 1 :].removeprefix(" ")
    rest = rest[1:] if rest[:1] and rest[0] in _CURRENCIES else rest
    end = 0
    while end < len(rest) and (rest[end] in "0123456789." or (end == 0 and rest[end] == "-")):
        end += 1
    digits = rest[:end].removeprefix("-")
    whole, _, places = digits.partition(".")
    is_one = _is_plain_number(digits) and len(whole) <= 15 and len(places) <= 30 and (whole == "0" or whole[0] != "0")
    return (Decimal(rest[:end]), rest[end:]) if is_one else (None, text)


def _is_plain_number(text: str) -> bool:
    whole, point, places = text.partition(".")
    parts = [whole, places] if point else [whole]
    return all(part and all(sign in "0123456789" for sign in part) for part in parts)


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


def _said_in_english(clauses: list[list[str]], money: list[str]) -> bool:
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
            if not leads or not any(_may_end(clause, end, follows) for end in _ends_of_it(clause, start, money)):
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


def _ends_of_it(clause: list[str], start: int, money: list[str]) -> set[int]:
    """Where a phrase of no money that begins there may end."""
    lacking = _past(clause, {start}, _LACKS)
    ends = _past(clause, _past_some(clause, lacking, _OWNERS), [[word] for word in money])
    none = _past_some(clause, _past(clause, {start}, [["no"]]), _OWNERS)
    ends |= _past(clause, _past(clause, none, [[word] for word in money]), _WHAT_IS_THERE)
    nouns = _past(clause, _past_some(clause, {start}, _OWNERS), [[word] for word in money])
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


def _said_in_chinese(text: str, money: list[str]) -> bool:
    if not any(word in text for word in money):
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
        places = _past_text(text, places, money)
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
