"""One person at work: messages in, states out, and the files that belong to them.

`ui/app.py` and the benchmarks open `sessions.Sessions`; `ui.page` gets a `session.Session`, sends it messages and reads
its state, and may take small pictures from `pictures`; nothing else in here is for others. Read `session` (lock,
effects, drawing), `reducers` (what each message makes of the state; has a page of its own), `reading` (files on their
way in), then as needed: `drawing` and `commands` for the viewport, `model_tasks` and `geometry_worker` (what runs in
the workers' threads), `shelf` (work on other clips), `session_file` (with `session_archive` and
`session_values`) and `exports` (files on their way out), `uploads`, `folder`, `debounce`, `sessions`, `options`.
"""
