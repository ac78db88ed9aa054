"""/docs through the gateway: every operation of /openapi.json is there to be read (issue 6 point 5)."""


def test_docs_shows_every_operation_with_its_examples(page, site):
    text = site.auth.http.get(site.url + "/openapi.json").json()
    page.driver.get(site.url + "/docs")
    page.wait("h1", text["info"]["title"])
    shown = [e.get_attribute("id") for e in page.all("section.operation")]
    assert len(shown) == sum(len(methods) for methods in text["paths"].values())
    assert len(page.all("section.schema")) == len(text["components"]["schemas"])
    order = page.wait("#post-request")
    for part in ("/request", "Idempotency-Key", "respond-async", "Answers", "200", "202", "409", "curl -s -X POST", "/product/request"):
        assert part in order.text, part
    page.script("document.querySelectorAll('#post-request details').forEach((d) => (d.open = true))")
    assert "CHANGE_DENIED" in order.text and "상품 변경이 완료되었습니다" in order.text and "Retry-After" in order.text
    # Every link within the page leads somewhere.
    lost = page.script("return [...document.querySelectorAll('a[href^=\"#\"]')].map((a) => a.getAttribute('href').slice(1)).filter((id) => !document.getElementById(id))")
    assert not lost, lost
    page.script("document.getElementById('main').scrollIntoView()")


def test_docs_finds_an_operation_and_fits_a_phone(page, site):
    page.driver.get(site.url + "/docs")
    page.wait("section.operation")
    page.type("#find", "cancel")
    visible = [e.text for e in page.all("#list li") if e.is_displayed()]
    assert len(visible) == 2 and all("DELETE" in v for v in visible), visible
    page.script("const f = document.getElementById('find'); f.value = ''; f.dispatchEvent(new Event('input')); f.blur()")
    assert sum(e.is_displayed() for e in page.all("#list li")) > 40
    for size, scheme in (("desktop", "light"), ("desktop", "dark"), ("phone", "light")):
        page.resize(size)
        page.scheme(scheme)
        assert page.script("return document.documentElement.scrollWidth <= innerWidth"), f"{size}: wider than the window"
        page.picture(f"docs-{size}{'-dark' if scheme == 'dark' else ''}")
    page.resize("desktop")
    page.scheme("light")
    page.script("document.getElementById('post-request').scrollIntoView()")
    page.picture("docs-operation-desktop")
    page.script("document.getElementById('schema-Result').scrollIntoView()")
    page.picture("docs-schema-desktop")
