"""The pipeline: three tasks of one cached model. What is listed here is the API.

Callers import from `rap.pipeline` (or `rap`); the files are its inside, and nothing below (`rap.model`, `rap.views`)
knows a task. Read `tasks` (what is asked, what comes back), then `pipeline_rap` (each task as a walk of the sampler of
`rap.flow`), then `problem` (a task in latents, between the two).
"""

import rap.quick_diffusers  # noqa: F401  before whatever imports diffusers

# isort: split
from rap.pipeline.pipeline_rap import RaPPipeline
from rap.pipeline.tasks import EstimateTask, GenerateTask, JointTask, Progress, RaPOutput, RoundTrip, Task

__all__ = [
    "EstimateTask",
    "GenerateTask",
    "JointTask",
    "Progress",
    "RaPOutput",
    "RaPPipeline",
    "RoundTrip",
    "Task",
]
