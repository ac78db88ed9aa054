"""Headless Chromium and what tests do with a page: press, read, wait, take pictures, look whether it is accessible."""

import base64
import json
import os
import shutil
import tempfile
import time

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

SIZES = {"phone": (390, 844, True), "desktop": (1280, 800, False)}
SECONDS = 10
AUDIT = open(os.path.join(os.path.dirname(__file__), "audit.js"), encoding="utf-8").read()


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="pcs-chromium-", dir="/tmp")
        options = Options()
        options.binary_location = shutil.which("chromium")
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run", "--lang=ko-KR",
                         "--no-proxy-server", "--hide-scrollbars", "--disable-background-networking", "--disable-extensions", f"--user-data-dir={self.profile}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)

    def cdp(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def close(self):
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    def __init__(self, browser, site, size="phone", language="ko"):
        self.browser, self.driver, self.site = browser, browser.driver, site
        self.size = None
        old = self.driver.current_window_handle
        self.driver.switch_to.new_window("tab")
        mine = self.driver.current_window_handle
        self.driver.switch_to.window(old)
        self.driver.close()
        self.driver.switch_to.window(mine)
        browser.cdp("Storage.clearDataForOrigin", origin=site.url, storageTypes="all")
        browser.cdp("Network.enable")
        self.resize(size)
        self.driver.get(site.url + "/")
        if language != "ko":
            self.press("#language")
        self.driver.get_log("browser")

    def close(self, check=True):
        self.online()
        self.scheme("light")
        log = self.driver.get_log("browser")
        # Answers that are no success are logged by Chromium itself; everything else is ours.
        bad = [e for e in log if e["level"] in ("SEVERE", "WARNING") and e["source"] != "network"]
        if check:
            assert not bad, f"the page logged: {bad}"

    # --- finding and reading ---

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def is_(self, css):
        return bool(self.all(css))

    def wait(self, css, text=None, seconds=SECONDS):
        """The first visible element that matches (and contains the text)."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                for element in self.all(css):
                    if element.is_displayed() and (text is None or text in element.text):
                        return element
            except StaleElementReferenceException:
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"no {css} {text or ''} within {seconds} s; the page:\n{self.describe()}")
            time.sleep(0.02)

    def until(self, condition, seconds=SECONDS, what=""):
        deadline = time.monotonic() + seconds
        while True:
            try:
                value = condition()
                if value:
                    return value
            except (StaleElementReferenceException, NoSuchElementException):
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {what or condition}; the page:\n{self.describe()}")
            time.sleep(0.02)

    def text(self, css="main"):
        return self.wait(css).text

    def screen(self, name, seconds=SECONDS):
        """Waits until that screen has what it loads."""
        self.wait(f"main[data-screen={name}]", seconds=seconds)
        self.until(lambda: not self.is_("main .skeleton"), seconds, f"screen {name} loaded")
        return self

    def state(self, name, seconds=SECONDS):
        return self.wait(f"[data-state={name}]", seconds=seconds)

    def attribute(self, css, name):
        return self.wait(css).get_attribute(name)

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def stored(self, name):
        value = self.script("return sessionStorage.getItem(arguments[0])", name)
        return json.loads(value) if value else None

    def describe(self):
        try:
            return f"{self.driver.current_url}\n{self.driver.find_element(By.TAG_NAME, 'body').text}\nstorage: " + self.script(
                "return JSON.stringify({...sessionStorage}).replace(/eyJ[\\w.-]+/g, '…')")
        except Exception as problem:
            return f"(no page: {problem})"

    # --- doing ---

    def press(self, css, text=None):
        def go():
            element = self.wait(css, text)
            # Not under the bar at the bottom.
            self.script("arguments[0].scrollIntoView({block: 'center'})", element)
            element.click()
            return True
        self.until(go, what=f"press {css}")
        return self

    def type(self, css, text):
        field = self.wait(css)
        field.clear()
        field.send_keys(text)

    def open(self, path):
        self.script("location.hash = arguments[0]", path)
        return self

    def reload(self):
        self.driver.refresh()

    def login(self, customer, password=None):
        self.screen("login")
        self.type("#user", customer if isinstance(customer, str) else customer.subject)
        self.type("#password", password or customer.password)
        self.press("button[type=submit]")
        return self

    def to_confirm(self, customer, target="LTE_PLUS"):
        """Logs in and goes to the confirmation, with the pre-check passed."""
        self.login(customer).screen("menu")
        self.press("[data-menu=PRODUCT_CHANGE]").screen("plans")
        self.press(f"label[data-plan={target}]")
        self.press("#next").screen("confirm")
        self.wait("[data-verdict=SUCCESS]")
        return self

    def order(self):
        return self.press("#order:not(:disabled)")

    def offline(self):
        self.browser.cdp("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)

    def online(self):
        self.browser.cdp("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)

    # --- looks ---

    def resize(self, size):
        if size != self.size:
            width, height, mobile = SIZES[size]
            self.browser.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
            self.size = size

    def scheme(self, name):
        self.browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def picture(self, name):
        folder = os.environ["PCS_WEB_SHOTS"]
        os.makedirs(folder, exist_ok=True)
        data = self.browser.cdp("Page.captureScreenshot", format="png")["data"]
        with open(os.path.join(folder, f"{name}.png"), "wb") as f:
            f.write(base64.b64decode(data))

    def look(self, name):
        """Pictures in both sizes, and what can be checked of them (audit.js), in the dark scheme too."""
        before = self.size
        for size, scheme in (("desktop", "light"), ("phone", "light"), ("phone", "dark")):
            self.resize(size)
            self.scheme(scheme)
            problems = self.script(AUDIT)
            assert not problems, f"{name}, {size}, {scheme}: " + "\n".join(problems)
            if scheme == "light" or name in ("menu", "plans-chosen", "completed"):
                self.picture(f"{name}-{size}" + ("" if scheme == "light" else "-dark"))
        self.scheme("light")
        self.resize(before)
