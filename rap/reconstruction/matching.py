"""Which pixels of two frames show the same point: SIFT, nearest neighbours both ways, a rigid scene as the referee.

Optical flow follows a point through neighbouring frames and drifts; a descriptor is found again sixteen frames later,
or after an occlusion. The start of a reconstruction (`rap.reconstruction.initialise`) needs both. All pixels here have
their centres at +0.5; OpenCV's keypoints do not, and this module adds the half pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.typing import ArrayLike
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from rap.geometry import se3
from rap.reconstruction.progress import beat, together
from rap.reconstruction.tracks import Tracks, check_frames

MAX_FEATURES = 600  # a frame: more cost time and add little at 320 px
CONTRAST = 0.01  # of SIFT, a quarter of its default: rooms have walls
RATIO = 0.85  # Lowe's test; the mutual test and the epipolar one follow, so it may be mild
GAPS = (1, 2, 3, 4, 6, 8, 12, 16)  # frames apart; neighbours for accuracy, far ones against drift
NEAR_GAPS = (1, 2, 3, 4)  # key frames apart that are matched whatever they look like
COARSE_FEATURES = 200  # the strongest of a frame: they tell which far frames show the same
COARSE_MATCHES = 8  # of them
FAR_PAIRS_A_FRAME = 6  # at most
MAX_SIDE_PX = 640  # larger frames are matched at this size
MIN_INLIERS = 12  # of a verified pair: five points always agree on a motion, and seven more by chance hardly ever
MIN_INLIER_SHARE = 0.3  # of the matches of a pair; mutual nearest neighbours of true pairs reach 0.6 and more
EPIPOLAR_PX = 1.0  # distance to the epipolar line, at 320 px; grows with the image
CONFIDENCE = 0.9999
NO_PARALLAX_RAD = np.radians(0.25)  # about the noise of a match at 320 px


@dataclass(frozen=True, eq=False)
class Features:
    """SIFT features of one frame: xy (N, 2) px, strongest first, and RootSIFT descriptors (N, 128) of length 1."""

    xy: Float[np.ndarray, "n 2"]
    descriptors: np.ndarray

    def __len__(self) -> int:
        return len(self.xy)


NO_FEATURES = Features(np.zeros((0, 2)), np.zeros((0, 128), np.float32))


@dataclass(frozen=True, eq=False)
class Matches:
    """Features of frame `first` and of frame `second` that look alike: indices (M, 2) into both, each used once."""

    first: int
    second: int
    indices: Int[np.ndarray, "m 2"]

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True, eq=False)
class RelativePose:
    """The rigid motion that explains matches of two frames.

    Attributes:
        T_second_first: camera `first` to camera `second`, translation of length 1.
        inliers: (M,) matches within the threshold of their epipolar lines.
        in_front: (M,) inliers that triangulate before both cameras.
        angle_rad: (M,) angle between the two rays with the rotation taken out; 0 where not an inlier.
    """

    T_second_first: Float[np.ndarray, "4 4"]
    inliers: np.ndarray
    in_front: np.ndarray
    angle_rad: Float[np.ndarray, " m"]

    @property
    def parallax_rad(self) -> float:
        """Median angle between the rays of the inliers; 0 without inliers."""
        return float(np.median(self.angle_rad[self.inliers])) if self.inliers.any() else 0.0


def detect_features(
    frames_u8: UInt8[np.ndarray, "t h w 3"], max_features: int = MAX_FEATURES, only: Iterable[int] | None = None
) -> list[Features]:
    """SIFT features of every frame, or of those in `only` (the others have none); positions in pixels of the frames.

    Lowe, Distinctive image features from scale-invariant keypoints, IJCV 2004; RootSIFT by Arandjelovic and Zisserman,
    Three things everyone should know to improve object retrieval, CVPR 2012, section 3.1: square roots of descriptors
    normalised by their sum, so that their dot product is the Hellinger kernel.
    """
    frames_u8 = check_frames(frames_u8)
    h, w = frames_u8.shape[1:3]
    scale = min(1.0, MAX_SIDE_PX / max(h, w))
    size = (max(round(w * scale), 1), max(round(h * scale), 1))
    chosen = sorted(set(range(len(frames_u8)) if only is None else only))
    features = [NO_FEATURES] * len(frames_u8)
    found = together(partial(_features_of, size=size, max_features=max_features), frames_u8[chosen])
    for i, some in zip(chosen, found, strict=True):
        features[i] = some
    return features


def _features_of(frame_u8: np.ndarray, size: tuple[int, int], max_features: int) -> Features:
    beat()
    sift = cv2.SIFT_create(nfeatures=max_features, contrastThreshold=CONTRAST, enable_precise_upscale=True)
    h, w = frame_u8.shape[:2]
    grey = cv2.cvtColor(np.ascontiguousarray(frame_u8), cv2.COLOR_RGB2GRAY)
    if size != (w, h):
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    keypoints, descriptors = sift.detectAndCompute(grey, None)  # pyright: ignore
    if descriptors is None or len(keypoints) == 0:
        return NO_FEATURES
    xy = (cv2.KeyPoint.convert(keypoints).astype(np.float64) + 0.5) * [w / size[0], h / size[1]]
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)
    return Features(xy, np.sqrt(descriptors / total))


def frame_pairs(num_frames: int, gaps: Iterable[int] = GAPS) -> list[tuple[int, int]]:
    """Pairs (i, i + gap) of frames, by gap."""
    return [(i, i + gap) for gap in gaps for i in range(num_frames - gap)]


def far_and_near_pairs(features: Sequence[Features]) -> list[tuple[int, int]]:
    """Pairs of frames to be matched: neighbours, and of all others those whose strongest features are alike.

    The loops of a path, and what was out of view for a while, are found so at a twentieth of the price of matching all.
    """
    count = len(features)
    near = {(i, i + gap) for gap in NEAR_GAPS for i in range(count - gap)}
    strongest = [some.descriptors[:COARSE_FEATURES] for some in features]
    alike = {
        (i, j): len(nearest_both_ways(strongest[i], strongest[j], RATIO))
        for i in range(count)
        for j in range(i + 1, count)
        if (i, j) not in near
    }
    far = [pair for pair in sorted(alike, key=lambda pair: -alike[pair]) if alike[pair] >= COARSE_MATCHES]
    return sorted(near | set(far[: FAR_PAIRS_A_FRAME * count]))


def match_frames(
    frames_u8: UInt8[np.ndarray, "t h w 3"], pairs: Sequence[tuple[int, int]] | None = None
) -> tuple[list[Features], list[Matches]]:
    """Features of the frames in pairs (default: `frame_pairs`), and the matches of the pairs, not yet verified."""
    pairs = frame_pairs(len(frames_u8)) if pairs is None else pairs
    features = detect_features(frames_u8, only={frame for pair in pairs for frame in pair})
    return features, match_features(features, pairs)


def match_features(
    features: Sequence[Features], pairs: Iterable[tuple[int, int]], ratio: float = RATIO
) -> list[Matches]:
    """Nearest neighbours both ways, clearly nearer than the second nearest (Lowe 2004, section 7.1)."""
    pairs = list(pairs)
    described = [(features[i].descriptors, features[j].descriptors) for i, j in pairs]
    found = together(lambda both: nearest_both_ways(*both, ratio), described)
    return [Matches(i, j, some) for (i, j), some in zip(pairs, found, strict=True)]


def nearest_both_ways(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"], ratio: float) -> np.ndarray:
    """(K, 2) rows (i, j) of unit vectors: b[j] nearest to a[i] and a[i] to b[j], by `ratio` nearer than a's second."""
    beat()
    if min(len(a), len(b)) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    similarity = a @ b.T
    rows = np.arange(len(a))
    nearest = similarity.argmax(axis=1)
    back = similarity.argmax(axis=0)
    best = similarity[rows, nearest]
    similarity[rows, nearest] = -np.inf
    second = similarity.max(axis=1)
    # |x - y|^2 = 2 - 2 x.y for unit vectors
    clear = (1 - best) < ratio**2 * (1 - second)
    keep = (back[nearest] == rows) & clear
    return np.stack([rows[keep], nearest[keep]], axis=1)


