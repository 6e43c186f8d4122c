"""`python -m replay`."""

from replay.cli.app import main

main()
