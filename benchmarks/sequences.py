"""The page Sequences with 50,000 sequences in a real Chromium: opening it, a search, another order, a page, a response."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.dashboard import FLAGS, start_server
from benchmarks.timing import Figure, milliseconds
from engine.config import TrainConfig
from engine.config_language import LanguageConfig
from engine.kinds.language.sequences import TOKEN_COLUMNS, LanguageSnapshot, SequenceBuffer
from engine.spaces import Space
from engine.store.commit import RunWriter
from engine.store.manifest import RunManifest

if TYPE_CHECKING:
    from playwright.sync_api import Page

SEQUENCES, PROMPT, RESPONSE, GROUP = 50_000, 12, 52, 8
WORDS = [f"{first}{last}" for first in ("ba", "ko", "mi", "ru", "te") for last in ("la", "no", "si", "vu", "x")]
SHOWN = """before => {
    const app = document.querySelector('[data-testid=stApp]');
    return app?.dataset.testScriptState !== 'running' && location.search !== before
        && document.querySelector('.st-key-sequences_table canvas') !== null
        && document.querySelector('.st-key-token_strip .bars .point') !== null;
}"""
"""Whether another view than `before`, an URL's query, is drawn: a page writes its view into the URL when it is done."""


def figures(quick: bool) -> Iterator[Figure]:
    """Seconds until what a person waits for is on the screen."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("sequences: no Chromium found; install one to measure it (apt-get install chromium)")
        return
    from playwright.sync_api import sync_playwright

    repeats = 2 if quick else 6
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as profile:
        write_run(Path(folder) / "many")
        server, url = start_server("--runs", folder)
        try:
            with sync_playwright() as playwright:
                context = playwright.chromium.launch_persistent_context(
                    profile, executable_path=browser, args=list(FLAGS), viewport={"width": 1280, "height": 1200}
                )
                yield from _measure(context.new_page(), f"{url}/sequences?run=many", repeats)
                context.close()
        finally:
            server.terminate()
            server.wait(10)


def _measure(page: Page, url: str, repeats: int) -> Iterator[Figure]:
    page.set_default_timeout(120_000)

    def timed(act: Callable[[], object]) -> float:
        before = page.evaluate("location.search")
        started = time.perf_counter()
        act()
        page.wait_for_function(SHOWN, arg=before, polling=20)
        seconds = time.perf_counter() - started
        page.wait_for_timeout(400)
        return seconds

    def ask(words: str) -> None:
        search = page.locator(".st-key-sequence_search input")
        search.fill(words)
        search.press("Enter")

    opened = []
    for _ in range(repeats + 1):
        page.goto("about:blank")
        opened.append(timed(lambda: page.goto(url)))
    yield milliseconds("first opening: imports, the round read and verified", opened[:1])
    yield milliseconds("opened again", opened[1:], target="<= 3000")
    asked = [f"{WORDS[i]} {WORDS[i + 1]}" for i in range(repeats)]
    found = [timed(partial(ask, words)) for words in asked]
    yield milliseconds("search in all prompts and responses", found, target="<= 1000")
    timed(lambda: ask(""))
    order = page.locator(".st-key-order button")
    ordered = [timed(order.nth((i + 1) % 2).click) for i in range(repeats)]
    yield milliseconds("the other order", ordered, target="<= 1000")
    for what, key in (("next page of the list", "page_on"), ("next response as a strip of tokens", "listed_after")):
        button = page.locator(f".st-key-{key} button").first
        yield milliseconds(what, [timed(button.click) for _ in range(repeats)], target="<= 1000")


def write_run(path: Path) -> None:
    """A recorded round of made-up sequences; the tokenizer has a token a word."""
    rng = np.random.default_rng(0)
    length = PROMPT + RESPONSE
    token = rng.integers(0, len(WORDS), (SEQUENCES, length)).astype(np.int32)
    token[:, :PROMPT] = np.repeat(token[::GROUP, :PROMPT], GROUP, axis=0)
    words = np.array(WORDS, object)[token]
    mask = np.tile(np.arange(length) >= PROMPT, SEQUENCES)
    reward = rng.normal(size=SEQUENCES).astype(np.float32)
    numbers = {
        name: np.where(mask, rng.normal(size=mask.size), 0).astype(np.float32)
        for name in TOKEN_COLUMNS
        if name not in ("token", "mask")
    }
    buffer = SequenceBuffer(
        prompt=[" ".join(row) for row in words[:, :PROMPT]],
        response=[" " + " ".join(row) for row in words[:, PROMPT:]],
        group=(np.arange(SEQUENCES) // GROUP).astype(np.int32),
        reward=reward,
        reward_parts={"model": reward},
        truncated=rng.random(SEQUENCES) < 0.2,
        kept=np.ones(SEQUENCES, np.bool_),
        repaired=np.zeros(SEQUENCES, np.bool_),
        start=(np.arange(SEQUENCES + 1) * length).astype(np.int64),
        token=token.ravel(),
        mask=mask,
        **numbers,
    )
    config = TrainConfig(env_id="language", n_steps=SEQUENCES, n_epochs=1, path="torch", rounds=1)
    language = LanguageConfig(policy="made-up", reward="made-up", algorithm="grpo", group_size=GROUP)
    tokenizer = {
        "version": "1.0",
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(WORDS)}, "unk_token": WORDS[0]},
    }
    model = {"tokenizer.json": json.dumps(tokenizer).encode()}
    space = Space("discrete", n=len(WORDS))
    files = {name: sha256(data).hexdigest() for name, data in model.items()}
    manifest = RunManifest("language", config, "tokens", space, space, language=language, model=files)
    minibatches = rng.permutation(SEQUENCES).astype(np.int32)[None]
    checkpoint = {"parameter/weight": np.zeros(1, np.float32)}
    with RunWriter.create(path, manifest, model=model) as writer:
        snapshot = LanguageSnapshot(
            round=0,
            config=config,
            language=language,
            buffer=buffer,
            validation=None,
            checkpoint=checkpoint,
            minibatches=minibatches,
        )
        writer.commit_round(snapshot, {})
        writer.commit_final(1, checkpoint)
