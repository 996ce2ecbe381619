"""Draws what the joint model adds to what one picture shows, for the model's card.

    python docs/draw_filling.py RECORDING... [--out docs/filling.webp] [--checkpoint FOLDER]

One row for each recording of known cameras (a folder with a transforms.json): its first frame, a later one that was
filmed, and that view by the layers of the first frame alone, then with the model's low frequencies in what no camera
saw: "warp" and "warp + model" of `rap evaluate generate`, at the model's size. The view is that of the window's frames
of which about half is invented.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from rap import RaPPipeline, checkpoint_path
from rap.evaluation import datasets, peers
from rap.views.fine import with_content

FOLDER = Path(__file__).parent
STRIDE, INVENTED = 2, 0.5
WIDTH, GAP = 300, 6  # of each picture, and between them, in pixels
QUALITY = 70


def row(pipe: RaPPipeline, folder: Path) -> np.ndarray:
    """(h, w, 3) uint8: four pictures beside each other."""
    (recording,) = datasets.recordings(folder)
    (window,) = datasets.windows_of(recording, STRIDE, 1)
    clip = datasets.in_median_depths(window.read())
    assert clip.trajectory is not None  # of a recording there is one
    path = clip.trajectory.relative_to(0)
    hints, shown_u8 = peers.video_hints("warp", clip, path)
    made_u8 = pipe.generate_video(clip.frames_u8[:1], path, hints=hints).frames_u8
    assert made_u8 is not None
    filled_u8 = with_content(shown_u8, 1 - hints.mask, made_u8)
    k = int(np.abs(1 - hints.mask.mean(axis=(1, 2)) - INVENTED).argmin())
    pictures = [clip.frames_u8[0], clip.frames_u8[k], shown_u8[k], filled_u8[k]]
    height = round(WIDTH * pictures[0].shape[0] / pictures[0].shape[1])
    large = [np.asarray(Image.fromarray(one).resize((WIDTH, height), Image.Resampling.BICUBIC)) for one in pictures]
    gap = np.full((height, GAP, 3), 255, np.uint8)
    return np.concatenate([part for one in large for part in (gap, one)][1:], axis=1)


def main() -> None:
    """All rows below each other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=FOLDER / "filling.webp")
    parser.add_argument("--checkpoint", default=str(checkpoint_path()))
    chosen = parser.parse_args()
    pipe = RaPPipeline.from_pretrained(chosen.checkpoint)
    rows = [row(pipe, folder) for folder in chosen.recordings]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    sheet = np.concatenate([part for one in rows for part in (gap, one)][1:])
    Image.fromarray(sheet).save(chosen.out, quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
