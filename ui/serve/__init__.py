"""Processes and ports: one line for the model, one port for the page and every session's viewport.

`ui.session` and `app.py` import from here, and these files only the messages of `ui.document`. Read `jobs` (a worker
drains a task's progress and reports it as messages; closing is cancelling), then `hub` (forwards browsers to
viewports, tells pages of changes, notices when a page has gone); `memory` measures what a job took.

What strangers may do is decided before Gradio sees them: `gate` lets in, by `routes` (what is answered at all),
`visitors` (who asks, from which page), `storage` (what is uploaded), `calls` (who holds how much) and `limits`;
`headers` and `refusals` are what goes out. `front` puts them together from the command line.
"""
