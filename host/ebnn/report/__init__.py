"""One dict of measured and counted facts -> terminal text, Markdown, and one self-contained HTML file.

The dict is plain data (``report.json`` holds it); every part but ``title`` and ``date`` may be missing and is then
left out of the page, so a demo and a bench on a board share the renderer. ``validate`` says what is wrong.
Estimates and measurements never share a column. Names, labels and transcripts are escaped in every output.

| key | holds |
|---|---|
| ``title``, ``date`` | what ran, and when |
| ``commit`` | of the checkout, or null |
| ``board`` | ``name``, ``title``, ``cpu``, ``clock_hz`` (all but the name may be missing), and more |
| ``dataset`` | ``name``, ``test_count``; ``note`` may say that a substitute was taken |
| ``arch`` | the architecture's text |
| ``labels`` | names of the K classes |
| ``transcript`` | what a person saw at the prompt, line by line (an entry may hold several lines) |
| ``accuracy`` | ``trainer``, ``simulator``, ``c_engine``, ``device``: ``count``, ``correct``, ``percent``, or null |
| ``mismatches`` | ``simulator_vs_trainer``, ``c_vs_simulator``, ``device_vs_simulator`` (images), ``traces`` (images \
whose every node was compared on a board), ``trainer_nodes`` (the same of trainer and simulator): ``compared``, \
``different``, or null; ``different`` may be null: not compared |
| ``instructions`` | counted, of one inference: ``median``, ``min``, ``max``, and the ``count`` of inferences |
| ``node_instructions`` | counted, of each layer on one image; empty where that was not counted |
| ``estimated_ms`` | of the median at the board's ``clock_hz``, one instruction a cycle: an estimate |
| ``timed_us`` | measured by the board's clock, of one inference: ``median``, ``min``, ``max``, or null |
| ``bytes`` | ``model``, ``code``, ``arena``, ``input``, ``stack``, ``heap_free`` and more; each may be null |
| ``network`` | what ``ebnn.cost.describe`` returns |
| ``summary`` | what ``ebnn.summary.text`` says of it, or null |
| ``confusion`` | K x K counts; row: the image's class, column: the answer |
| ``samples`` | ``index``, ``image`` (nested list (h, w, c), or ``shape`` and ``base64`` of its bytes), ``label``, \
``answer`` (class indexes), ``scores`` |
| ``training`` | ``epochs``, ``seconds``, ``selected_epoch``, ``history`` of ``epoch``, ``loss``, ``train_acc``, \
``val_acc`` (0 to 1), ``lr`` and ``flip_rate``; ``weights`` may hold the records of ``ebnn.train.watch``, whose \
histograms reach to ``latent_clip``; or null |
| ``stages`` | ``name``, ``seconds``, ``note`` |
| ``comparison`` | others' rows: ``who``, ``accuracy``, ``memory``, ``time`` (measured), ``data``; ours is added |
| ``next_steps`` | ``text``, ``command`` |
"""

from __future__ import annotations

from ebnn.report.bench import bench_report, speed
from ebnn.report.html import render_html
from ebnn.report.schema import validate
from ebnn.report.words import render_markdown, render_text
from ebnn.report.write import write_report

__all__ = [
    "bench_report",
    "render_html",
    "render_markdown",
    "render_text",
    "speed",
    "validate",
    "write_report",
]
