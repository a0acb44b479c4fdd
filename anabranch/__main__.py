"""`python -m anabranch`."""

from gql.cli import main

if __name__ == "__main__":
    main()
