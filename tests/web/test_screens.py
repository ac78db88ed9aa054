"""Every screen, with what it shows when all is well and when it is not (issue 6 point 3)."""

import time

import pytest

from harness import tokens

ENV = {"CHANGE_SETTLE_FIRST": "1s", "CHANGE_SETTLE_MAX": "1s", "KOS_SETTLE_HORIZON": "4s", "KOS_READ_RETRIES": 0}


# --- login ---

def test_login_refuses_what_is_wrong_and_the_token_stays_in_this_tab(page, site, customer):
    page.screen("login").look("login")
    page.press("button[type=submit]")
    page.wait("#login-note", "아이디와 비밀번호를 입력해 주세요")
    page.login(customer, "wrong")
    page.wait("#login-note.bad", "아이디 또는 비밀번호가 올바르지 않습니다")
    page.look("login-wrong")
    page.login("locked", "password1!")
    page.wait("#login-note", "이용할 수 없는 계정입니다")
    page.login(customer).screen("menu")
    kept = page.stored("pcs.session")
    assert kept["token"].count(".") == 2 and kept["user"] == customer.subject
    assert page.script("return localStorage.length + document.cookie.length") == 0, "nothing outlives the tab"
    page.press("#logout").screen("login")
    page.wait("#login-note", "로그아웃되었습니다")
    assert page.script("return sessionStorage.length") == 0
    old = page.site.auth.http.get(f"{site.url}/product/menu", headers={"Authorization": f"Bearer {kept['token']}"})
    page.until(lambda: page.site.auth.http.get(f"{site.url}/product/menu", headers={"Authorization": f"Bearer {kept['token']}"}).status_code == 401,
               what=f"the token is of no use after logging out ({old.status_code})")


def test_test_customers_fill_the_form(page):
    page.press("[data-user=user01]")
    page.press("button[type=submit]").screen("menu")
    page.wait("h1", "홍길동님")


def test_no_permission_is_said_at_the_first_screen(page):
    """UFR-AUTH-020."""
    page.login("noperm", "password1!").screen("menu")
    page.wait("[data-code=FORBIDDEN]", "서비스 이용 권한이 없습니다")
    page.look("forbidden")
    page.press("#other-user").screen("login")
    assert page.stored("pcs.session") is None


def test_an_administrator_names_the_line(page, customer):
    page.login("admin", "admin1234!").screen("line")
    page.look("line")
    page.type("#line", "0101")
    page.press("button[type=submit]")
    page.wait("#line-note", "11자리 번호")
    page.type("#line", tokens.dashed(customer.line))
    page.press("button[type=submit]").screen("menu")
    assert customer.customer_id in page.text()
    page.press("[data-menu=CHANGE_HISTORY]").screen("history")
    page.wait("[data-empty]")


# --- SCR-005 ---

def test_menu_shows_line_customer_and_plan(page, customer):
    """SCR-005, UFR-PROD-010."""
    page.login(customer).screen("menu").look("menu")
    text = page.text()
    for part in ("통합시험", tokens.dashed(customer.line), customer.customer_id, "LTE 베이직", "33,000원", "10GB", "300분", "100건", "사용 중"):
        assert part in text, part
    assert page.attribute("[data-menu=PRODUCT_CHANGE]", "href").endswith("#/plans")
    assert page.script("return document.activeElement.tagName") == "H1", "screen readers begin at the heading"


@pytest.mark.parametrize("user, status, reason", [("user03", "사용 정지", "정지된 회선"), ("user05", "사용 중", "")])
def test_menu_of_a_line_that_cannot_change_says_why(page, user, status, reason):
    page.login(user, "password1!").screen("menu")
    item = page.wait("div[data-menu=PRODUCT_CHANGE]")
    assert reason in item.text and item.get_attribute("aria-disabled") == "true" and status in page.text()
    page.wait("[data-no-plan]")
    page.look(f"menu-{user}")
    page.open("#/plans").screen("plans")
    page.wait("[data-code=LINE_SUSPENDED], [data-code=CURRENT_PRODUCT_UNKNOWN]")
    page.press("main a.button", "메뉴로 이동").screen("menu")


def test_a_line_that_the_carrier_does_not_know(page):
    page.login("stranger", "password1!").screen("menu")
    page.wait("[data-code=LINE_NOT_FOUND]", "회선을 찾을 수 없습니다")


# --- SCR-006 ---

