"""How much of anything is taken from strangers: the one table that page, API, command line and readers go by.

`SECURITY.md` shows it as `table()` renders it; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

from rap.errors import InputError


@dataclass(frozen=True)
class Limit:
    """The most of something.

    Args:
        value: still taken.
        unit: plural, as it stands after the value in a sentence.
        of: what is limited.
        why: where the value comes from.
    """

    value: int
    unit: str
    of: str
    why: str

    def check(self, found: float, where: str, remedy: str) -> None:
        """Refuse more than the limit.

        Args:
            where: how the sentence begins, as "clip.mp4: has".

        Raises:
            InputError: `found` is larger, or no number.
        """
        if not found <= self.value:
            raise InputError(f"{where} {_words(found)} {self.unit}, at most {_words(self.value)} are taken; {remedy}")

    def check_range(self, found: float, name: str, least: float, remedy: str) -> None:
        """Refuse what does not lie between `least` and the limit.

        Args:
            name: of the argument, which begins the sentence.

        Raises:
            InputError: `found` is less, more or no number.
        """
        if not least <= found <= self.value:
            bounds = f"{_words(least)} to {_words(self.value)}"
            raise InputError(f"{name} must be {bounds}, got {_words(found, exactly=True)}; {remedy}")


def _words(number: float, exactly: bool = False) -> str:
    if number != number:
        return "no number" if exactly else "far too many"
    if abs(number) > 10**18:  # integers beyond 10**300 may be no floats, infinity is one
        told = exactly and (abs(number) < 10**300 or number in (float("inf"), float("-inf")))
        return f"{number:g}" if told else "far too many"
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:g}" if exactly else f"{number:,.1f}"


# --- files of any kind ------------------------------------------------------------------------------------------------

FILE_BYTES = Limit(1 << 30, "bytes", "one picture, film or session file", "a minute of 4K from a phone has 0.7 GB")
LISTED_FILES = Limit(2_000, "files", "pictures given at once", "each is opened to see what it is")
READ_SECONDS = Limit(90, "seconds", "reading what was given, wall time", "a minute of 4K takes about 40 on two cores")
READ_BYTES = Limit(2 << 30, "bytes", "memory for reading what was given", "the largest picture takes 1 GB on its way")
READS = Limit(2, "reads", "reads at the same time, in all", "two cores")

# --- pictures and films -----------------------------------------------------------------------------------------------

PICTURE_PIXELS = Limit(64_000_000, "pixels", "one picture", "cameras of 2025 make up to 61 million")
PICTURE_SIDE = Limit(32_768, "pixels on a side", "one picture", "a side of a panorama; narrower ones show nothing")
FILM_PIXELS = Limit(36_000_000, "pixels a frame", "a film", "8K has 33 million")
FILM_FRAMES = Limit(20_000, "frames", "how far into a film is searched", "eleven minutes at 30 frames a second")
FILM_WORK = Limit(50_000_000_000, "pixels in all", "a film, pixels times frames", "a minute of 4K at 60 has 30 billion")
FOLLOWED_FRAMES = Limit(300, "frames", "a film whose points are followed", "thinned to it: ten seconds at 30, 100 MB")
ANIMATION_WORK = Limit(
    2_000_000_000, "pixels in all", "an animated picture, pixels times frames", "Pillow decodes 50 million a second"
)
ANIMATION_BYTES = Limit(64 << 20, "bytes", "an animated picture", "films of that size are better given as MP4")

# --- cameras ----------------------------------------------------------------------------------------------------------

CAMERA_BYTES = Limit(64 << 20, "bytes", "a camera file", "20,000 images of COLMAP with two lines of points each")
JSON_BYTES = Limit(32 << 20, "bytes", "a camera file in JSON", "20,000 cameras have 16 MB; parsed it grows twelvefold")
JSON_NODES = Limit(
    200_000, "lists and objects", "a JSON file, counted before it is parsed", "20,000 cameras have 120,000"
)
LINES = Limit(100_000, "lines", "a camera file in text", "20,000 images of COLMAP have 40,000")
LINE_CHARACTERS = Limit(4 << 20, "characters", "a line of it", "an image of COLMAP with 90,000 points")
FRAME_NAME_CHARACTERS = Limit(1_024, "characters", "the path of a frame's picture", "what file systems take is near it")
CAMERAS = Limit(20_000, "cameras", "a camera file", "one for each frame of the longest film")
CAMERA_SIDE = Limit(16_384, "pixels on a side", "the image of a camera", "the largest sensors have 14,204")
FOLDERS = Limit(2_000, "folders", "a folder that is searched for a COLMAP model", "projects have some dozens")
NPZ_BYTES = Limit(32 << 20, "bytes", "a camera file in npz, unpacked", "20,000 cameras with their names have 19 MB")
EXPORTED_CAMERAS = Limit(2_000, "cameras", "a path that is exported", "viewers draw no more")

# --- archives ---------------------------------------------------------------------------------------------------------

ARCHIVE_ENTRIES = Limit(2_000, "files", "an archive", "a session of four hundred takes")
SESSION_BYTES = Limit(
    512 << 20, "bytes", "a session file, unpacked, and its arrays again", "a hundred takes have 100 MB"
)
MANIFEST_BYTES = Limit(4 << 20, "bytes", "the manifest of a session file", "four hundred takes have 0.4 MB")
SESSION_TAKES = Limit(500, "takes", "a session file", "each is drawn on the page")
SESSION_POINTS = Limit(200_000, "points", "the points of a session file", "a refinement makes some thousands")
THUMBNAIL_BYTES = Limit(256 << 10, "bytes", "a take's small pictures", "ours have 50 kB")

# --- what is kept on disk ---------------------------------------------------------------------------------------------

KEPT_BYTES = Limit(512 << 20, "bytes", "takes, exports and work of one page", "as much as a session file may hold")
KEPT_BYTES_IN_ALL = Limit(16 << 30, "bytes", "the same of all pages, closed ones too", "a page with ten takes has 5 MB")
KEPT_SPARE_BYTES = Limit(1 << 30, "bytes", "what the disk has left when closed pages' files go early", "one upload")
KEPT_SECONDS = Limit(86_400, "seconds", "how long the files of a closed page are kept", "a day")
EXPORT_SECONDS = Limit(3_600, "seconds", "how long an export counts", "the page offers it for as long")

# --- what one visitor, an address or a network, may hold of the server; a lecture hall behind one address is one ------

UPLOADED_BYTES = Limit(2 << 30, "bytes", "uploads of one visitor", "two of the largest files; they go after an hour")
UPLOADED_BYTES_IN_ALL = Limit(16 << 30, "bytes", "uploads of all visitors", "eight visitors with all they may have")
UPLOADED_FILES = Limit(2_000, "files", "uploads of one visitor", "a folder of frames, some times")
UPLOAD_DISK_PERCENT = Limit(50, "percent", "of the free disk for an upload that begins", "the rest is for takes")
UPLOAD_PIECE_SECONDS = Limit(900, "seconds", "a piece of an upload that was cut stays", "no upload lasts longer")
EVENT_BYTES = Limit(8 << 20, "bytes", "the body of an event", "a path of 2,000 cameras as text has two of them")
SMALL_BYTES = Limit(16 << 10, "bytes", "whatever else is posted", "ours have some hundred")
SILENCE_SECONDS = Limit(30, "seconds", "between two pieces of a body", "a line that is away for longer is gone")
EVENT_SECONDS = Limit(60, "seconds", "all of an event's body", "8 MB over a slow telephone")
JSON_LEVELS = Limit(64, "levels", "the body of an event", "ours have a dozen")
HASH_CHARACTERS = Limit(64, "characters", "the name of an event stream", "Gradio's have eleven")
CALLS = Limit(24, "calls", "what one visitor has waiting", "a page waits for one or two")
CALLS_IN_ALL = Limit(256, "calls", "what all visitors have waiting", "the last would wait for an hour")
NEW_STREAMS = Limit(120, "streams", "event streams one visitor opens at once", "Gradio keeps 2,000, drops the oldest")
NEW_STREAMS_A_MINUTE = Limit(60, "streams", "event streams after that, in a minute", "a call a second")
ANSWER_SECONDS = Limit(120, "seconds", "how long an answer waits to be fetched", "a closed page is forgotten after 60")
OPEN_CONNECTIONS = Limit(
    240, "connections", "what one visitor has open", "a page has three; fewer where descriptors are few"
)
PAGES = Limit(200, "pages", "pages that are open, in all", "a clip takes 20 MB; fewer where descriptors are few")

# --- text -------------------------------------------------------------------------------------------------------------

NAME_CHARACTERS = Limit(255, "characters", "a name", "what a file system takes")
SENTENCE_CHARACTERS = Limit(2_000, "characters", "a note or a reason", "ours are far shorter")
NOTES = Limit(100, "notes", "a clip", "ours are a handful")
LINK_CHARACTERS = Limit(100_000, "characters", "a path in the address of a page", "a path of 257 cameras has 60,000")
PATH_CHARACTERS = Limit(2_000_000, "characters", "a path as text", "the longest path has a quarter of it")

# --- what is asked of the model ---------------------------------------------------------------------------------------

STEPS = Limit(200, "steps", "sampling", "more than 50 change nothing that is seen")
SEED = Limit((1 << 53) - 1, "", "a seed", "JSON and JavaScript keep whole numbers up to there")
GUIDANCE = Limit(20, "times", "guidance by the path", "1 is off; published models use up to 15")
TEMPERATURE = Limit(1, "times", "the noise that a video starts from", "what the model was trained with")
AMPLITUDE = Limit(100, "times", "the size of a camera move", "an orbit turns a hundred times")
PROMPT_CHARACTERS = Limit(1_000, "characters", "a prompt", "models of others read 300 to 512 words")
SHAKE = Limit(10, "times", "the unrest of a hand in a path", "the picture jumps by a tenth of its width")
STROKE_POINTS = Limit(2_000, "points", "a path that is drawn", "a minute of a mouse at 30 a second")
PATH_FRAMES = Limit(257, "frames", "a clip or a path that is generated along", "1 + 4 k, three times the paper's 81")
TAKE_PIXELS = Limit(
    1_048_576, "pixels a frame", "what the model is asked for", "1024 x 1024; the embedded one makes 128 x 128"
)
TAKE_SIDE = Limit(1_920, "pixels on a side", "a take, and frames kept for it", "a film's own size up to full HD")
TAKE_WORK = Limit(120_000_000, "pixels in all", "a take, pixels times frames", "81 of 1280 x 720 have 75 million")
TAKE_BYTES = Limit(
    2_000_000_000, "bytes", "what a take holds beside the program", "what the largest takes; --memory-gb sets another"
)
TAKE_FPS = Limit(60, "frames a second", "a take", "what screens show")
LEAST_TAKE_FRAMES, LEAST_TAKE_FPS, LEAST_TAKE_SIDE = 2, 8, 64
"""Less of a take shows no motion."""

LEAST_TAKE_BYTES = 250_000_000
"""Less is not enough for takes of 640 pixels."""


def all_limits() -> dict[str, Limit]:
    """Every limit by its name, in the order of the table."""
    return {name: value for name, value in globals().items() if isinstance(value, Limit)}


def table() -> str:
    """The limits as a table in Markdown."""
    rows = [f"| {limit.of} | {_words(limit.value)} {limit.unit} | {limit.why} |" for limit in all_limits().values()]
    return "\n".join(["| of | at most | because |", "|---|---|---|", *rows])
