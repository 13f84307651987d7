"""The page in a real browser: what it shows is what the arrays hold, and the sums come out."""

import math
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from scratchnet.explain.page import write_page
from scratchnet.explain.stages import PRODUCTS, stages

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install selenium")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (390, 820, 1500)  # a phone, a tablet, a desk
MOST = 4
QUIET = (  # a browser that asks nobody anything
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip


@pytest.fixture(scope="package")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if not path or not driver:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = path
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for argument in (*QUIET, f"--user-data-dir={profile}", "--window-size=1500,1400"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as running:
            running.set_script_timeout(60)
            yield running


@pytest.fixture(scope="module")
def page(browser, explained, tmp_path_factory):
    """The page of a small network, open."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(path, explained, MOST)
    browser.get(path.as_uri())
    wait_until_ready(browser)
    return browser


@pytest.fixture(autouse=True)
def nothing_in_the_console(page):
    yield
    assert page.get_log("browser") == []


def wait_until_ready(browser) -> None:
    browser.execute_async_script("""
        const done = arguments[0];
        const look = () => (document.documentElement.dataset.ready ? done() : setTimeout(look, 10));
        look();
    """)


def ask(page, refs: list[dict]) -> list[dict]:
    """What explain says of each number."""
    return page.execute_script(
        """return arguments[0].map((ref) => {
            const {value, gap, terms, factors} = explain(ref);
            return {value, gap, terms: (terms ?? factors ?? []).map((term) => term.value)};
        });""",
        refs,
    )


def expected(explained, found, ref: dict) -> float:
    """The same number from the trace itself."""
    what, mode = ref["what"], ref["mode"]
    step = explained.alone if mode == "alone" else explained.trace.step
    if mode == "compare":
        found_stages = stages(explained.trace.twins[ref.get("twin", 0)])
        head, image = explained.trace.head, 0
    else:
        found_stages, head = stages(step.encoder), step.head
        image = step.pairs * ref.get("twin", 0)
    if what in ("value", "gradient"):
        i = ref["value"]
        place = ref["row"], ref["column"], image, found.channels[i][ref["channel"]]
        if what == "value":
            return found_stages[0].x[place] if i == 0 else found_stages[i - 1].y[place]
        return found_stages[0].dx[place] if i == 0 else found_stages[i - 1].dy[place]
    if what in ("weight", "dweight"):
        i = ref["layer"]
        stage = found_stages[i]
        place = ref["row"], ref["column"], found.channels[i][ref["in"]], found.channels[i + 1][ref["out"]]
        return (stage.params if what == "weight" else stage.grads)["weight"][place]
    if "layer" in ref:
        name = "weight" if what.endswith("scale") else "bias"
        stage = found_stages[ref["layer"]]
        return (stage.grads if what.startswith("d") else stage.params)[name][
            found.channels[ref["layer"] + 1][ref["channel"]]
        ]
    if what in ("alpha", "dalpha", "part"):
        feature = found.channels[-1][ref["channel"]]
        h1, h2 = (h[0, feature] for h in head.x)
        alpha = head.params["weight"][feature]
        return {"alpha": alpha, "dalpha": step.grads["head.weight"][feature], "part": alpha * abs(h1 - h2)}[what]
    return {"logit": head.y[0], "dlogit": step.dlogits[0], "loss": step.loss}[what]


def random_refs(found, rng: np.random.Generator, count: int):
    """`count` numbers of every kind: of each kind of layer forward and back, of each kind of parameter, of the head."""

    def pixel(i: int) -> dict:
        H, W = found.stages[i].y.shape[:2]
        channel = rng.integers(len(found.channels[i + 1]))
        return {
            "value": i + 1,
            "twin": rng.integers(2),
            "channel": channel,
            "row": rng.integers(H),
            "column": rng.integers(W),
        }

    def entry(i: int) -> dict:
        outs, ins, kh, kw = found.arrays[f"w{i}"].shape
        return {
            "layer": i,
            "out": rng.integers(outs),
            "in": rng.integers(ins),
            "row": rng.integers(kh),
            "column": rng.integers(kw),
        }

    def channel(i: int) -> dict:
        return {"layer": i, "channel": rng.integers(len(found.channels[i + 1]))}

    last = found.channels[-1]
    of_the_head = {"logit": ("compare", "batch"), "dlogit": ("batch", "alone"), "loss": ("batch", "alone")}
    makers = [
        lambda what=what, mode=mode: {"what": what, "mode": mode}
        for what, modes in of_the_head.items()
        for mode in modes
    ]
    for what in ("alpha", "dalpha", "part"):
        makers.append(lambda what=what: {"what": what, "mode": "batch", "channel": rng.integers(len(last))})
    for kind in {stage.kind for stage in found.stages}:
        of_kind = [i for i, stage in enumerate(found.stages) if stage.kind == kind]
        for what, mode in (("value", "compare"), ("value", "batch"), ("gradient", "batch"), ("gradient", "alone")):
            makers.append(
                lambda what=what, mode=mode, of=of_kind: {"what": what, "mode": mode, **pixel(int(rng.choice(of)))}
            )
        for what in ("weight", "dweight"):
            if kind in PRODUCTS:
                makers.append(
                    lambda what=what, of=of_kind: {"what": what, "mode": "batch", **entry(int(rng.choice(of)))}
                )
        for what in {"norm": ("scale", "shift", "dscale", "dshift")}.get(
            kind, ("bias", "dbias") if kind in PRODUCTS else ()
        ):
            makers.append(lambda what=what, of=of_kind: {"what": what, "mode": "alone", **channel(int(rng.choice(of)))})
    for maker in makers:
        for _ in range(count):
            yield {name: int(value) if isinstance(value, np.integer) else value for name, value in maker().items()}


def test_random_numbers_of_every_kind_are_those_of_the_arrays_and_their_terms_add_up(page, explained, found):
    refs = list(random_refs(found, np.random.default_rng(0), 100))
    for ref, answer in zip(refs, ask(page, refs), strict=True):
        assert answer["value"] == pytest.approx(float(expected(explained, found, ref)), rel=1e-6, abs=1e-12), ref
        size = sum(map(abs, answer["terms"])) if len(answer["terms"]) > 1 else abs(answer["value"])
        assert abs(answer["gap"]) <= 2e-5 * size + 1e-9, (ref, answer)


def test_the_score_is_that_of_compare_to_the_last_digit(page, explained):
    shown = text_of(page, "pair")
    assert f"exactly {explained.trace.probability!r}" in shown


def text_of(page, name: str) -> str:
    return page.execute_script("return document.getElementById(arguments[0]).textContent", name).replace("\u00a0", " ")


def panel(page) -> str:
    return text_of(page, "why")


def picture(page, label: str):
    """The first canvas of the strip whose label begins so."""
    return page.find_element("css selector", f'#strip canvas[aria-label^="{label}"]')


def test_the_pixel_under_the_mouse_is_explained_and_a_click_keeps_it(page):
    actions = webdriver.ActionChains(page)
    canvas = picture(page, "conv1, forward, first twin")
    actions.move_to_element_with_offset(canvas, 0, 0).perform()
    assert "Output of conv1" in panel(page)
    assert "tested, in a clone of scratchnet, by" in panel(page)
    actions.click().perform()
    actions.move_to_element(picture(page, "conv1, gradient, second twin")).perform()
    assert "Output of conv1" in panel(page)
    actions.send_keys(webdriver.Keys.ESCAPE).perform()
    actions.move_to_element_with_offset(picture(page, "conv1, gradient, second twin"), 3, 3).perform()
    assert "Gradient at the output of conv1" in panel(page)
    assert "second twin" in panel(page)


def test_the_keyboard_reaches_every_number(page):
    picture(page, "conv1, gradient, first twin").send_keys("")  # focus
    page.execute_script("pin(false); pictures.find((each) => each.key === 'batch/g1/0').choose(1, 2, 3)")
    canvas = picture(page, "conv1, gradient, first twin")
    canvas.send_keys(webdriver.Keys.ARROW_DOWN)
    canvas.send_keys(webdriver.Keys.ARROW_RIGHT)
    assert "pixel (3, 4)" in panel(page)
    page.execute_script("pictures.find((each) => each.key === 'batch/g1/0').choose(0, 2, arguments[0] - 1)",
                        page.execute_script("return shape('batch/g1')[3]"))  # fmt: skip
    canvas.send_keys(webdriver.Keys.ARROW_RIGHT)
    assert "pixel (2, 0)" in panel(page), "over the edge into the next channel"
    canvas.send_keys(webdriver.Keys.SHIFT + webdriver.Keys.ARROW_RIGHT)
    assert "Gradient at the output of pool1" in panel(page), "with Shift to the next layer"


def test_every_link_leads_to_a_number_that_is_there(page, found):
    refs = list(random_refs(found, np.random.default_rng(1), 30))
    lost = page.execute_script(
        """return arguments[0].flatMap((ref) => {
            const {terms, factors, links} = explain(ref);
            const leads = [...(terms ?? factors ?? []), ...links].map((each) => each.ref).filter(Boolean);
            return leads.filter((each) => each.row !== undefined && each.value !== undefined && !inside(each));
        });""",
        refs,
    )
    assert lost == []


def test_a_chosen_number_is_framed_wherever_it_stands(page, found):
    for ref in random_refs(found, np.random.default_rng(2), 1):
        if ref["what"] not in ("logit", "dlogit", "loss"):
            backward = ref if ref["mode"] == "compare" else ref | {"mode": "batch"}
            page.execute_script("choose(arguments[0])", backward)
            framed = (
                "const {key, index} = home(arguments[0]);"
                "return pictures.some((each) => each.key === key && each.marks.some((mark) => mark.index === index))"
            )
            shown = backward["mode"] == "compare" or backward["what"] not in ("value", "part")
            assert page.execute_script(framed, backward) is shown, ref


def test_a_finger_picks_a_pixel(page):
    page.execute_script("""
        const canvas = pictures.find((each) => each.key === "compare/v5/1").canvas;
        const box = canvas.getBoundingClientRect();
        canvas.dispatchEvent(new PointerEvent("click",
            {pointerType: "touch", clientX: Math.ceil(box.left), clientY: Math.ceil(box.top), bubbles: true}));
    """)
    assert "pixel (0, 0), second twin" in panel(page)


def test_a_term_leads_to_the_number_that_it_comes_from(page):
    page.execute_script("choose({what: 'value', mode: 'compare', value: 1, twin: 0, channel: 0, row: 5, column: 6})")
    page.find_element("css selector", "#why button.term").click()
    assert panel(page).startswith("Picture: channel 0")
    page.execute_script("pin(false)")


def test_the_way_back_can_be_of_this_pair_alone(page, explained):
    gradient = {"what": "gradient", "value": 1, "twin": 0, "channel": 0, "row": 5, "column": 6}
    page.execute_script("choose(arguments[0])", gradient | {"mode": "batch"})
    page.find_element("css selector", "input[value=alone]").click()
    assert "In a training step on this pair alone." in panel(page)
    shown = text_of(page, "strip")
    assert page.execute_script("return `loss ${shortly(arguments[0])}`", float(explained.alone.loss)) in shown
    page.find_element("css selector", "input[value=batch]").click()
    assert "In a training step on 8 pairs." in panel(page)


def test_the_sliders_and_the_bugs_show_what_was_recorded(page):
    facts = page.execute_script("return {steps: facts.steps, bugs: facts.bugs, start: facts.initialisation}")
    for n, step in enumerate(facts["steps"]):
        page.execute_script("const slider = document.getElementById('rate'); slider.value = arguments[0];"
                            "slider.dispatchEvent(new Event('input'))", n)  # fmt: skip
        assert f"{100 * step['p']:.2f} %" in text_of(page, "step")
    for n, bug in enumerate(facts["bugs"]):
        page.execute_script("const list = document.getElementById('bugs'); list.value = arguments[0];"
                            "list.dispatchEvent(new Event('change'))", n)  # fmt: skip
        text = text_of(page, "bug")
        assert bug["story"] in text
        assert all(check["saw"] in text for check in bug["checks"])
    places = len(facts["start"]["literal"]["saturated"])
    page.execute_script("const slider = document.getElementById('start-step'); slider.value = arguments[0];"
                        "slider.dispatchEvent(new Event('input'))", places - 1)  # fmt: skip
    share = facts["start"]["literal"]["saturated"][-1]
    assert f"{100 * share:.0f} % saturated" in text_of(page, "start")


def test_it_asks_the_network_for_nothing(page):
    assert page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []


def test_every_picture_is_named_and_can_be_focused(page):
    unnamed = (
        "return [...document.querySelectorAll('canvas, svg')].filter((each) => !each.getAttribute('aria-label')).length"
    )
    assert page.execute_script(unnamed) == 0
    stops = (
        "return [1, 2, 3, 4].map((row) => document.querySelectorAll(`[data-row='${row}'] canvas[tabindex='0']`).length)"
    )
    assert page.execute_script(stops) == [1, 1, 1, 1], "one tab stop a row: the arrow keys lead on"


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off_at_any_width(page, width, tmp_path):
    try:
        page.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": width < 800},
        )
        page.execute_script(
            "choose({what: 'gradient', mode: 'batch', value: 3, twin: 0, channel: 0, row: 0, column: 0})"
        )
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        if folder := os.environ.get("SCREENSHOTS"):  # to look at
            height = math.ceil(page.execute_script("return document.documentElement.scrollHeight"))
            page.set_window_size(width, height)
            page.save_screenshot(str(Path(folder) / f"explain_{width}.png"))
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_dark_and_light_have_legible_colours(page):
    for scheme in ("light", "dark"):
        page.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        colours = page.execute_script("readPalette(); return palette")
        assert luminance_ratio(colours["ink"], colours["zero"]) > 7
        for sign in ("minus", "plus"):
            assert luminance_ratio(colours[sign], colours["zero"]) > 4.5
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    page.execute_script("drawAll()")


def luminance_ratio(one: list[int], other: list[int]) -> float:
    """The contrast of WCAG 2.1, 1 to 21."""

    def luminance(colour: list[int]) -> float:
        shares = (channel / 255 for channel in colour)
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
