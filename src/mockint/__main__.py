"""`python -m mockint`."""

from mockint.cli import main

main()
