"""Text on a page does not run into its neighbour."""

from __future__ import annotations

import numpy as np
import pytest

from htcl.visualization.page import GAP, MARGIN, Page, font, shortened


@pytest.mark.parametrize("width", (30, 80, 200))
def test_a_long_text_ends_with_an_ellipsis(width):
    text = "Sequence scene-0000, frame e1f6d43e199b4f5ab2fdce2d46b957d9"
    short = shortened(text, font(18), width)
    assert short.endswith("…") and text.startswith(short[:-1])
    assert font(18).getlength(short) <= width
    # Not one letter less than fits.
    longer = f"{text[: len(short)]}…"
    assert font(18).getlength(longer) > width


def test_a_text_that_fits_stays():
    assert shortened("Images", font(18), font(18).getlength("Images")) == "Images"


def test_captions_stay_in_their_columns():
    page = Page(2 * MARGIN + 200 + GAP)
    page.add_title("Sequence " * 9, "note")
    white = np.full((20, 100, 3), 255, np.uint8)
    page.add_row([("caption " * 9, white), ("", white)], (100, 100), 20)
    sheet = page.draw()
    # Between the title and its note, and right of the first column.
    note = page.width - MARGIN - int(font(22).getlength("note"))
    assert (sheet[:60, note - GAP + 1 : note - 1] > 250).all()
    assert (sheet[70:, MARGIN + 101 :] > 250).all()
