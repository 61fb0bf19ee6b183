"""The architecture grammar."""

from __future__ import annotations

import pytest

from ebnn import arch
from ebnn.errors import ConfigError


def test_every_form_of_token() -> None:
    parsed = arch.parse("16c3-p2-8c5s2p2-p3s1p1-4c1x3p0x1s1x2-64-10".replace("p0x1s1x2", "s1x2p0x1"))
    assert parsed.layers == (
        arch.Conv(16, (3, 3)),
        arch.Pool((2, 2), (2, 2)),
        arch.Conv(8, (5, 5), (2, 2), (2, 2)),
        arch.Pool((3, 3), (1, 1), (1, 1)),
        arch.Conv(4, (1, 3), (1, 2), (0, 1)),
        arch.Dense(64),
        arch.Dense(10),
    )
    assert parsed.classes == 10


def test_depthwise_tokens() -> None:
    parsed = arch.parse("16c3-d3s2p1-2d3x1-10")
    assert parsed.layers[1:3] == (arch.Depthwise(1, (3, 3), (2, 2), (1, 1)), arch.Depthwise(2, (3, 1)))
    assert parsed.shapes((9, 9, 1)) == [(7, 7, 16), (4, 4, 16), (2, 4, 32), (1, 1, 10)]


def test_layers_that_add_and_averages() -> None:
    parsed = arch.parse("16c3s2p1+-d3p1+-a-10")
    assert parsed.layers[0] == arch.Conv(16, (3, 3), (2, 2), (1, 1), adds=True)
    assert parsed.layers[1:3] == (arch.Depthwise(1, (3, 3), (1, 1), (1, 1), adds=True), arch.Average())
    assert parsed.shapes((9, 9, 1)) == [(5, 5, 16), (5, 5, 16), (1, 1, 16), (1, 1, 10)]
    assert parsed.has_maps and not arch.parse("16c3-10").has_maps


def test_tokens_of_other_numbers() -> None:
    parsed = arch.parse("t7-32i5p2-a2x3-16c3p1l3+-2d3l2-a-9-10")
    assert parsed.layers[:6] == (
        arch.Thermometer(7),
        arch.Conv(32, (5, 5), (1, 1), (2, 2), int8=True),
        arch.Average((2, 3)),
        arch.Conv(16, (3, 3), (1, 1), (1, 1), adds=True, levels=3),
        arch.Depthwise(2, (3, 3), levels=2),
        arch.Average(),
    )
    shapes = parsed.shapes((9, 9, 2))
    assert shapes[:6] == [(9, 9, 14), (9, 9, 32), (4, 3, 32), (4, 3, 48), (2, 1, 192), (1, 1, 192)]


def test_sums_of_a_convolution_can_be_the_scores() -> None:
    parsed = arch.parse("16c3-7c1-a")
    assert parsed.classes == 7 and parsed.shapes((5, 5, 1))[-1] == (1, 1, 7)


def test_bases() -> None:
    parsed = arch.parse("16c3p1m3l2+-d3m2-10")
    assert parsed.layers[0] == arch.Conv(16, (3, 3), (1, 1), (1, 1), adds=True, levels=2, bases=3)
    assert parsed.layers[1] == arch.Depthwise(1, (3, 3), bases=2)
    assert parsed.shapes((5, 5, 1))[:2] == [(5, 5, 32), (3, 3, 32)] and arch.parse("4c3m2-10").has_maps


def test_text_comes_back() -> None:
    assert str(arch.parse(" 16C3-p2-10 ")) == "16c3-p2-10"


def test_shapes() -> None:
    shapes = arch.parse("16c5-p2-32c3-p2-10").shapes((28, 28, 1))
    assert shapes == [(24, 24, 16), (12, 12, 16), (10, 10, 32), (5, 5, 32), (1, 1, 10)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("16c3-q2-10", "token 2 ('q2'): expected a layer such as"),
        ("16c3--10", "token 2 (''): expected"),
        ("16c3-3p2-10", "token 2 ('3p2'): expected"),
        ("16c3-s2-10", "token 2 ('s2'): expected"),
        ("16c3-p2+-10", "token 2 ('p2+'): only a convolution can be added to a map"),
        ("16c3-64+-10", "token 2 ('64+'): only a convolution can be added to a map"),
        ("a-10", "token 1 ('a'): a pool needs a convolution before it"),
        ("16c3-2a2-10", "token 2 ('2a2'): expected"),
        ("16c3-p2-a2-10", "token 3 ('a2'): an average pool stands right after a convolution"),
        ("16c3-a2s1-10", "token 2 ('a2s1'): an average pool has neither stride nor padding"),
        ("16c3-p2l2-10", "token 2 ('p2l2'): only a convolution has levels or bases"),
        ("16c3l0-10", "token 1 ('16c3l0'): sizes must be 1 or more"),
        ("16c3l256-10", "token 1 ('16c3l256'): sizes must be 1 or more, levels at most 255"),
        ("16c3-64m2-10", "token 2 ('64m2'): only a convolution has levels or bases"),
        ("16c3m0-10", "token 1 ('16c3m0'): sizes must be 1 or more"),
        ("16c3l2+-a-10", "token 2 ('a'): the average is that of the map of integers, which has no levels"),
        ("16c3l2+-p2-a-10", "token 3 ('a'): the average is that of the map of integers"),
        ("16c3m2-a", "token 2 ('a'): the last token must be the number of classes"),
        ("16c3-t3-10", "token 2 ('t3'): a thermometer is the first layer"),
        ("t0-16c3-10", "token 1 ('t0'): a thermometer is the first layer, and has 1 to 255 levels"),
        ("t3-p2-10", "token 2 ('p2'): a pool needs a convolution before it"),
        ("16c3p1+-a", "token 2 ('a'): the last token must be the number of classes"),
        ("1c3-a", "token 2 ('a'): at least 2 classes"),
        ("16c3-a-8c1-10", "token 3 ('8c1'): only fully connected layers can follow"),
        ("", "token 1 (''): expected"),
        ("16c3-p2", "token 2 ('p2'): the last token must be the number of classes"),
        ("16c3-1", "token 2 ('1'): at least 2 classes"),
        ("p2-10", "token 1 ('p2'): a pool needs a convolution before it"),
        ("64-16c3-10", "token 2 ('16c3'): only fully connected layers can follow"),
        ("64-p2-10", "token 2 ('p2'): only fully connected layers can follow"),
        ("64s2-10", "token 1 ('64s2'): a fully connected layer has neither stride nor padding"),
        ("16c3p3-10", "token 1 ('16c3p3'): padding must be below"),
        ("0c3-10", "token 1 ('0c3'): sizes must be 1 or more"),
        ("16c0-10", "sizes must be 1 or more"),
        ("16c3s0-10", "sizes must be 1 or more"),
    ],
)
def test_errors_name_token_and_place(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        arch.parse(text)
    assert said in str(caught.value)
    assert text in str(caught.value)


def test_window_that_does_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"token 3 \('8c9'\): no window fits into the 6x6x16 map"):
        arch.parse("16c3-p2-8c9-10").shapes((14, 14, 1))
