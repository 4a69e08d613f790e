"""Images, masks, frames and video files, in and out; files that are complete or not there."""
