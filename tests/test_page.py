"""The page in a real browser: an article in, stances out, a correction back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import communique
from servers import running, script

from model.records import read_records

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with running([script("communique"), "serve", "--port"], tmp_path, tmp_path) as client:
        yield client


@pytest.fixture
def page(client: httpx.Client) -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.wrong: list[str] = []
        page.asked: list[str] = []
        page.on("console", lambda message: page.wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(str(client.base_url))
        yield page
        browser.close()


def test_an_article_is_read_and_a_label_corrected(page, client: httpx.Client, tmp_path: Path) -> None:
    page.fill("#text", "😀 The ministry denied it. They may come. It rained on the quay.")
    page.click("#go")
    page.wait_for_selector(".sentence")
    sentences = page.locator(".sentence")
    found = [sentences.nth(number).get_attribute("data-labels") for number in range(3)]
    assert found == ["denial", "hedge", ""]
    assert "They may come." in sentences.nth(1).inner_text()
    assert "3 sentences" in page.inner_text("#counts")
    sentences.nth(2).click()
    assert page.inner_text("#quoted") == "It rained on the quay."
    assert page.locator("#detail meter").count() == 4
    page.check("input[name=support]")
    page.fill("#note", "a test")
    page.click("#send")
    page.wait_for_selector("#sent:text-is('kept')")
    (record,) = read_records(tmp_path / "communique-feedback.jsonl")
    assert (record.text, record.labels, record.note) == ("It rained on the quay.", ("support",), "a test")
    page.fill("#text", "")
    page.click("#go")
    page.wait_for_selector("#status.wrong")
    # The one error of the console is the 422 of the empty text.
    assert [text for text in page.wrong if "422" not in text] == []
    assert all(url.startswith((str(client.base_url), "data:")) for url in page.asked)


def test_a_key_is_asked_for_where_one_is_needed(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    keys = tmp_path / "keys.json"
    key = communique("key", "desk", "--keys", keys).stdout.strip()
    command = [script("communique"), "serve", "--port"]
    with running(command, tmp_path, tmp_path, COMMUNIQUE_KEYS=str(keys)) as client, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(str(client.base_url))
        page.fill("#text", "They may come.")
        page.click("#go")
        page.fill("#key", key)
        page.click("#go")
        page.wait_for_selector(".sentence")
        browser.close()
