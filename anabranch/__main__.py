"""`python -m anabranch`."""

from gql.entry import main

if __name__ == "__main__":
    main()
