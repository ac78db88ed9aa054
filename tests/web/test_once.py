"""Double clicks, reloads, lost connections, an expired token in mid-order: ordered once, and told (issue 6 point 3)."""

import pytest

from harness import tokens

ENV = {"KOS_INQUIRY_DEADLINE": "4500ms", "CHANGE_SETTLE_FIRST": "500ms", "CHANGE_SETTLE_MAX": "1s", "KOS_READ_RETRIES": 0}


@pytest.fixture
def held_order(page, customer, kos):
    """Pressed, and held while the service asks KOS for the customer: no answer yet."""
    page.to_confirm(customer)
    gate = kos.fault("gate", operation="inquiry", phase="after", lineNumber=customer.line)
    page.order()
    kos.wait_held(gate)
    page.state("SENDING")
    return gate


@pytest.fixture
def mortal(site):
    """The service, which may be killed: it runs again afterwards, whatever happened."""
    yield site.world.service
    site.world.kos.clear()
    if not site.world.service.process.running():
        site.world.service.start()


def one_order(page, customer):
    page.state("COMPLETED", 20)
    assert len(customer.orders()) == 1, customer.orders()
    assert page.stored("pcs.intent") is None
    history = customer.api.history().expect(200).data["history"]
    assert len(history) == 1 and history[0]["processStatus"] == "COMPLETED"


