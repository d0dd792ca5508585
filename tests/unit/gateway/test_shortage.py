"""The words of a gateway that say that there is no money, and those that only sound like it."""

import time
from typing import Any

import pytest

from apimart_cli.gateway.answer import JsonNumber
from apimart_cli.gateway.shortage import (
    LONGEST_READ,
    NO_MONEY_CODES,
    Complaint,
    complaint_in,
    floor_told,
    says_no_money,
)


def says(message: str, *codes: str, status: int = 500) -> bool:
    return says_no_money(Complaint(message, codes), status=status)


@pytest.mark.parametrize("message", [
    "insufficient balance", "Insufficient Balance", "insufficient_quota", "insufficient-user-quota",
    "[token_id=1] insufficient balance (current: 0.013570 USD, required: 0.050000 USD). Please top up",
    "insufficient quota: balance=12, required=500",
    "token quota is not enough, token remain quota: 12, need quota: 500",
    "user quota is not enough", "quota exhausted", "Quota used up.", "credits depleted", "insufficient funds",
    "Your account balance is insufficient. If this is wrong, contact support or top up.",
    "The quota of this key has been used up", "the balance in your account is now too low",
    "Request failed due to insufficient balance", "could not go on because of insufficient credits",
    "Error: you have run out of credits", "your credit balance is too low to access the API",
    "not enough balance for this call", "balance not sufficient\nplease top up", "error insufficient quota",
    "该令牌额度已用尽",
    "[sk-abc***FGH] 该令牌额度已用尽 !token.RemainQuota = -3400 (request id: 2026)",
    "額度已用盡", "额度不足", "余额不足", "余额不足了", "用户额度不足, 剩余额度: 0",
    "您的账户余额不足\uff0c请充值后再试或联系管理员", "余额不足请充值", "账户余额不足以支付", "由于账户余额不足",
    "token额度不足", "API Key 额度已经用完", "配额均已耗尽", "no quota left", "there is no balance left",
    "You have no credits remaining on this account", "balance is zero", "the balance of your account is now zero",
    "user [12] quota [0] insufficient", "用户 [12] 额度 [\uff040.000000 额度] 不足", "余额不足或已欠费",
    "您的账户余额不足\uff0c或已欠费", "账户已欠费或余额不足", "账户余额已欠费或不足", "insufficient  \t balance",
    # Words of a rate or a time say what a call costs then, or until when to top up; of a quota, few of them do.
    "insufficient balance: 0.01 available, 0.05 required per request",
    "Insufficient balance. Balance: 0 USD, required per call: 0.05",
    "insufficient balance for this request (1/2 requests)",
    "insufficient balance, requests are refused", "insufficient funds, top up within 24 hours",
    "insufficient quota: 0.01 available, 0.05 required per request",
    "quota exhausted, requests will be rejected", "账户余额不足\uff0c请在1小时内充值",
    "账户余额不足\uff0c无法处理请求数",
])  # fmt: skip
def test_no_money_is_recognised(message: str) -> None:
    """Of the quota or the balance of the key, the user or the account, in English and Chinese."""
    assert says(message)
    assert says(message, status=401)
    assert not says(message, status=429)


@pytest.mark.parametrize("message", [
    # Neither what denies it nor what says something else; a query that failed is a documented failure.
    "", "insufficient", "insufficient permissions", "balance", "your balance is sufficient", "quota is not exhausted",
    "no balance", "quota is not zero", "no quota set", "预扣费额度失败", "not insufficient balance",
    "90% of the quota is used up", "90% quota used up", "额度已用尽90%", "you exceeded your current quota",
    "invalid API key", "Failed to get token info", "获取令牌信息失败", "user quota query failed",
    "used quota query failed", "查询用户额度失败", "查询已用额度失败", "额度查询失败",
    # A rejected key: more money would not help.
    "令牌无效\uff0c额度不足", "额度不足\uff0c令牌已过期", "无效的令牌\uff0c余额不足",
    "该令牌状态不可用\uff0c令牌已禁用\uff0c余额不足", "invalid token, insufficient quota",
    "Incorrect API key provided: insufficient balance", "insufficient balance, your key has been revoked",
    "token expired; balance is zero",
    # A quota for a time: limits of the rate pass by themselves.
    "request quota exceeded per minute", "request quota exhausted", "tokens per minute quota exhausted",
    "quota exhausted: 60 requests for this key", "quota exhausted (RPM)", "insufficient quota, tpm 1000",
    "insufficient quota 60/min", "quota used up: 5 a day", "daily quota used up", "quota used up, it resets at noon",
    "rate limited: quota exhausted", "quota exhausted\ttoday", "quota of requests is used up", "每分钟额度已用尽",
    "今日额度已用完", "请求额度不足", "请求过于频繁\uff0c额度不足", "触发限流\uff0c额度已用尽", "RPM 额度不足",
    "次数额度不足",
    # The gateway's own accounts and disks are its affair: that is an outage.
    "disk quota exhausted", "磁盘额度不足", "GPU额度不足", "upstream: insufficient balance", "上游余额不足",
    "渠道\uff1a余额不足",
    # A possibility: a rejected key must not pass for an empty one.
    "invalid key or insufficient balance", "insufficient balance or invalid key",
    "insufficient balance, or an invalid key", "insufficient balance/invalid key",
    "if your balance is insufficient, top up", "the account may have insufficient balance",
    "this could be because of insufficient balance", "possible causes: insufficient balance",
    "you will soon be out of credits", "insufficient balance service", "令牌无效或额度不足",
    "余额不足\uff0c或已欠费\uff0c或系统繁忙", "no balance left, or a fault", "额度不足或令牌已过期",
    "余额不足\uff0c或令牌无效", "如果余额不足", "当余额不足时", "可能原因\uff1a余额不足",
])  # fmt: skip
def test_what_only_sounds_like_it_is_no_shortage(message: str) -> None:
    """Whatever the status."""
    assert not says(message)
    assert not says(message, status=401)


