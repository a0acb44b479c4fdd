from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gql.test_workflows import FETCH, create
from tests.support.query_count import counting

if TYPE_CHECKING:
    from domain.identity import Principal
    from tests.support.api import Api


async def test_a_page_of_workflows_with_their_people_costs_the_same_for_one_as_for_many(
    api: Api, ada: Principal
) -> None:
    document = "{ workflows(first: 100) { totalCount nodes { slug updatedBy { name } workspace { name } latestRun { id } graph { nodes { key } } problems { code } } } }"
    counts: list[int] = []
    for number in range(6):
        await create(api, ada, graph={"nodes": [{**FETCH, "key": f"k{number}"}], "edges": []})
        if number in {0, 5}:
            with counting() as statements:
                answer = await api.run(document, caller=ada)
            assert (answer.errors, len(answer.data["workflows"]["nodes"])) == ([], number + 1)
            counts.append(statements.count)
    # The page, the total, the people, the workspaces, the last runs; definitions are kept.
    assert counts == [5, 5]
