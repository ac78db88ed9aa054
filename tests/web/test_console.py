"""The operator's console (issue 7, point 1) in Chromium, on the real admin API: what it shows, what it does, who gets in."""

import os
import re
import secrets
import time
from types import SimpleNamespace

import pytest

from browser import SIZES, Page
from harness import ports
from harness.admin import Admin, socket_of
from harness.wait import until
from harness.world import World

TOKEN = secrets.token_hex(24)
ENV = {
    "KOS_CHANGE_DEADLINE": "500ms",
    "CHANGE_SETTLE_FIRST": "200ms",
    "CHANGE_SETTLE_MAX": "1s",
    "CHANGE_DEADLINE": "6s",
    "MVNO_DEADLINE": "500ms",
    "MVNO_CONNECT_TIMEOUT": "300ms",
    "MVNO_PROBE": "300ms",
    "MVNO_BREAKER_WAIT": "100ms",
    "LIMITS_RATE": 0,
    "SERVER_THREADS": 1,
}


@pytest.fixture(scope="module")
def world(session):
    token = os.path.join(session.folder, f"token-{os.getpid()}")
    with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as f:
        f.write(TOKEN + "\n")
    port = ports.take()
    w = World(session, env={**ENV, "ADMIN_PORT": port, "ADMIN_TOKEN_FILE": token})
    w.service.never_in_log = [*w.issued, TOKEN]
    w.admin_url = f"http://127.0.0.1:{port}"
    yield w
    w.close()


@pytest.fixture
def console(request, world, browser):
    """The console before its door, in desktop size."""
    p = Page(browser, SimpleNamespace(url=world.admin_url), "desktop")
    p.driver.get(world.admin_url + "/admin/console")
    yield p
    world.kos.clear()
    world.mvno.clear()
    if getattr(request.node, "failed", False):
        p.picture(f"failed-{request.node.name}")
    else:
        p.close()


def enter(console, token=TOKEN, actor="kim"):
    console.type("#token", token)
    console.type("#actor", actor)
    console.press("#enter button")
    return console


def doubt(world):
    """A change in doubt: the order was answered 500 and not applied; its customer."""
    customer = world.customer()
    world.kos.fault("http_status", operation="change", lineNumber=customer.line, status=500, count=1)
    customer.id = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    until(lambda: customer.api.result(customer.id).data.get("inDoubt"), 5)
    return customer


def rows(console, table):
    """The rows' texts, read at one moment: the page may replace them at any."""
    return console.script("return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)].map((r) => r.innerText.replace(/\\s+/g, ' '))", table)


def tile(console, name):
    """What the tile of that name says."""
    return console.script("return [...document.querySelectorAll('.tile')].find((t) => t.querySelector('span').textContent === arguments[0])?.querySelector('b').textContent", name)


def test_the_door_takes_the_token_only_and_the_page_loads_nothing_from_elsewhere(world, console):
    enter(console, "x" * 40).wait("#refused", "not accepted")
    assert console.script("return sessionStorage.getItem('token')") is None
    enter(console).wait("#health", "UP")
    assert console.script("return sessionStorage.getItem('token')") == TOKEN
    hosts = console.script("return performance.getEntriesByType('resource').map((r) => new URL(r.name).origin)")
    assert set(hosts) <= {world.admin_url}
    assert not console.script("return performance.getEntriesByType('resource').some((r) => r.name.includes(arguments[0]))", TOKEN)
    console.press("#leave").wait("#enter")
    assert console.script("return sessionStorage.getItem('token')") is None


def test_traffic_latency_and_changes_move(world, console):
    customer = world.customer()
    enter(console).wait("#health", "UP")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        customer.api.menu().expect(200)
        customer.change("LTE_PLUS" if customer.product == "LTE_BASIC" else "LTE_BASIC")
        rate, p99, changes = (tile(console, n) for n in ("requests a second", "p99", "changes a second"))
        if rate and float(rate.replace(",", "")) > 0 and p99 != "–" and float(changes) > 0 and console.is_("#chart-rate polyline"):
            break
        time.sleep(0.05)
    else:
        raise AssertionError(console.describe())
    points = console.attribute("#chart-rate .l1", "points").split()
    assert len({p.split(",")[1] for p in points}) > 1, "a flat line"


