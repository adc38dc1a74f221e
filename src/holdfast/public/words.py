"""The preference page's own words, by language."""

from __future__ import annotations

from collections.abc import Mapping

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "What you receive from {shop}",
        "intro": "Choose how {shop} may write to you about offers. Messages about your orders always reach you.",
        "email": "E-mail",
        "sms": "Text message",
        "push": "Notifications from the app",
        "closed": "We cannot reach you this way at present.",
        "profiling": "Choose offers by what I bought",
        "profiling_note": "Without this nobody works out from your orders what to offer you.",
        "save": "Save my choice",
        "stop": "Stop all offers",
        "saved": "Your choice is saved. It holds from now on.",
        "none": "You receive no offers from {shop}.",
        "missing_title": "This page does not exist",
        "missing": "The link may be incomplete. Please open it once more from your message.",
        "other_language": "中文",
    },
    "zh": {
        "title": "您从 {shop} 收到的消息",
        "intro": "请选择 {shop} 可以通过哪些方式向您发送优惠信息。与订单有关的通知不受影响。",
        "email": "电子邮件",
        "sms": "短信",
        "push": "应用通知",
        "closed": "目前无法通过此方式联系到您。",
        "profiling": "根据我的购买记录挑选优惠",
        "profiling_note": "如不勾选，我们不会分析您的订单来决定向您推荐什么。",
        "save": "保存选择",
        "stop": "停止接收所有优惠",
        "saved": "您的选择已保存，即刻生效。",
        "none": "您目前不接收 {shop} 的任何优惠信息。",
        "missing_title": "页面不存在",
        "missing": "链接可能不完整，请从原消息中重新打开。",
        "other_language": "English",
    },
}


def language(*wanted: str | None) -> str:
    """The first language that the page has among these locales (``zh-CN``) or Accept-Language headers; else English."""
    for text in wanted:
        for part in (text or "").split(","):
            found = part.split(";")[0].strip().partition("-")[0].lower()
            if found in WORDS:
                return found
    return "en"
