"""A run of finished orders is corrected, taken back and imported again, and the revenue follows."""

from __future__ import annotations

import json

import pytest

from tests.e2e.local import Local
from tests.tools.order_files import file_of, sold

pytestmark = pytest.mark.e2e


@pytest.fixture
def local(local_with_accounts: Local) -> Local:
    return local_with_accounts


def test_a_run_is_corrected_taken_back_and_imported_again(local, tmp_path):
    rows = [sold(str(n), quantity=n, price="2.00", minute=n) for n in range(1, 31)]
    file, words = file_of(tmp_path, *rows), ["--finished", "--no-stock", "--json"]
    first = json.loads(local.command("replay", str(file), *words))
    assert (first["placed"], first["control_totals"]["GBP"]["orders"]) == (30, "930.00")
    local.until(lambda: revenue(local) == "930.00")
    copy = tmp_path / "copy.csv"
    copy.write_bytes(file.read_bytes())
    local.command("replay", str(copy), *words, check=False)
    assert revenue(local) == "930.00"
    file_of(
        tmp_path,
        *rows[:-1],
        sold("30", "22001", 1, "9.00", minute=30),
        sold("C31", quantity=-29, price="2.00", minute=31),
    )
    corrected = json.loads(local.command("replay", str(file), *words, "--correct"))
    assert (corrected["placed"], corrected["corrected"]) == (0, 2)
    local.until(lambda: revenue(local) == "821.00")
    undone = json.loads(local.command("replay", "--undo", file.name, "--json"))
    assert undone["taken_back"] == 30
    local.until(lambda: revenue(local) is None)
    with local.client() as client:
        assert client.get(f"/orders?source={file.name}&count=exact").json()["total"] == 0
    assert json.loads(local.command("replay", str(file), *words))["placed"] == 30
    local.until(lambda: revenue(local) == "821.00")


def revenue(local: Local) -> str | None:
    with local.client() as client:
        answer = client.get("/analytics/orders?from=2011-01-01&to=2012-01-01&source=sales.csv").raise_for_status()
    figures = answer.json()["figures"]
    return figures[0]["revenue"]["amount"] if figures else None
