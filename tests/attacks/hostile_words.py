"""Texts that are to become markup or a script wherever they are shown, and a document that has them in every place."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "ui"))
from fakes import clip

from rap.data import write_video
from rap.geometry import preset, scale_motion
from rap.reconstruction.refine import RefinementReport
from ui.document import document as doc
from ui.document.document import Document, Settings, Take
from ui.document.verification import verified

HOSTILE = (
    '"\'><img src=x onerror="window.fired=1"></b></div><script>window.fired=2</script><svg onload=window.fired=3>'
    '${window.fired=4}{{constructor.constructor("window.fired=5")()}}&lt;img src=x onerror=window.fired=6&gt;'
)
SHORT = "<img src=x onerror=window.fired=7>"  # within what a take's name may have


def hostile_document(folder: Path, words: str = HOSTILE, enumerations: str | None = None) -> Document:
    """Two takes, a refinement and a verification; every free text is `words`.

    Args:
        folder: for the takes' videos.
        enumerations: stands where the app itself only ever writes words of its own; None: these words.
    """
    named: Any = {} if enumerations is None else dict.fromkeys(("outcome", "verdict", "focal_source"), enumerations)
    made = replace(clip(), name=words, notes=(words, f"2{words}"))
    report = RefinementReport("refined", words, "prediction", "model", 6.5, 0.5, 900, 120, 1.04, 2.0)
    document = doc.with_prediction(doc.with_clip(Document(), made), preset("arc-left", image_size=made.image_size))
    assert document.predicted is not None
    document = doc.with_refinement(document, scale_motion(document.predicted, 0.9), replace(report, **named))
    assert document.edited is not None
    for number in (1, 2):
        video = folder / f"made-{number}.mp4"
        write_video(video, made.frames_u8, 8.0)
        origin = enumerations or "regenerated"
        take = Take(
            number, origin, video, video, made.hash, document.edited, Settings(number), 1.5, b"", f"{number}{words}"
        )
        document = doc.with_take(document, take)
    measured = replace(verified(2, document.edited, document.edited.scaled(2.0), 0.5), reason=words)
    estimated = verified(2, document.edited, scale_motion(document.edited, 0.7))
    return doc.with_verification(document, replace(measured, estimated=estimated))
