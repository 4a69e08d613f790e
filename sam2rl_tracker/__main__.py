"""`python -m sam2rl_tracker` is `sam2rl`."""

from sam2rl_tracker.cli.main import main

main()
