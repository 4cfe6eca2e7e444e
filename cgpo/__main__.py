"""`python -m cgpo …`, also what torchrun starts."""

from cgpo.cli import main

if __name__ == "__main__":
    main()