def test_plans_are_compared_with_the_current_one(page, customer):
    """SCR-006, UFR-PROD-020: fee difference; plans that cannot be chosen with their reason."""
    page.login(customer).screen("menu")
    page.press("[data-menu=PRODUCT_CHANGE]").screen("plans").look("plans")
    assert [o.get_attribute("data-plan") for o in page.all("label.option")] == [
        "5GX_PREMIUM", "5GX_STANDARD", "5GX_BASIC", "LTE_PLUS", "LTE_SLIM", "KIDS_SAFE", "SENIOR_OPEN"], "KOS's order, without the current one"
    assert "+12,000원" in page.wait("label[data-plan=LTE_PLUS]").text and "−11,000원" in page.wait("label[data-plan=LTE_SLIM]").text
    assert not page.all("#next")
    page.resize("desktop")
    page.press("label[data-plan=LTE_PLUS]")
    assert page.attribute("[data-difference]", "data-difference") == "12000" and "월 12,000원 더 냅니다" in page.text(".chosen")
    page.look("plans-chosen")
    page.press("details summary")
    gone = {e.get_attribute("data-unavailable"): (e.get_attribute("data-reason"), e.text) for e in page.all("[data-unavailable]")}
    assert gone["LTE_LEGACY"][0] == "PRODUCT_AVAILABLE" and "판매 중인 상품이 아닙니다" in gone["LTE_LEGACY"][1]
    assert gone["OTHER_5G"][0] == "OPERATOR_MATCH" and "이용할 수 없는 상품입니다" in gone["OTHER_5G"][1]
    page.script("document.querySelector('details').scrollIntoView()")
    page.look("plans-unavailable")


def test_the_keyboard_is_enough(page, customer):
    from selenium.webdriver.common.keys import Keys
    page.login(customer).screen("menu").open("#/plans").screen("plans")
    first = page.wait("input[value='5GX_PREMIUM']")
    page.script("arguments[0].focus()", first)
    first.send_keys(Keys.ARROW_DOWN)
    page.wait("#next")
    assert page.script("return document.querySelector(':checked').value") == "5GX_STANDARD"
    page.wait("#next").send_keys(Keys.ENTER)
    page.screen("confirm").wait("[data-verdict=SUCCESS]")
    page.wait("#order").send_keys(Keys.SPACE)
    page.state("COMPLETED")


# --- SCR-007 ---

def test_confirm_checks_while_the_customer_reads(page, site, customer, kos):
    """SCR-007, UFR-PROD-030: the three checks, live; the button only when they have passed."""
    page.login(customer).screen("menu").open("#/plans").screen("plans")
    gate = kos.fault("gate", operation="inquiry", phase="after", lineNumber=customer.line)
    site.world.cache.flushdb()
    page.press("label[data-plan=LTE_PLUS]").press("#next")
    kos.wait_held(gate)  # the change screen's own
    kos.release(gate, keep=True)
    page.wait("main[data-screen=confirm] .checks")
    page.wait("li[data-check=LINE_STATUS]")
    kos.clear(gate)
    page.wait("[data-verdict=SUCCESS]", "신청하실 수 있습니다")
    assert [e.get_attribute("data-result") for e in page.all("[data-check]")] == ["PASS"] * 3
    assert page.wait("#order").is_enabled()
    page.look("confirm")
    assert not customer.orders(), "nothing is ordered by looking"


def test_a_check_that_fails_keeps_the_button_shut(page, customer, kos):
    page.login(customer).screen("menu").open("#/plans").screen("plans")
    page.press("label[data-plan=LTE_PLUS]")
    kos.customer(customer.line, customerId=customer.customer_id, productCode="LTE_BASIC", operatorCode="MVNO01", lineStatus="SUSPENDED", answersInactive=True)
    # Screens may use the cache; the pre-check of a screen too: a fresh look is what an order takes.
    page.site.world.cache.flushdb()
    page.press("#next").screen("confirm")
    page.wait("[data-code=LINE_SUSPENDED], [data-verdict=FAILURE]")
    assert not page.all("#order:not(:disabled)") and not customer.orders()


def test_the_plan_of_the_address_may_not_be_choosable(page, customer):
    page.login(customer).screen("menu").open("#/confirm/LTE_LEGACY").screen("confirm")
    page.wait("[data-code=PLAN_GONE]", "현재 판매 중인 상품이 아닙니다")
    page.look("confirm-gone")
    page.press("main a.primary").screen("plans")


# --- SCR-008 ---