def essential_matrix(
    xy_first: Float[np.ndarray, "m 2"],
    xy_second: Float[np.ndarray, "m 2"],
    intrinsics: Float[np.ndarray, "4"],
    threshold_px: float = EPIPOLAR_PX,
) -> tuple[Float[np.ndarray, "3 3"], np.ndarray] | None:
    """Essential matrix and (M,) mask of the matches it explains, or None where fewer than chance would have it do.

    Five points (Nister, An efficient solution to the five-point relative pose problem, PAMI 2004) inside MAGSAC++
    (Barath et al., CVPR 2020).
    """
    if len(xy_first) < MIN_INLIERS:
        return None
    fx, fy, cx, cy = intrinsics
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    try:
        E, mask = cv2.findEssentialMat(
            xy_first, xy_second, K, method=cv2.USAC_MAGSAC, prob=CONFIDENCE, threshold=threshold_px, maxIters=2000
        )
    except cv2.error:  # an assertion inside USAC where no sample gives a model
        return None
    if E is None or E.shape != (3, 3) or not np.isfinite(E).all():
        return None
    inliers = mask.ravel() > 0
    return (E, inliers) if _enough(inliers) else None


def relative_pose(
    xy_first: Float[ArrayLike, "m 2"],
    xy_second: Float[ArrayLike, "m 2"],
    intrinsics: Float[ArrayLike, "4"],
    threshold_px: float = EPIPOLAR_PX,
) -> RelativePose | None:
    """Motion between two frames of a static scene, or None where too few matches agree on one.

    Of the four motions of the essential matrix the one that puts most inliers before both cameras. Without parallax,
    in front or behind is chance; then the rotation that explains the matches alone is taken, and the direction is
    arbitrary.
    """
    xy_first, xy_second = np.asarray(xy_first, dtype=np.float64), np.asarray(xy_second, dtype=np.float64)
    lens = np.asarray(intrinsics, dtype=np.float64)
    found = essential_matrix(xy_first, xy_second, lens, threshold_px)
    if found is None:
        return None
    E, inliers = found
    rays = [np.append((xy - lens[2:]) / lens[:2], np.ones((len(xy), 1)), 1) for xy in (xy_first, xy_second)]
    R_a, R_b, t = cv2.decomposeEssentialMat(E)
    t = t.ravel() / max(np.linalg.norm(t), 1e-12)
    poses = [pose for R in (R_a, R_b) for pose in _judged(R, t, rays[0], rays[1], inliers)]
    turns = [pose for pose in poses if pose.parallax_rad < NO_PARALLAX_RAD]
    return max(turns or poses, key=lambda pose: pose.in_front.sum())


