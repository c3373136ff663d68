"""`python -m tools.zerocart`: the `zerocart` command."""

from tools.zerocart.cli import main

main()