def test_a_change_from_beginning_to_end(page, site, customer):
    """SCR-008, UFR-PROD-040."""
    page.to_confirm(customer).order().state("COMPLETED")
    page.look("completed")
    text = page.text()
    for part in ("변경되었습니다", "LTE 플러스", "45,000원", "100GB", "LTE 베이직 → LTE 플러스"):
        assert part in text, part
    assert [a.get_attribute("data-action") for a in page.all("main [data-action]")] == ["VIEW_MENU", "VIEW_HISTORY"]
    assert page.stored("pcs.intent") is None, "the result is known"
    assert len(customer.orders(applied=True)) == 1 and customer.at_kos() == "LTE_PLUS"
    id_ = page.driver.current_url.rsplit("/", 1)[1]
    assert site.world.mvno.event(id_)["body"]["processResult"] == "정상"
    page.press("[data-action=VIEW_MENU]").screen("menu")
    assert "LTE 플러스" in page.text()
    page.driver.back()
    page.state("COMPLETED")  # going back orders nothing
    page.reload()
    page.state("COMPLETED")
    assert len(customer.orders()) == 1
    page.press("[data-action=VIEW_HISTORY]").screen("history")
    page.wait(f"[data-request='{id_}'][data-status=COMPLETED]", "LTE 플러스")
    page.look("history")


def test_the_carrier_refuses_and_says_why(page, customer, kos):
    """Guidance per code, next actions; asking again is possible."""
    page.to_confirm(customer)
    kos.fault("result_code", operation="change", lineNumber=customer.line, resultCode="2004", count=1)
    page.order().state("FAILED")
    assert page.attribute("[data-state]", "data-code") == "2004"
    page.wait("[data-reason]")
    page.look("refused")
    assert [a.get_attribute("data-action") for a in page.all("main [data-action]")][0] == "CHOOSE_ANOTHER"
    assert page.stored("pcs.intent") is None and customer.at_kos() == "LTE_BASIC"
    page.press("[data-action=CHOOSE_ANOTHER]").screen("plans")
    page.press("label[data-plan=LTE_SLIM]").press("#next").screen("confirm").wait("[data-verdict=SUCCESS]")
    page.order().state("COMPLETED")


def test_retry_after_2099_is_a_new_request(page, customer, kos):
    page.to_confirm(customer)
    kos.fault("result_code", operation="change", lineNumber=customer.line, resultCode="2099", count=1)
    page.order().state("FAILED")
    page.press("[data-action=RETRY]").screen("confirm").wait("[data-verdict=SUCCESS]")
    page.order().state("COMPLETED")
    assert len({o["requestId"] for o in kos.orders(customer.line)}) >= 1 and len(customer.orders(applied=True)) == 1


def test_what_changed_meanwhile_is_found_by_the_order_itself(page, customer, kos):
    """The screens may be as old as the cache; the order is checked afresh: VALIDATION_FAILED with each check."""
    page.to_confirm(customer)
    kos.customer(customer.line, customerId=customer.customer_id, productCode="LTE_BASIC", operatorCode="MVNO02", lineStatus="ACTIVE")
    page.order().state("FAILED")
    assert page.attribute("[data-state]", "data-code") == "VALIDATION_FAILED"
    assert page.attribute("[data-check=OPERATOR_MATCH]", "data-result") == "FAIL"
    page.look("validation-failed")
    assert page.stored("pcs.intent") is None and not customer.orders()


def test_another_current_product_than_the_screen_showed(page, customer, kos):
    page.to_confirm(customer)
    kos.customer(customer.line, customerId=customer.customer_id, productCode="5GX_BASIC", operatorCode="MVNO01", lineStatus="ACTIVE")
    page.order().state("FAILED")
    page.wait("[data-code=CURRENT_PRODUCT_MISMATCH]", "현재 이용 중인 상품이 요청과 다릅니다")
    assert page.stored("pcs.intent") is None and not customer.orders()


def test_a_change_of_the_line_that_already_runs_elsewhere(page, customer, kos):
    gate = kos.fault("gate", operation="change", phase="after", lineNumber=customer.line)
    page.to_confirm(customer)
    other = customer.api.change_async(customer.body("LTE_SLIM")).expect(202).data["requestId"]
    page.order()
    page.until(lambda: other in page.driver.current_url, what="the running change is shown instead")
    page.state("PROCESSING")
    kos.clear(gate)
    page.state("COMPLETED")
    assert len(customer.orders()) == 1


def test_doubt_is_progress_and_ends_by_itself(page, customer, kos):
    """KOS applied the order and did not answer: calm, no second order, the result appears."""
    page.to_confirm(customer)
    gate = kos.fault("gate", operation="change", phase="before", lineNumber=customer.line)
    kos.fault("applied_reset", operation="change", lineNumber=customer.line, count=1)
    page.order()
    kos.wait_held(gate)
    out = kos.fault("http_status", operation="inquiry", lineNumber=customer.line, status=500)  # settling has to wait
    kos.clear(gate)
    page.state("DOUBT")
    assert "다시 신청하지 마세요" in page.text() and page.stored("pcs.intent")["requestId"]
    page.look("doubt")
    kos.clear(out)
    page.state("COMPLETED", 20)
    assert len(customer.orders()) == 1 and page.stored("pcs.intent") is None


