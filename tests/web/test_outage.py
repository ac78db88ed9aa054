"""Outages shown as what they are: KOS out (refused, and stale data), the service down, no network, too many requests."""

import contextlib
import threading

import pytest

from harness.wait import until

ENV = {"KOS_BREAKER_WINDOW": 4, "KOS_BREAKER_MINIMUM": 4, "KOS_BREAKER_WAIT": "2s", "KOS_BREAKER_WAIT_MAX": "2s", "KOS_BREAKER_HALF_OPEN_PERMITS": 1,
       "KOS_READ_RETRIES": 0, "CACHE_CUSTOMER_SOFT_AGE": "1s", "CACHE_CATALOGUE_SOFT_AGE": "1s", "LIMITS_RATE": 2, "LIMITS_BURST": 12}


@pytest.fixture
def outage(site, kos):
    """KOS answers 500 to everything, and the breakers of inquiry and list are open."""

    class Outage:
        def begin(self):
            kos.fault("http_status", status=500)

        def end(self):
            kos.clear()

    yield Outage()
    kos.clear()


def test_the_menu_says_so_counts_down_and_comes_back(page, customer, outage):
    outage.begin()
    page.login(customer).screen("menu")
    page.wait("[data-code=KOS_UNAVAILABLE]", "상품 변경 요청 메뉴 로딩에 실패하였습니다")
    page.wait(".count", "초 후 자동으로 다시 시도합니다")
    page.look("outage-menu")
    outage.end()
    page.wait("[data-plan]", seconds=20)  # nobody pressed anything
    page.screen("menu")


def test_trying_again_by_hand(page, customer, outage):
    outage.begin()
    page.login(customer).screen("menu").wait("[data-code=KOS_UNAVAILABLE]")
    outage.end()
    page.until(lambda: page.is_("section.plan") or (page.press("main button.primary"), False)[1], 20, "pressed until it is back")


def test_the_change_screen_likewise(page, customer, outage, site):
    page.login(customer).screen("menu")
    site.world.cache.flushdb()
    outage.begin()
    page.open("#/plans").screen("plans")
    page.wait("[data-code=KOS_UNAVAILABLE]", "상품 변경 화면 접속에 실패하였습니다")


def test_stale_data_are_marked(page, customer, outage):
    # both are in the cache: the breakers of the outage before may still be open when this customer comes
    page.login(customer).screen("menu").wait("section.plan", seconds=20)
    page.open("#/plans").screen("plans").wait("label[data-plan]", seconds=20)
    outage.begin()

    def stale():
        page.open("#/menu").screen("menu")
        return page.is_("[data-stale]") or (page.open("#/plans").screen("plans"), False)[1]

    page.until(stale, 15, "past the soft age")
    assert int(page.attribute("[data-stale]", "data-stale")) >= 1 and "전의 정보를 보여 드립니다" in page.text() and "LTE 베이직" in page.text()
    page.look("menu-stale")


def test_an_order_in_an_outage_is_refused_and_nothing_was_ordered(page, customer, outage):
    """503: countdown, the same key when asked again; once KOS is back it goes through, once."""
    page.to_confirm(customer)
    outage.begin()
    page.script("""
        new MutationObserver((_, self) => {
          const again = document.getElementById("again");
          if (!again) return;
          window.firstSight = [again.disabled, document.querySelector("main .count").textContent];
          self.disconnect();
        }).observe(document.getElementById("main"), { childList: true, subtree: true });
    """)
    page.order().state("UNSENT")
    page.wait("[data-code=KOS_UNAVAILABLE]", "시스템 일시 장애, 잠시 후 재시도")
    assert "아무것도 신청되지 않았습니다" in page.text()
    shut, count = page.script("return window.firstSight")
    assert shut and "초 후 다시 신청할 수 있습니다" in count, "counted down before it may be pressed"
    page.look("outage-order")
    key = page.stored("pcs.intent")["key"]
    page.reload()
    page.state("UNSENT")
    assert not customer.orders()
    outage.end()

    def pressed():
        if page.is_("[data-state=COMPLETED]"):
            return True
        for button in page.all("#again:not(:disabled)"):
            assert page.stored("pcs.intent")["key"] == key
            button.click()
        return False

    page.until(pressed, 25, "asked again until it is done")
    assert len(customer.orders(applied=True)) == 1


def test_giving_up_in_an_outage_leaves_nothing(page, customer, outage):
    page.to_confirm(customer)
    outage.begin()
    page.order().state("UNSENT")
    page.press("#stop").screen("menu")
    assert page.stored("pcs.intent") is None and not customer.orders()


def test_the_pre_check_in_an_outage(page, site, customer, outage):
    page.login(customer).screen("menu").open("#/plans").screen("plans")
    page.press("label[data-plan=LTE_PLUS]")
    outage.begin()

    def refused():
        site.world.cache.delete(*[k for k in site.world.cache.keys("*") if customer.line.encode() in k] or ["none"])
        return page.is_("[data-verdict=KOS_UNAVAILABLE]") or page.is_("[data-code=KOS_UNAVAILABLE]")

    page.press("#next")
    page.until(lambda: refused() or page.is_("[data-verdict]"), 10, "checked or refused")
    page.look("confirm-outage")
    outage.end()
    page.wait("[data-verdict=SUCCESS]", seconds=25)


def test_the_service_down_and_back(page, site, customer):
    page.login(customer).screen("menu")
    site.world.service.stop()
    try:
        page.open("#/history").screen("history")
        page.wait("[data-code=SERVICE_UNAVAILABLE]", "서비스를 잠시 이용할 수 없습니다")
        page.look("service-down")
    finally:
        site.world.service.start()
    page.wait("[data-empty]", seconds=20)


def test_no_network(page, customer):
    page.login(customer).screen("menu")
    page.offline()
    page.wait("#offline", "인터넷에 연결되어 있지 않습니다")
    page.press("nav a[href='#/history']").screen("history")
    page.wait("[data-code=network]", "연결할 수 없습니다")
    page.look("offline")
    page.online()
    page.wait("[data-empty]", seconds=10)
    assert not page.is_("#offline:not([hidden])")


@contextlib.contextmanager
def crowd(customer):
    """The same caller elsewhere, who takes whatever request he still has, and each that comes back."""
    enough = threading.Event()

    def use_up():
        api = customer.api.another()
        while not enough.is_set():
            api.validate(customer.body())

    threads = [threading.Thread(target=use_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: customer.api.validate(customer.body()).status == 429, 10)
        yield
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def test_too_many_requests(page, site, customer):
    """429: nothing was ordered; counted down. A request comes back every half second: now and then the page has it."""
    page.to_confirm(customer)
    for another in (site.customer(), site.customer(), None):
        with crowd(customer):
            page.order()
            page.wait("[data-state=UNSENT], [data-state=COMPLETED]")
        if page.is_("[data-state=UNSENT]"):
            break
        assert another, "never refused"
        page.press("#logout")
        customer = another
        page.to_confirm(customer)
    page.wait("[data-code=TOO_MANY_REQUESTS]", "요청이 너무 많습니다. 잠시 후 다시 시도해 주세요")
    page.look("too-many")
    assert customer.orders() == []
    page.press("#again:not(:disabled)").state("COMPLETED")
    assert len(customer.orders()) == 1


def test_login_while_the_auth_service_is_out(page, site, customer):
    site.auth.fault("http_status", operation="login", status=500, count=1)
    page.login(customer).wait("#login-note.bad")
    page.press("button[type=submit]").screen("menu")
