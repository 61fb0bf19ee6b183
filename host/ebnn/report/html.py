"""A report as one HTML file that needs nothing else: no scripts, no addresses, plots and images inside of it."""

from __future__ import annotations

from collections.abc import Mapping

from ebnn.errors import EbnnError
from ebnn.report import curves, images, plots
from ebnn.report.schema import validate
from ebnn.report.sections import about, headline, label_name, sections, verdict
from ebnn.tables import plain

_PLOTS = {
    "confusion": plots.confusion,
    "training": plots.training,
    "loss": curves.loss,
    "flips": curves.flips,
    "latents": curves.latents,
    "bytes": plots.byte_plot,
    "macs": plots.mac_plot,
    "instructions": plots.instruction_plot,
}


def render_html(report: Mapping) -> str:
    """The report as a page.

    Raises:
        DataError: the report is one that ``validate`` refuses, or a sample is not an image.
        EbnnError: jinja2 or matplotlib is not installed.
    """
    try:
        import jinja2
    except ModuleNotFoundError:
        raise EbnnError("the HTML report needs jinja2: pip install 'ebnn[report]'") from None
    validate(report)
    parts, gallery = sections(report), _gallery(report)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ebnn"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = lambda text: plain(text, keep="\n")
    environment.tests["kind"] = lambda block, name: type(block).__name__ == name
    wanted = {name for section in parts for name in section.figures} & set(_PLOTS)
    return environment.get_template("report.html").render(
        title=report["title"],
        about=about(report),
        verdict=verdict(report),
        headline=headline(report),
        sections=parts,
        plots={name: _PLOTS[name](report) for name in wanted},
        gallery=gallery,
    )


def _gallery(report: Mapping) -> list[dict]:
    """Each sample with its picture, its names and whether the answer is right."""
    found = []
    for index, sample in enumerate(report.get("samples", ())):
        array = images.image_array(sample["image"], f"report.samples[{index}].image")
        scores = ", ".join(f"{score:,}" for score in sample.get("scores", ()))
        found.append(
            {
                "uri": images.png_uri(array),
                "flat": array.shape[0] == 1,
                "right": sample["label"] == sample["answer"],
                "label": label_name(report, sample["label"]),
                "answer": label_name(report, sample["answer"]),
                "hint": f"test image {sample['index']}" + (f"; scores {scores}" if scores else ""),
            }
        )
    return found
