"""Pictures of training runs and networks, for print: each module draws one kind, from data to a matplotlib Figure.

`scratchnet plot` draws what runs can give (`pictures.py`). matplotlib, of the extra `study`, is imported when a picture
is drawn. No picture touches pyplot, its backend or its settings.
"""