@pytest.mark.parametrize(("left", "needed", "is_short"), [
    ("\uff040.000000", "\uff040.050000", True), ("\uff040.049999 额度", "\uff040.050000 额度", True),
    ("-12", "500", True), ("\uffe51.5", "\uffe51.50", False), ("0.06", "0.05", False), ("0", "-1", False),
    ("00", "1", False), ("0", "x", False), ("0", "1.2.3", False),
])  # fmt: skip
def test_an_amount_that_could_not_be_booked_is_one_when_less_is_left(left: str, needed: str, is_short: bool) -> None:
    """The numbers say it, as the sentence says only that it failed."""
    assert says(f"预扣费额度失败, 用户剩余额度: {left}, 需要预扣费额度: {needed} (request id: 1)") is is_short


@pytest.mark.parametrize("code", sorted(NO_MONEY_CODES))
def test_the_codes_count_with_any_status(code: str) -> None:
    """Exactly as they are written, 429 included, and whatever the words beside them."""
    assert says("requests per minute", code, status=429)
    assert says("", "other", code)
    assert not says("", f"{code} ", status=429)
    assert not says("", code.upper(), status=429)


def test_the_words_of_a_long_text_do_not_count() -> None:
    """An error of the gateway has a line. A code counts all the same; codes of other gateways may say it in words."""
    line = "insufficient balance".ljust(LONGEST_READ, ".")
    assert says(line)
    assert not says(f"{line}.")
    assert not says("", f"{line}.")
    assert says(f"{line}.", "quota_not_enough")
    assert says("no", "insufficient_quota")
    assert not says("60 requests per minute", "insufficient_quota")
    assert not says("no", "insufficient_quota", status=429)


@pytest.mark.parametrize(("fields", "complaint"), [
    ({"error": {"message": "a", "code": "b"}}, Complaint("a", ("b",))),
    ({"error": {"message": "a", "code": "b"}, "message": "c", "code": "d"}, Complaint("a", ("b", "d"))),
    ({"error": {}}, Complaint("")),
    ({"error": {"message": 7, "code": {}}}, Complaint("")),
    ({"error": {"message": JsonNumber("7"), "code": JsonNumber("402")}}, Complaint("")),
    ({"message": "a"}, Complaint("a")),
    ({"success": False, "message": "a", "code": "b"}, Complaint("a", ("b",))),
    ({"error": "x", "message": "a"}, Complaint("a")), ({"success": True, "message": "a"}, None),
    ({"success": True, "error": {"message": "a"}}, None), ({"success": False}, None),
    ({"code": "quota_not_enough"}, None), ({"message": JsonNumber("7")}, None),
    ({"error": "insufficient balance"}, None), ({}, None),
])  # fmt: skip
def test_an_error_of_the_gateway_has_one_of_two_forms(fields: dict[str, Any], complaint: Complaint | None) -> None:
    """An object `error`, or a text `message`; whatever claims success is none."""
    assert complaint_in(fields) == complaint


@pytest.mark.parametrize(("message", "told"), [
    ("x (current: 0.013570 USD, required: 0.050000 USD). y",
     "0.013570 USD left, the gateway wants 0.050000 for any call"),
    ("(current: -3 CNY, required: 0 CNY)", "-3 CNY left, the gateway wants 0 for any call"),
    (f"(current: 0 USD, required: {'9' * 15}.{'1' * 30} USD)",
     f"0 USD left, the gateway wants {'9' * 15}.{'1' * 30} for any call"),
    ("(current: 0.05 USD, required: 0.050 USD)", None), ("(current: 1 USD, required: 0.05 USD)", None),
    ("(current: 0 USD, required: 1 CNY)", None), ("(current: 0 usd, required: 1 usd)", None),
    ("(current: 00 USD, required: 1 USD)", None), ("(current: 1e-3 USD, required: 1 USD)", None),
    ("(current: 0. USD, required: 1 USD)", None), ("(current: 0 USD, required: -1 USD)", None),
    (f"(current: 0 USD, required: {'9' * 16} USD)", None),
    (f"(current: 0 USD, required: 0.{'1' * 31} USD)", None),
    ("(current: 0 USD, required: 1 USD) (current: 0 USD, required: 2 USD)", None),
    ("(current: \u0660 USD, required: 1 USD)", None), ("insufficient balance", None),
])  # fmt: skip
def test_the_floor_is_told_with_every_digit_or_not_at_all(message: str, told: str | None) -> None:
    """Two plain decimals of one unit, the first one the smaller; anything odd is left to the words."""
    floor = floor_told(message)
    assert (None if floor is None else floor.in_words) == told


@pytest.mark.parametrize(
    "word",
    ["the ", "token ", "quota ", "; ", "当前", "额度", "has ", "insufficient ", "(current: 1", "a-", "the quota is "],
)
def test_long_texts_cost_little(word: str) -> None:
    """As much as is read of what the patterns look for, thirty times, and a text of 64 KiB."""
    longest, whole = (word * (size // len(word)) for size in (LONGEST_READ, 65_536))
    began = time.process_time()
    for text in (*[longest] * 30, whole):
        assert not says(text)
        assert floor_told(text) is None
    assert time.process_time() - began < 2
