"""The subcommands of `cgpo judge`, one file each: `add_arguments(parser)` and `run(args) -> exit status`."""