def test_doubt_may_end_with_nothing_applied(page, customer, kos):
    page.to_confirm(customer)
    kos.fault("http_status", operation="change", lineNumber=customer.line, status=500, count=1)
    page.order().state("DOUBT")
    page.reload()  # the page goes on watching
    page.state("DOUBT")
    page.state("FAILED", 20)
    assert page.attribute("[data-state]", "data-code") == "NOT_APPLIED" and "요금제는 그대로입니다" in page.text()
    page.wait("[data-action=CONTACT_SUPPORT]", "신청 번호")
    page.look("not-applied")


def test_a_change_of_somebody_else_is_not_found(page, site, customer):
    other = site.customer()
    id_ = other.change()["requestId"]
    page.login(customer).screen("menu").open(f"#/result/{id_}")
    page.wait("[data-code=REQUEST_NOT_FOUND]", "찾을 수 없습니다")
    page.look("not-found")


def test_mvno_ap_out_is_nothing_to_the_customer(page, site, customer):
    site.world.mvno.fault("http_status", status=500)
    try:
        page.to_confirm(customer).order().state("COMPLETED")
        page.press("[data-action=VIEW_HISTORY]").screen("history").wait("[data-status=COMPLETED]")
    finally:
        site.world.mvno.clear()


# --- history ---

def test_empty_history(page, customer):
    page.login(customer).screen("menu").press("[data-menu=CHANGE_HISTORY]").screen("history")
    page.wait("[data-empty]", "아직 변경 이력이 없습니다")
    page.look("history-empty")


def test_history_page_by_page(page, site, customer):
    made = [customer.change("LTE_PLUS" if n % 2 == 0 else "LTE_BASIC")["requestId"] for n in range(7)][::-1]
    page.login(customer).screen("menu").open("#/history").screen("history")
    ids = lambda: [e.get_attribute("data-request") for e in page.all("[data-request]")]  # noqa: E731
    assert ids() == made[:5] and "1 / 2 쪽 · 모두 7건" in page.text()
    page.look("history-paged")
    page.press("[data-go=older]").until(lambda: ids() == made[5:], what="the second page")
    page.press("[data-go=newer]").until(lambda: ids() == made[:5], what="the first page again")
    page.press(f"[data-request='{made[0]}']").state("COMPLETED")


# --- language ---

def test_everything_in_english_on_demand(page, customer, kos):
    page.press("#language").login(customer).screen("menu")
    assert page.script("return document.documentElement.lang") == "en" and "Your current plan" in page.text() and "₩33,000" in page.text()
    page.look("menu-english")
    page.open("#/plans").screen("plans")
    assert "Which plan would you like?" in page.text() and "₩12,000" in page.text()
    page.press("label[data-plan=LTE_PLUS]").press("#next").screen("confirm").wait("[data-verdict=SUCCESS]")
    assert "The plan is on sale" in page.text()
    kos.fault("result_code", operation="change", lineNumber=customer.line, resultCode="2005", count=1)
    page.order().state("FAILED")
    page.wait("[data-reason]", "Reason")
    assert "Your plan could not be changed" in page.text() and "Choose another plan" in page.text()
    page.press("#language").state("FAILED")
    assert "상품 변경에 실패하였습니다" in page.text() and page.script("return document.documentElement.lang") == "ko"


# --- the session's end ---

def test_a_token_that_is_no_longer_accepted_leads_back_to_where_one_was(page, site, customer):
    page.login(customer).screen("menu").open("#/plans").screen("plans")
    old = site.world.token(sub=customer.subject, customerId=customer.customer_id, lineNumber=tokens.dashed(customer.line), ttl=-100)
    page.script("const s = JSON.parse(sessionStorage['pcs.session']); s.token = arguments[0]; sessionStorage['pcs.session'] = JSON.stringify(s)", old)
    page.open("#/history").screen("login")
    page.wait("#login-note", "로그인 시간이 지났습니다")
    page.look("login-expired")
    assert page.stored("pcs.session") is None
    page.login(customer).screen("history")


def test_the_page_notices_the_end_of_the_session_by_itself(page, site):
    customer = site.customer()
    page.login(customer).screen("menu")
    page.script("const s = JSON.parse(sessionStorage['pcs.session']); s.expiresAt = Date.now() + arguments[0]; sessionStorage['pcs.session'] = JSON.stringify(s)", 1500)
    page.reload()
    page.screen("menu")
    began = time.monotonic()
    page.screen("login").wait("#login-note", "로그인 시간이 지났습니다")
    assert time.monotonic() - began < 5


def test_the_gateways_headers_keep_the_page_to_itself(site):
    answer = site.auth.http.get(site.url + "/")
    policy = answer.headers["Content-Security-Policy"]
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")
    assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["Referrer-Policy"] == "no-referrer"
