"""`python -m expansion_platform.cli`."""

from expansion_platform.cli.main import main

main()
