"""Control of tracking on videos that nobody trained on: what is seen of a frame, and the network that decides.

`looks` describes masks by the image's features, `state` is what is known of the past, `observation` puts both into
numbers, `network` decides. All of it works on batches of rows, on the model's device, and sees no truth.
"""
