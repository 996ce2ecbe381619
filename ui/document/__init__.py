"""What a person is working on, as immutable values, and the pure edits of it: no widget, no thread.

Everybody in `ui` may import from here, and these files from `rap` alone. Read `document` (clip, paths, takes,
history), `messages` (all that may happen), `state` (the document with what is at work on it), `edits` and `path_edits`
(messages that know their own change), then what is derived when it is needed: `sources`, `geometry`, `known_cameras`,
`verification`, `comparison`, `importing`, `picking`, `path_text`. `messages` imports nothing that brings torch: the
page is built from messages before torch is there.
"""
