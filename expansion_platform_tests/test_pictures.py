"""The picture of an alert shows every text of its blocks, and nothing that Slack would not."""

from __future__ import annotations

import html
import re

import pytest

from expansion_platform.alerting.messages import alert_message
from expansion_platform_tests.alerting.test_alert_life import AROUND, notice, rate_drop, shown
from expansion_platform_tests.pictures import message_html


def test_a_picture_shows_every_text_of_the_message() -> None:
    message = alert_message(notice(rate_drop()), AROUND)
    page = message_html(message["blocks"])
    seen = re.sub(r"\s+", "", html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", "", page, flags=re.DOTALL)))
    for line in shown(message).splitlines():
        assert re.sub(r"[*\s]", "", html.unescape(line)) in seen
    assert "Notascreenshot" in seen


def test_a_block_that_nobody_knows_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match="type image"):
        message_html([{"type": "image"}])
