"""The pages in a real browser: heard, seen, alone, on a phone, in light and dark, and on paper."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import PROGRAM, Page, browser
from matplotlib.image import imsave
from reported_runs import audio_run, evaluated, gan_run, series_run

from apps import pages

if sys.platform == "win32" or not PROGRAM:
    pytest.skip("no Chromium here", allow_module_level=True)
try:
    subprocess.run([PROGRAM, "--version"], capture_output=True, check=True, timeout=60)
except (OSError, subprocess.SubprocessError):
    pytest.skip("the Chromium here does not start", allow_module_level=True)

pytestmark = pytest.mark.slow  # the browser takes its time to start

PHONE, DESKTOP = 360, 1200

# Plays every sound a little, from its start; returns what does not.
PLAY = """(async () => {
  const bad = [];
  for (const player of document.querySelectorAll("audio")) {
    const name = player.getAttribute("aria-label");
    try {
      player.preload = "auto";
      if (player.readyState < 2) await new Promise((done, fail) => {
        player.onloadeddata = done;
        player.onerror = () => fail(new Error("cannot be loaded"));
        player.load();
      });
      if (!(player.duration > 0)) throw new Error(`lasts ${player.duration}`);
      const failed = new Promise((_, fail) => {
        player.onerror = () => fail(new Error(player.error.message));
      });
      await player.play();
      const until = performance.now() + 10000;
      while (player.currentTime === 0) {
        if (performance.now() > until) throw new Error("does not go on");
        await Promise.race([failed, new Promise(done => setTimeout(done, 5))]);
      }
      player.pause();
    } catch (error) { bad.push(`${name}: ${error.message}`); }
  }
  return bad;
})()"""

BROKEN_PICTURES = """[...document.images].filter(
  image => !image.complete || image.naturalWidth === 0 || !image.alt).map(image => image.alt)"""

# What reaches out of the page to the right, unless it is in a box that scrolls.
TOO_WIDE = """(() => {
  const wide = document.documentElement.clientWidth;
  const found = [...document.body.querySelectorAll("*")].filter(element =>
    !element.closest(".scroll") && element.getBoundingClientRect().right > wide + 1);
  const all = document.scrollingElement.scrollWidth;
  return (all > wide ? [`the page is ${all} wide`] : []).concat(
    found.map(element => element.outerHTML.slice(0, 80)));
})()"""

# Text with less contrast than WCAG 2.2 asks for (1.4.3, 4.5 to 1).
FAINT = """(() => {
  const numbers = color => color.match(/[\\d.]+/g).map(Number);
  const light = color => {
    const [r, g, b] = numbers(color).slice(0, 3).map(value => value / 255).map(
      value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    for (; element; element = element.parentElement) {
      const color = getComputedStyle(element).backgroundColor;
      if ((numbers(color)[3] ?? 1) === 1) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const found = new Set();
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some(
      node => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (!own) continue;
    const style = getComputedStyle(element);
    const pair = [light(element.closest("svg") ? style.fill : style.color), light(ground(element))];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < 4.5) found.add(`${element.tagName} .${element.className} ${ratio.toFixed(2)}`);
  }
  return [...found];
})()"""

# Pictures without words, and headings that leave out a level.
UNNAMED = """[...document.querySelectorAll("svg, audio, table")].filter(element =>
    !(element.getAttribute("aria-hidden") || element.getAttribute("aria-label")
      || element.querySelector("caption"))).map(element => element.outerHTML.slice(0, 80)).concat(
  [...document.querySelectorAll("h1, h2, h3")].map(element => Number(element.tagName[1])).filter(
    (level, at, all) => level > (at ? all[at - 1] : 0) + 1).map(level => `h${level}`))"""

PAGES = ("audio", "series", "gan", "comparison", "generated")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    audio, series = audio_run(folder / "audio"), series_run(folder / "a run; called <b>")
    for run in (audio, series):
        control = {"mean": 0.01, "std": 0.002}
        evaluated(run, {"a_metric_of_some_length": {"mean": 0.05, "std": 0.01, "control": control}},
                  pictures={"PCA": "pca.png"})  # fmt: skip
        imsave(run / "pca.png", np.ones((300, 900, 3)))
    made = [audio / "samples/step-0000020-sample-1.wav", audio / "config.yaml"]
    return {
        "audio": pages.write_run(audio),
        "series": pages.write_run(series),
        "gan": pages.write_run(gan_run(folder / "gan")),
        "comparison": pages.write_comparison([audio, series], folder / "comparison.html"),
        "generated": pages.write_generated(
            folder, made, run=audio, step=3, defaults={},
            settings={"mode": "sample", "seed": 1, "weights": "ema", "run": "r"},
        ),
    }  # fmt: skip


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_is_heard_and_seen_and_asks_for_nothing(page, written, kind):
    page.look(width=DESKTOP, dark=False)
    page.open(written[kind])
    assert page.run("document.querySelectorAll('h1').length") == 1
    assert page.run(BROKEN_PICTURES) == []
    assert page.run(PLAY) == []
    assert page.run(UNNAMED) == []
    assert page.requests() == [written[kind].as_uri()]
    assert page.complaints() == []
    if kind == "audio":
        assert page.run("document.querySelectorAll('audio').length") == 5
        assert page.run("document.images.length") == 6


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_can_be_read_on_a_phone_in_light_and_in_dark(page, written, kind):
    grounds = []
    for dark in (False, True):
        page.look(width=PHONE, dark=dark)
        page.open(written[kind])
        page.run("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.run("innerWidth") == PHONE
        assert page.run(TOO_WIDE) == []
        assert page.run(FAINT) == []
        grounds.append(page.run("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(251, 250, 247)", "rgb(20, 23, 27)"]


def test_a_page_is_printed_dark_on_white_whatever_the_screen(page, written):
    page.look(width=DESKTOP, dark=True, media="print")
    page.open(written["audio"])
    style = "getComputedStyle(document.body)"
    assert page.run(f"[{style}.backgroundColor, {style}.color]") == [
        "rgb(255, 255, 255)", "rgb(0, 0, 0)"
    ]  # fmt: skip
    assert page.run("getComputedStyle(document.querySelector('audio')).display") == "none"
    assert page.run(FAINT) == []


def test_the_checks_see_what_is_wrong(page, tmp_path):
    broken = tmp_path / "broken.html"
    broken.write_text(
        "<!doctype html><title>x</title><meta name='viewport' content='width=device-width'>"
        "<body style='background: #fff'><h1>x</h1><h3>y</h3>"
        "<div style='width: 900px; color: #bbb'>wide and faint</div>"
        "<img src='data:image/png;base64,xx' alt='none'><svg></svg>"
        "<audio aria-label='noise' src='data:audio/flac;base64,xxxx'></audio>"
        "<script>console.error('wrong')</script><img src='http://localhost:9/x.png' alt='out'>"
    )
    page.look(width=PHONE, dark=False)
    page.open(broken)
    assert page.run(BROKEN_PICTURES) == ["none", "out"]
    assert page.run(PLAY) == ["noise: cannot be loaded"]
    assert len(page.run(TOO_WIDE)) >= 2
    assert len(page.run(FAINT)) == 1
    assert page.run(UNNAMED) == ["<svg></svg>", "h3"]
    assert "http://localhost:9/x.png" in page.requests()
    assert any("wrong" in each for each in page.complaints())
