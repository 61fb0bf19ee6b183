"""docs/ablation.md with its plots: every study of docs/studies that has results beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ebnn.ablate import effects, record, study
from ebnn.ablate.tables import Findings, epoch_table, method_table, paper_table
from ebnn.files import repo_root, write_atomic

INTRODUCTION = """# Which methods help

Written by `ebnn ablate docs/studies/NAME.toml --docs`, from the results beside the studies in `docs/studies/`.
Figures are accuracies on the held-out part of the training images. The processes that train let go of the test images
before they begin.

- **Screening.** All methods at once, each on or off, in the runs of a Plackett-Burman design
  (`host/ebnn/ablate/design.py`): every effect is a difference of two halves of all runs, with the other methods on as
  often as off in both. What two methods do together is spread thinly over the effects of the others, so a screening
  picks candidates and proves nothing.
- **Confirmation.** The best of the screening, each alone on the base, and each left out of all of them, with seeds
  and intervals of its own. An interval of the difference is taken seed by seed. "helps" and "harms": the 95 %
  interval does not hold 0. Of twenty methods that do nothing one looks so by chance.
- **One of its kind.** Of methods that exclude one another (gradients of sign, binarizers of weights, orders of
  layers, optimizers) the design has one, so no run ever has two; the others are alternatives, each compared with the
  base alone. So are methods that contradict several others.
- **Cost.** The models of every seed, beside the base's of the same seed: whether their layers have the same
  operators, shapes, kernels, bytes and places in the arena; and the instructions of one inference, counted under QEMU
  on the same image. Gains, shifts and slopes that fold into thresholds cost nothing. With the same layers, a few
  instructions more or less are what the bits of an image let a kernel skip. Layers differ where batch norm's scale
  went below 0 behind a pool: then there is a bit a filter that says so.
- Budgets are short, and the same for all methods of a study: what pays only after many epochs does not show here.
- Intervals hold what seeds do (first weights, order, augmentation), not which images are held out.
"""


def page(all_findings: Sequence[Findings]) -> str:
    """The text of docs/ablation.md."""
    summary = paper_table(all_findings)
    parts = [INTRODUCTION, f"## {summary.title}\n\nAlone on the base, points of accuracy.\n\n{summary.markdown()}\n"]
    return "\n".join([*parts, *map(_section, all_findings)])


def _section(findings: Findings) -> str:
    part = findings.study
    name, images = part.name, f"{part.images:,}" if part.images else "all"
    intro = (
        f"Base `{part.base.get('arch', '')}`, data `{part.data}`, trained on {images} images. "
        f"[{name}.toml](studies/{name}.toml), {findings.found['date']}, commit {findings.found['commit']}."
    )
    parts = [f"## {part.title}", intro, part.note, f"![effects and intervals](ablation-{name}.png)"]
    parts += [table.markdown() for table in (method_table(findings), epoch_table(findings))]
    return "\n\n".join(text for text in parts if text) + "\n"


def picture(findings: Findings) -> bytes:
    """The PNG of a study."""
    from ebnn.report.effects import EffectPlot, plot

    screened = findings.screened
    shown = [*screened.effects.items(), *(("", effect) for effect in screened.unused)]
    shown = [(name, effect) for name, effect in shown if not math.isnan(effect)]
    confirmed = [
        (entry.factor.name, *(found and (found.mean, found.half) for found in (entry.alone, entry.left_out)))
        for entry in findings.factors
        if entry.alone
    ]
    quantiles = effects.half_normal(len(shown))
    return plot(EffectPlot(findings.study.title, shown, quantiles, screened.margin, confirmed))


def write(part: study.Study, found: dict) -> list[Path]:
    """Write a study's results and plot, and the page of all studies; returns the paths, relative to the checkout."""
    docs = repo_root() / "docs"
    written = [
        write_atomic(docs / "studies" / f"{part.name}.json", record.render(found)),
        write_atomic(docs / f"ablation-{part.name}.png", picture(Findings(part, found))),
        write_atomic(docs / "ablation.md", page(recorded())),
    ]
    return [path.relative_to(repo_root()) for path in written]


def recorded() -> list[Findings]:
    """Every study of docs/studies with results, by name.

    Raises:
        DataError: results are of another version of their study.
    """
    found = []
    for path in sorted((repo_root() / "docs" / "studies").glob("*.toml")):
        results = path.with_suffix(".json")
        if results.exists():
            part = study.read(path)
            found.append(Findings(part, record.read(results, part)))
    return found
