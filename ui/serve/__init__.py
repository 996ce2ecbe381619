"""Processes and ports: one line for the model, one port for the page and every session's viewport.

`ui.session` and `ui/app.py` import from here, `ui.page` only `visitors`; of `ui` these files know the messages of
`ui.document` alone. Read `jobs` (a worker drains a task's progress and reports it as messages; closing is cancelling),
then `hub` (forwards browsers to viewports, tells pages of changes, notices when a page has gone); `memory` measures
what a job took.

What strangers may do is decided before Gradio sees them: `gate` lets in, by `routes` (what is answered at all),
`visitors` (who asks, from which page), `storage` (what is uploaded), `calls` (who holds how much) and `limits`;
`headers` and `refusals` are what goes out. `front` puts them together from the command line. What a file may hold is in
`rap.limits`, not here.

`startup` is the command line of `rap app` and what can be refused before it starts, `ending` how the process ends,
`zero_gpu` the GPU that a hosted Space lends.
"""