def test_a_breaker_is_switched_with_reason_and_name(world, console):
    enter(console).wait("#breakers td", "kos.change")
    assert len(rows(console, "breakers")) == 5
    console.press("button[aria-label='Switch kos.change']")
    console.press("input[value=forced-open]")
    console.press("#ask-yes")
    assert console.attribute("#reason", "required"), "an outage that somebody makes has a reason"
    console.type("#reason", "incident 17")
    console.press("#ask-yes").until(lambda: any("kos.change FORCED_OPEN" in r for r in rows(console, "breakers")))
    console.until(lambda: "kos.change is FORCED_OPEN since" in console.text("#attention"))
    assert world.customer().api.change({"lineNumber": "01000000000", "currentProductCode": "A", "targetProductCode": "B"}).status in (403, 503)
    console.press("button[aria-label='Switch kos.change']")
    console.press("input[value=reset]")
    console.press("#ask-yes").until(lambda: any("kos.change CLOSED" in r for r in rows(console, "breakers")))
    console.until(lambda: "kos.change" not in console.text("#attention"))
    assert world.service.events("breaker.operator", action="forced-open", actor="kim", reason="incident 17")


def test_a_doubt_is_seen_traced_and_settled(world, console):
    customer = doubt(world)
    enter(console)
    console.wait("#doubts td", customer.line)
    console.press(f"button[data-key='settle {customer.id}']")
    console.press("input[value=completed]")
    console.press("#ask-yes")
    assert console.attribute("#reason", "required"), "without a reason nothing is sent"
    assert customer.api.result(customer.id).data.get("inDoubt")
    console.type("#reason", "carrier confirmed by phone")
    console.press("#ask-yes").until(lambda: not any(customer.line in r for r in rows(console, "doubts")))
    assert customer.api.result(customer.id).expect(200).data["processStatus"] == "COMPLETED"
    row = world.row(customer.id)
    assert "kim" in str(row) and "carrier confirmed by phone" in str(row)
    console.type("#what", customer.id)
    console.press("#search button").wait(".story .pill", "COMPLETED")
    story = console.text(".story")
    assert "IN_DOUBT" in story and "KOS change" in story and "kim: carrier confirmed by phone" in story


def test_kos_is_asked_now(world, console):
    """A doubt whose next inquiry is a second away is settled by pressing the button."""
    customer = doubt(world)
    held = world.kos.fault("gate", operation="inquiry", lineNumber=customer.line)
    enter(console)
    console.wait("#doubts td", customer.line)
    world.kos.customer(customer.line, customerId=customer.customer_id, productCode="LTE_PLUS", lineStatus="ACTIVE", operatorCode="MVNO01")
    world.kos.clear(held)
    console.press(f"button[data-key='check {customer.id}']")
    console.until(lambda: not any(customer.line in r for r in rows(console, "doubts")))
    assert customer.api.result(customer.id).data["processStatus"] == "COMPLETED"


def test_a_dead_letter_is_seen_and_replayed(world, console):
    customer = world.customer()
    world.mvno.fault("http_status", operation="results", lineNumber=customer.line, status=422, body="no such line <b>here</b>", count=1)
    done = customer.change()
    enter(console)
    console.wait("#deliveries td", customer.line)
    row = next(r for r in rows(console, "deliveries") if customer.line in r)
    assert "422" in row and "<b>here</b>" in row, "what MVNO AP answered is text, never markup"
    console.press("#deliveries button", "Replay…")
    console.press("input[value=in-order]")
    console.press("#ask-yes").until(lambda: not any(customer.line in r for r in rows(console, "deliveries")))
    world.mvno.event(done["requestId"])
    console.press("[role=tab][data-state=delivered]").wait("#deliveries td", customer.line)


