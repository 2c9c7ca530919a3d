"""A real browser, headless; screenshots stay in the build folder."""
from selenium import webdriver
from selenium.common.exceptions import (ElementNotInteractableException, NoSuchElementException,
                                        StaleElementReferenceException)
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from stack import ROOT

SHOTS = ROOT / "build/screenshots"


class Browser:
    def __init__(self, name, javascript=True, phone=False):
        options = webdriver.ChromeOptions()
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--ignore-certificate-errors",
                         "--disable-gpu", "--window-size=1000,900"):
            options.add_argument(argument)
        if phone:
            options.add_experimental_option("mobileEmulation", {
                "deviceMetrics": {"width": 390, "height": 1200, "pixelRatio": 1.0, "touch": False}})
        if not javascript:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options)
        self.driver.set_page_load_timeout(30)
        self.name = name
        self.shots = 0
        SHOTS.mkdir(parents=True, exist_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if exc[0]:
            self.shot("failed")
        self.driver.quit()

    def shot(self, what):
        self.shots += 1
        self.driver.save_screenshot(str(SHOTS / f"{self.name}-{self.shots}-{what}.png"))

    def until(self, check, seconds=20):
        # Between two looks the page may become another one.
        return WebDriverWait(self.driver, seconds, ignored_exceptions=[StaleElementReferenceException]).until(check)

    def heading(self, text):
        self.until(lambda d: any(h.text == text for h in d.find_elements(By.TAG_NAME, "h1")))

    def steady(self, act, seconds=20):
        """Until `act` gives something true; what a script replaces meanwhile is looked up again."""
        return WebDriverWait(self.driver, seconds, ignored_exceptions=(
            NoSuchElementException, StaleElementReferenceException, ElementNotInteractableException)).until(act)

    def fill(self, element, text):
        def act(d):
            field = d.find_element(By.ID, element)
            field.clear()
            field.send_keys(text)
            return field.get_attribute("value") == text
        self.steady(act)

    def press(self, text):
        def act(d):
            button = next(b for b in d.find_elements(By.TAG_NAME, "button") if b.text.strip() == text and b.is_enabled())
            button.click()
            return True
        self.driver.implicitly_wait(0)
        self.steady(lambda d: any(b.text.strip() == text and b.is_enabled() for b in d.find_elements(By.TAG_NAME, "button")))
        self.steady(act)

    def login_at_glewlwyd(self, user, password):
        self.fill("username", user)
        self.fill("password", password)
        self.shot("provider-login")
        self.steady(lambda d: d.find_element(By.CSS_SELECTOR, "form button").click() or True)
        self.press("Continue")

    def policy_violations(self):
        return [e for e in self.driver.get_log("browser") if "Content Security Policy" in e["message"]]
