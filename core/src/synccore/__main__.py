"""`python -m synccore`."""

from synccore._cli import main

main()
