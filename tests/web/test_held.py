"""OUTAGE_MODE=hold seen by the customer: kept with its end, cancelled, sent when the carrier is back."""

import pytest

from harness.wait import until

ENV = {"OUTAGE_MODE": "hold", "OUTAGE_MAX_HOLD": "60s", "KOS_BREAKER_WINDOW": 4, "KOS_BREAKER_MINIMUM": 4, "KOS_BREAKER_WAIT": "500ms",
       "KOS_BREAKER_WAIT_MAX": "800ms", "KOS_BREAKER_HALF_OPEN_PERMITS": 1, "KOS_READ_RETRIES": 0, "SERVER_THREADS": 1}


@pytest.fixture
def held(page, site, customer, kos):
    """A change that was accepted while KOS is out."""
    page.to_confirm(customer)
    kos.fault("http_status", status=500)
    until(lambda: (site.world.customer().api.menu(), site.world.service.metric("pcs_breaker_state", breaker="kos.inquiry", state="OPEN") == 1)[1], 5)
    page.order().state("PENDING")
    yield customer
    kos.clear()
    until(lambda: site.world.customer().api.menu().status == 200, 10, "KOS is well again")


def test_held_shows_its_end_and_is_sent_when_the_carrier_is_back(page, held, kos):
    text = page.text()
    assert "통신사가 복구되면 처리합니다" in text and "자동으로 취소됩니다" in text and "남은 시간" in text
    page.look("held")
    page.reload()
    page.state("PENDING")
    page.press("[data-action=VIEW_HISTORY]").screen("history").wait("[data-status=PENDING]", "대기 중")
    page.look("history-held")
    page.press("[data-request]").state("PENDING")
    assert not held.orders()
    kos.clear()
    page.state("COMPLETED", 20)
    assert len(held.orders(applied=True)) == 1


def test_held_and_cancelled(page, held):
    page.press("#cancel")
    page.wait(".cancel", "신청을 취소할까요?")
    page.look("held-cancel")
    page.press(".cancel button", "아니요").wait("#cancel")
    page.press("#cancel").press("#cancel-yes").state("CANCELLED")
    page.look("cancelled")
    assert "신청을 취소했습니다" in page.text() and page.stored("pcs.intent") is None and not held.orders()
    page.reload()
    page.state("CANCELLED")


def test_a_cancel_that_comes_too_late_says_so(page, held, kos):
    """The order was sent in the meantime: 409 NOT_CANCELLABLE, and the truth is shown."""
    page.press("#cancel").wait("#cancel-yes")
    page.script("""
        const real = window.fetch;
        window.fetch = (path, options) => (options.method === "DELETE" ? window.go.then(() => real(path, options)) : real(path, options));
        window.go = new Promise((done) => (window.letGo = done));
    """)
    page.press("#cancel-yes")
    kos.clear()
    until(lambda: held.orders(applied=True), 20, "sent meanwhile")
    page.script("window.letGo()")
    page.state("COMPLETED", 20)
    assert len(held.orders(applied=True)) == 1