def test_a_line_has_its_story_and_an_unknown_one_has_none(world, console):
    customer = world.customer()
    first = customer.change()["requestId"]
    second = customer.change("LTE_BASIC")["requestId"]
    enter(console)
    console.type("#what", customer.line[:3] + "-" + customer.line[3:7] + "-" + customer.line[7:])
    console.press("#search button").wait(".story", first)
    ids = [re.search(r"Request\s+(\S+)", s.text).group(1) for s in console.all(".story")]
    assert ids == [second, first], "newest first"
    console.type("#what", "01099990000")
    console.press("#search button").wait("#stories", "Nothing is known")
    console.type("#what", "<img src=x onerror=alert(1)>")
    console.press("#search button")
    console.until(lambda: console.text("#stories") not in ("…", ""))
    assert not console.is_("#stories img")


def test_it_says_when_the_service_does_not_answer_and_goes_on_when_it_is_back(world, console):
    enter(console).wait("#health", "UP")
    console.offline()
    console.wait("#health", "no answer").is_displayed()
    console.wait("#notice", "does not answer")
    console.online()
    console.wait("#health", "UP")
    console.until(lambda: not console.all("#notice")[0].is_displayed())


def test_what_needs_a_person_stands_first_with_times_in_a_named_zone(world, console):
    """Issue 7, point 1, at three in the morning: which instance, since when, what is to be done, and where on the page."""
    customer = world.customer()
    console.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Seoul"})
    try:
        enter(console).wait("#attention", "Nothing needs a person")
        console.wait("#freshness", "UTC+09:00")
        assert os.uname().nodename in console.text("#instance") and "slot 0" in console.text("#instance")
        assert "UP" in console.driver.title
        world.mvno.fault("http_status", operation="results", lineNumber=customer.line, status=422, count=1)
        done = customer.change()["requestId"]
        console.wait("#attention a[href='#t-deliveries']", "1 dead letter")
        console.script("document.querySelector('#attention a').focus()")
        seen = console.text("#freshness")
        console.until(lambda: console.text("#freshness") != seen)
        assert console.script("return document.activeElement.closest('#attention')"), "the keyboard stays where it was"
        console.resize("phone")
        console.wait("#deliveries td", customer.line)
        right = console.script("return document.querySelector('#deliveries button:not(.link)').getBoundingClientRect().right")
        assert right <= SIZES["phone"][0], "what is to be pressed is on the screen"
        utc = console.attribute("#deliveries time", "title")
        assert utc.endswith("Z") and console.text("#deliveries time")[-8:-6] == f"{(int(utc[11:13]) + 9) % 24:02d}"
        Admin(socket_of(world.service)).replay(Admin(socket_of(world.service)).deliveries(state="dead")[0]["seq"])
        world.mvno.event(done)
    finally:
        console.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def test_it_says_what_is_out(world, console):
    customer = world.customer()
    world.mvno.stop()
    try:
        customer.change()
        enter(console).wait("#health", "out: mvno")
    finally:
        world.mvno.start()
    console.wait("#health", "UP", seconds=20)


def test_pictures_of_the_console(world, console):
    """Looked at by people; what a program can tell of them is checked."""
    dead = world.customer()
    world.mvno.fault("http_status", operation="results", lineNumber=dead.line, status=422, body='{"code":"UNKNOWN_LINE"}', count=1)
    dead.change()
    done = world.customer()
    done.change()
    doubtful = doubt(world)
    for n in ("light", "dark"):
        console.scheme(n)
        if n == "light":
            console.picture("console-door")
            enter(console)
            console.wait("#doubts td", doubtful.line)
            console.type("#what", done.line)
            console.press("#search button").wait(".story")
        for size in ("desktop", "phone"):
            console.resize(size)
            width = console.script("return document.documentElement.scrollWidth")
            assert width <= SIZES[size][0], f"{size}: {width} wide"
            console.script("scrollTo(0, 0)")
            console.picture(f"console-{size}-{n}")
            console.script("document.getElementById('t-doubts').scrollIntoView()")
            console.picture(f"console-{size}-{n}-lower")
    unnamed = console.script("return [...document.querySelectorAll('button, input')].filter((e) => !(e.getAttribute('aria-label') || e.textContent || e.labels?.[0]?.textContent || '').trim()).map((e) => e.outerHTML)")
    assert not unnamed
    Admin(socket_of(world.service)).settle(doubtful.id, "not-applied").expect(200)
