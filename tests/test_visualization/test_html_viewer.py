"""The page is opened in a real headless browser, where there is one."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from htcl.errors import InvalidValueError
from htcl.visualization.html_viewer import write_html

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--window-size=1000,720",
    # Without it, Debian's Chromium starts with a page of the web.
    "--homepage=about:blank",
    "about:blank",
    # Every host name fails to resolve, so the page can use nothing but itself.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


@pytest.fixture
def page(make_result, tmp_path):
    results = [make_result(), make_result(frame="000010", ground_truth=None)]
    return write_html(results, tmp_path / "viewer.html")


def test_page_names_nothing_outside(page):
    text = page.read_text(encoding="utf-8")
    assert "<title>Voxel viewer: 08/000005 and 1 more</title>" in text
    # No element of the page loads anything by address.
    assert not re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)\s*=\s*[\"']?http", text)


def test_errors(make_result, tmp_path):
    with pytest.raises(InvalidValueError, match="no frame"):
        write_html([], tmp_path / "a.html")
    other = make_result(prediction=np.zeros((4, 4, 4), np.uint8), ground_truth=None)
    with pytest.raises(InvalidValueError, match="another grid"):
        write_html([make_result(), other], tmp_path / "a.html")


def test_grids_count_the_drawn_classes_from_one(make_result, tmp_path):
    """Whatever the empty class: k3d leaves 0 out."""
    labels = np.array([0, 1, 2, 9], np.uint8)[np.arange(16 * 16 * 8) % 3].reshape(16, 16, 8)
    truth = labels.copy()
    truth[0, 0, 0] = 9
    result = make_result(
        prediction=labels,
        ground_truth=truth,
        class_names=("car", "free", "road"),
        palette=np.array([(1, 2, 3), (0, 0, 0), (4, 5, 6)], np.uint8),
        empty_class=1,
        ignore_index=9,
    )
    text = write_html([result], tmp_path / "viewer.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r"const HTCL = (\{.*?\});\n", text)[1])
    assert data["classes"] == [
        {"name": "car", "colour": "#010203"},
        {"name": "road", "colour": "#040506"},
    ]
    packed = zlib.decompress(base64.b64decode(data["frames"][0]["truth"]))
    drawn = np.frombuffer(packed, np.uint8).reshape(8, 16, 16).T
    assert drawn[0, 0, 0] == data["ignore"]
    np.testing.assert_array_equal(drawn.ravel()[1:], np.array([1, 0, 2])[labels.ravel()[1:]])


@pytest.fixture
def browser(tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    session = webdriver.Chrome(options=options, service=service)
    yield session
    session.quit()


def wait(browser, seconds=60):
    """Waits until the page has drawn its state."""
    end = time.monotonic() + seconds
    while browser.execute_script("return document.body.dataset.busy") != "no":
        assert time.monotonic() < end, "the page stays busy"
        time.sleep(0.05)


def canvas(browser):
    """The drawn scene without the panel, as numbers."""
    wait(browser)
    # k3d draws in the next animation frame.
    browser.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done));"
    )
    png = base64.b64decode(browser.get_screenshot_as_base64())
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))[:, 280:].astype(int)


def click(browser, name):
    browser.find_element("id", name).click()


def share(picture, colour, tolerance=60):
    """Share of the pixels that have the hue of a colour."""
    lengths = np.linalg.norm(picture, axis=2).clip(1)[..., None]
    wanted = np.asarray(colour) / np.linalg.norm(colour)
    return float((np.abs(picture / lengths - wanted) < tolerance / 255).all(axis=2).mean())


def foreign_requests(browser, page):
    """Addresses that the page asked for, besides itself and what it holds."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    mine = [p["request"]["url"] for p in sent if p["documentURL"] == page.as_uri()]
    assert page.as_uri() in mine
    return [url for url in mine if not url.startswith((page.as_uri(), "data:", "blob:"))]


def test_page_works_in_a_browser(page, browser):
    browser.get(page.as_uri())
    road, building = (255, 0, 255), (255, 200, 0)
    first = canvas(browser)
    assert share(first, road) > 0.02 and share(first, building) > 0.005

    click(browser, "class-9")  # road off
    hidden = canvas(browser)
    assert share(hidden, road) < 0.1 * share(first, road)
    assert share(hidden, building) > 0.005
    click(browser, "class-9")
    np.testing.assert_array_equal(canvas(browser), first)

    click(browser, "mode-truth")
    truth = canvas(browser)
    assert (truth != first).any() and share(truth, road) > 0.02

    click(browser, "mode-errors")
    errors = canvas(browser)
    assert share(errors, road) < 0.002 and share(errors, (213, 94, 0)) > 0.0005
    assert browser.find_element("id", "class-4").is_displayed()
    assert not browser.find_elements("id", "class-5")

    click(browser, "mode-both")
    assert (canvas(browser) != truth).any()

    click(browser, "next")  # a frame without ground truth
    second = canvas(browser)
    assert "08/000010" in browser.find_element("id", "panel").text
    assert not browser.find_element("id", "mode-truth").is_enabled()
    assert share(second, road) > 0.02

    click(browser, "none")
    assert share(canvas(browser), road) < 0.001

    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not severe
    assert not foreign_requests(browser, page)


@pytest.mark.parametrize("size", [(1400, 900), (1000, 720)])
def test_side_by_side_is_whole_and_beside_the_panel(page, browser, size):
    browser.set_window_size(*size)
    browser.get(page.as_uri())
    wait(browser)
    click(browser, "mode-both")
    both = canvas(browser)
    drawn = np.abs(both - both[5, -5]).sum(axis=2) > 60
    assert drawn.mean() > 0.05
    columns = np.flatnonzero(drawn.any(axis=0))
    assert columns[0] > 4 and columns[-1] < drawn.shape[1] - 5
    panel = browser.find_element("id", "panel").rect
    assert panel["x"] + panel["width"] < 276


@pytest.mark.parametrize("name", ["</script><script>alert(1)", "<!--<script>", "<b onload='x'>"])
def test_names_stay_text(make_result, tmp_path, name):
    """No '<' of a name, of a sequence or a class, is in the page as such."""
    name = name.replace("/", "|")
    result = make_result(sequence=name)
    result.class_names = (*result.class_names[:-1], "</script><!--<script>")
    text = write_html([result], tmp_path / "v.html").read_text()
    assert name not in text and "</script><!--<script>" not in text
    assert name.replace("<", "\\u003c") in text
