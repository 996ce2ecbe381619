"""The trajectory editor around one cached model.

Five rooms, each of which may use those named after it: `page` (Gradio: what is seen and pressed), `session` (one
person at work: messages in, states out), `viewport` (viser: the path in 3D) and `serve` (processes, ports, the line
for the model), `document` (immutable values and pure edits). `rap` is used by all, and uses none. Data flows one way: a
message from `page` or `viewport` goes to `session.dispatch`, whose reducers make the next state, from which viewport
and page are drawn. `app` puts the rooms together: `rap app`. Read `document.document`, `document.messages`,
`session.session`, then one subject of `session.reducers` together with its panel in `page`.
"""