def _judged(
    R: np.ndarray, t: np.ndarray, rays_first: np.ndarray, rays_second: np.ndarray, inliers: np.ndarray
) -> list[RelativePose]:
    """The motions (R, t) and (R, -t) with the depths they give: b y = a R x + t for rays x, y; cross with y and R x."""
    turned, seen = (rays_first @ R.T).T, rays_second.T
    normal = _cross(turned, seen)
    depth_first = (_cross(seen, t) * normal).sum(axis=0)
    depth_second = (_cross(turned, t) * normal).sum(axis=0)
    angle = np.arctan2(np.sqrt((normal**2).sum(axis=0)), (turned * seen).sum(axis=0))
    angle = np.where(inliers, angle, 0.0)
    motions = []
    for sign in (1.0, -1.0):
        front = inliers & (sign * depth_first > 0) & (sign * depth_second > 0)
        motions.append(RelativePose(se3.from_rotation_translation(R, sign * t), inliers, front, angle))
    return motions


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products of columns (3, …); a tenth of the time of np.cross."""
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def epipolar_inliers(
    xy_first: Float[ArrayLike, "m 2"], xy_second: Float[ArrayLike, "m 2"], threshold_px: float = EPIPOLAR_PX
) -> np.ndarray:
    """(M,) mask of matches that one fundamental matrix explains: the referee while the focal length is unknown."""
    xy_first, xy_second = np.asarray(xy_first, dtype=np.float64), np.asarray(xy_second, dtype=np.float64)
    nobody = np.zeros(len(xy_first), dtype=bool)
    if len(xy_first) < MIN_INLIERS:
        return nobody
    try:
        F, mask = cv2.findFundamentalMat(xy_first, xy_second, cv2.USAC_MAGSAC, threshold_px, CONFIDENCE, 2000)
    except cv2.error:  # an assertion inside USAC where no sample gives a model
        return nobody
    if F is None or mask is None:
        return nobody
    inliers = mask.ravel() > 0
    return inliers if _enough(inliers) else nobody


def planar_inliers(
    xy_first: Float[np.ndarray, "m 2"], xy_second: Float[np.ndarray, "m 2"], threshold_px: float = EPIPOLAR_PX
) -> np.ndarray:
    """(M,) mask of matches that one homography explains: points of one plane, or all of them without parallax."""
    nobody = np.zeros(len(xy_first), dtype=bool)
    if len(xy_first) < MIN_INLIERS:
        return nobody
    try:
        H, mask = cv2.findHomography(xy_first, xy_second, cv2.USAC_MAGSAC, threshold_px, None, 1000, CONFIDENCE)
    except cv2.error:  # an assertion inside USAC where no sample gives a model
        return nobody
    return nobody if H is None or mask is None else mask.ravel() > 0


def _enough(inliers: np.ndarray) -> bool:
    """Whether agreement is more than chance: seven free numbers fit a good part of any twenty matches."""
    return bool(inliers.sum() >= max(MIN_INLIERS, MIN_INLIER_SHARE * len(inliers)))


def verify(
    features: Sequence[Features],
    matches: Iterable[Matches],
    intrinsics: Float[ArrayLike, "4"] | None,
    threshold_px: float = EPIPOLAR_PX,
) -> list[Matches]:
    """Matches that a rigid scene allows, pair by pair; pairs with fewer than `MIN_INLIERS` of them are left out."""
    lens = None if intrinsics is None else np.asarray(intrinsics, dtype=np.float64)
    verified = together(partial(_verified, features, lens, threshold_px), matches)
    return [pair for pair in verified if len(pair)]


def _verified(
    features: Sequence[Features], intrinsics: Float[np.ndarray, "4"] | None, threshold_px: float, pair: Matches
) -> Matches:
    beat()
    first, second = (features[k].xy[pair.indices[:, c]] for c, k in enumerate((pair.first, pair.second)))
    if intrinsics is None:
        inliers = epipolar_inliers(first, second, threshold_px)
    else:
        found = essential_matrix(first, second, intrinsics, threshold_px)
        inliers = np.zeros(len(pair), dtype=bool) if found is None else found[1]
    return replace(pair, indices=pair.indices[inliers])


def join_matches(features: Sequence[Features], matches: Sequence[Matches], image_size: tuple[int, int]) -> Tracks:
    """Tracks: features that are connected by matches, directly or through other frames, are one point.

    Where a wrong match ties two points together, a frame sees "one" point twice. Neither observation can be trusted,
    so both go; what is left of the point stays.
    """
    num_frames = len(features)
    offsets = np.cumsum([0] + [len(one) for one in features])
    if not matches:
        return Tracks.build([], [], np.zeros((0, 2)), num_frames, image_size)
    first = np.concatenate([offsets[pair.first] + pair.indices[:, 0] for pair in matches])
    second = np.concatenate([offsets[pair.second] + pair.indices[:, 1] for pair in matches])
    edges = coo_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape=(offsets[-1], offsets[-1]))
    _, point = connected_components(edges, directed=False)
    frame = np.repeat(np.arange(num_frames), np.diff(offsets))
    xy = np.concatenate([one.xy for one in features])
    _, code, count = np.unique(point * num_frames + frame, return_inverse=True, return_counts=True)
    once = count[code.reshape(-1)] == 1
    return Tracks.build(frame[once], point[once], xy[once], num_frames, image_size)