def test_a_double_click_is_one_order(page, customer):
    page.to_confirm(customer)
    page.script("const b = document.getElementById('order'); b.click(); b.click(); b.dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    one_order(page, customer)


def test_a_press_on_a_page_that_was_copied_finds_the_intent(page, customer, held_order, kos):
    """The confirmation opened again while the first press is on its way: no second button, a way to the first."""
    key = page.stored("pcs.intent")["key"]
    page.script("history.pushState(null, '', '#/menu')")
    page.reload()  # while KOS is still asked: afterwards the page that pressed would have its answer
    kos.clear(held_order)
    assert key in (page.stored("pcs.intent") or {"key": key})["key"]
    one_order(page, customer)


def test_the_intent_is_stored_before_it_is_sent_and_shown_as_progress(page, customer, held_order, kos):
    mine = page.stored("pcs.intent")
    assert mine["step"] == "asking" and mine["user"] == customer.subject and len(mine["key"]) >= 32
    page.look("sending")
    kos.clear(held_order)
    one_order(page, customer)


def test_a_reload_before_the_first_answer_goes_on_with_the_same_key(page, customer, held_order, kos):
    key = page.stored("pcs.intent")["key"]
    page.reload()
    page.state("SENDING")
    assert page.stored("pcs.intent")["key"] == key
    kos.clear(held_order)
    one_order(page, customer)


def test_an_answer_that_is_lost_while_the_service_works_on(page, customer, kos):
    """The second attempt meets the first, still unanswered: CHANGE_IN_PROGRESS is no refusal then."""
    page.to_confirm(customer)
    page.script("""
        const real = window.fetch;
        window.fetch = (path, options) => {
          const answer = real(path, options);
          if (path !== "/product/request" || window.posts) return answer;
          window.posts = 1;
          answer.catch(() => {});
          return Promise.reject(new TypeError("the answer is lost"));
        };
    """)
    gate = kos.fault("gate", operation="inquiry", phase="after", lineNumber=customer.line)
    page.order()
    page.wait("[data-news]", "먼저 보낸 신청을 처리하고 있습니다")
    kos.clear(gate)
    one_order(page, customer)


def test_a_reload_after_the_first_answer_goes_on_watching(page, customer, kos):
    page.to_confirm(customer)
    gate = kos.fault("gate", operation="change", phase="after", lineNumber=customer.line)
    page.order().state("PROCESSING")
    page.until(lambda: "/result/" in page.driver.current_url)
    page.look("processing")
    page.driver.get(page.site.url + "/")  # a new visit in the same tab
    page.state("PROCESSING")
    page.press("nav a[href='#/menu']").screen("menu")
    page.wait("[data-open-intent]", "진행 중인 신청이 있습니다")
    page.look("menu-open-intent")
    page.open("#/confirm/5GX_BASIC").screen("confirm")
    page.wait("main .note.info")
    assert not page.all("#order"), "one at a time"
    kos.clear(gate)
    page.press("main .note a")
    one_order(page, customer)


# Chromium lets requests that are on their way finish when it is told to be offline; a real network does not.
CUT_WHEN_OFFLINE = """
    const real = window.fetch;
    window.fetch = (path, options) => Promise.race([
      real(path, options), new Promise((_, lost) => addEventListener("offline", () => lost(new TypeError("no network"))))]);
"""


def test_offline_in_mid_order_is_said_and_resolved_when_back(page, customer, kos):
    page.to_confirm(customer)
    page.script(CUT_WHEN_OFFLINE)
    held_order = kos.fault("gate", operation="inquiry", phase="after", lineNumber=customer.line)
    page.order()
    kos.wait_held(held_order)
    page.offline()
    page.wait("#offline", "인터넷에 연결되어 있지 않습니다")
    page.wait("[data-news]", "결과를 다시 확인하고 있습니다")
    page.look("offline-order")
    kos.clear(held_order)
    page.online()
    one_order(page, customer)


def test_offline_before_anything_was_sent(page, customer):
    page.to_confirm(customer)
    page.offline()
    page.order().wait("[data-news]", "결과를 다시 확인하고 있습니다")
    assert not customer.orders()
    page.online()
    one_order(page, customer)


def test_the_service_dies_under_the_order_and_comes_back(page, mortal, customer, kos):
    """The gateway says RESULT_UNKNOWN; the same key finds out."""
    page.to_confirm(customer)
    gate = kos.fault("gate", operation="inquiry", phase="after", lineNumber=customer.line)
    page.order()
    kos.wait_held(gate)
    mortal.kill9()
    page.wait("[data-news]", "결과를 다시 확인하고 있습니다")
    kos.clear()
    mortal.start()
    one_order(page, customer)


def test_the_service_dies_after_the_order_was_sent(page, mortal, customer, kos):
    page.to_confirm(customer)
    gate = kos.fault("gate", operation="change", phase="after", lineNumber=customer.line)
    page.order()
    kos.wait_held(gate)
    mortal.kill9()
    page.wait("[data-news]", "결과를 다시 확인하고 있습니다")
    kos.clear()
    mortal.start()
    one_order(page, customer)


def test_a_token_that_ends_in_mid_order_then_login_goes_on(page, site, customer, held_order, kos):
    key = page.stored("pcs.intent")["key"]
    old = site.world.token(sub=customer.subject, lineNumber=tokens.dashed(customer.line), ttl=-100)
    page.script("const s = JSON.parse(sessionStorage['pcs.session']); s.token = arguments[0]; sessionStorage['pcs.session'] = JSON.stringify(s)", old)
    page.reload()
    page.screen("login").wait("#login-note", "이어서 진행합니다")
    assert page.stored("pcs.intent")["key"] == key
    kos.clear(held_order)
    page.login(customer)
    one_order(page, customer)


def test_another_customer_at_the_same_tab_gets_nothing_of_it(page, site, customer, held_order, kos):
    other = site.customer()
    page.script("sessionStorage.removeItem('pcs.session')")
    page.reload()
    page.login(other).screen("menu")
    assert page.stored("pcs.intent") is None and other.customer_id in page.text()
    kos.clear(held_order)
    page.until(lambda: len(customer.orders(applied=True)) == 1 or not customer.orders(), what="the first one's order goes its way")
    assert not other.orders()


def test_logging_out_forgets_everything(page, customer, held_order, kos):
    page.press("#logout").screen("login")
    assert page.script("return sessionStorage.length") == 0
    kos.clear(held_order)
    page.login(customer).screen("menu")
    assert len(customer.orders()) <= 1
